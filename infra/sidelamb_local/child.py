"""A child process of the stack: its lines are read as they come, and it never outlives us.

Its stdout and stderr are one stream, whose lines go to a callback on a thread of the child's own. It is in a
session of its own, so that Ctrl-C reaches only the one who started it, who then stops the others in good order.
"""

from __future__ import annotations

import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from sidelamb_local import launch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sidelamb_local.guard import Guard


class Child:
    """One running process."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        guard: Guard,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[str], None],
        on_end: Callable[[Child], None] = lambda _: None,
    ) -> None:
        """Start it.

        Args:
            argv: The program, with its full path, and its arguments.
            guard: Ends it if we are killed.
            cwd: Its working directory.
            env: All of its environment.
            on_line: Called with each line it prints, without the line's end, on a thread of this child's.
            on_end: Called there when it has ended, however that came.
        """
        # The kernel's tie is to the starting thread, and only the main one is sure to live as long as we do.
        tie = threading.current_thread() is threading.main_thread()
        self._process = subprocess.Popen(  # noqa: S603 - our own programs
            launch.tied(*argv) if tie else list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
            bufsize=1,
        )
        self._guard = guard
        guard.watch(self._process.pid)
        self._on_line, self._on_end = on_line, on_end
        self._drained = threading.Event()
        threading.Thread(target=self._read, name=f"sidelamb-child-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """It has ended."""
        return self._process.poll() is not None

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self, within_s: float) -> None:
        """SIGTERM, and SIGKILL if it has not ended in time; returns when it has and its last line was read."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL; returns when it has ended and its last line was read."""
        self._process.kill()
        self._process.wait()
        self._drained.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for mypy
        with self._process.stdout as lines:
            try:
                for line in lines:
                    self._on_line(line.rstrip("\n"))
            finally:
                for _ in lines:  # whatever the callback did, a full pipe must not stop the child
                    pass
                self._process.wait()
                self._guard.forget(self.pid)
                self._drained.set()
        self._on_end(self)


def how_it_ended(child: Child) -> str:
    """The exit status of a child that has ended, for people."""
    status = child.returncode or 0
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"
