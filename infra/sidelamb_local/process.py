"""One process group: started, frozen, thawed, killed, and its end awaited.

The group is the unit: what a job spawned freezes and dies with it. The guard knows of it from the moment it
exists until nothing of it is left.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from sidelamb_local.guard import kill_group

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidelamb_local.guard import Guard


class Process:
    """A child that leads a session and process group of its own."""

    def __init__(self, child: asyncio.subprocess.Process, guard: Guard) -> None:
        """Use `spawn`."""
        self._child = child
        self._guard = guard
        self._frozen = False
        self._ended = False

    @classmethod
    async def spawn(
        cls, argv: list[str], *, cwd: Path, env: Mapping[str, str], output_fd: int, guard: Guard
    ) -> Process:
        """Start `argv`; stdout and stderr both go to `output_fd`.

        Raises:
            OSError: `cwd` is not there, or the machine has no room for another process.
        """
        child = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output_fd,
            stderr=output_fd,
            start_new_session=True,
        )
        guard.watch(child.pid)
        return cls(child, guard)

    @property
    def pid(self) -> int:
        """Process id, and the id of the group."""
        return self._child.pid

    @property
    def ended(self) -> bool:
        """Nothing of it is left, and `wait` said so."""
        return self._ended

    def freeze(self) -> None:
        """Stop the group, as Lambda does between invocations."""
        self._frozen = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._frozen:
            self._frozen = False
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to all of it. Lambda warns nobody either."""
        if not self._ended:
            kill_group(self.pid)

    async def wait(self) -> int:
        """The exit status as `subprocess` has it; when this returns, nothing of the group is left."""
        returncode = await self._child.wait()
        kill_group(self.pid)
        self._ended = True
        self._guard.forget(self.pid)
        return returncode

    def _signal(self, number: signal.Signals) -> None:
        if not self._ended:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
