"""The guard: a tiny process that outlives its parent by a moment, to end what the parent started.

The parent writes `+<pgid>` and `-<pgid>` lines into a pipe. When the pipe closes, for whatever reason (`kill
-9` included), the guard sends SIGKILL to every process group it still holds, and ends. It needs nothing from
the kernel but pipes and process groups, so it works on macOS too, and it reaches the grandchildren that jobs
spawned.

A descendant that leaves its process group (its own `setsid`) is out of reach.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable


class Guard:
    """The parent's end of a guard process."""

    def __init__(self) -> None:
        """Start the guard, in a session of its own so that Ctrl-C does not reach it."""
        self._process = subprocess.Popen(  # noqa: S603 - this very module
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The guard's process id."""
        return self._process.pid

    def watch(self, pgid: int) -> None:
        """From now on this process group dies with us."""
        self._tell(f"+{pgid}\n")

    def forget(self, pgid: int) -> None:
        """The group has ended; its number may come to mean someone else."""
        self._tell(f"-{pgid}\n")

    def close(self) -> None:
        """End what is still watched, and the guard with it."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        # A guard that somebody killed takes nothing down: parent-death signals still tie the processes on Linux.
        if self._process.stdin is not None:
            with suppress(BrokenPipeError, ValueError):
                os.write(self._process.stdin.fileno(), line.encode())


def kill_group(pgid: int) -> None:
    """SIGKILL to the whole group; one that is gone already is fine (macOS says EPERM for a group of zombies)."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, signal.SIGKILL)


def hold(lines: Iterable[bytes]) -> set[int]:
    """Read `+pgid` and `-pgid` lines to their end; returns the groups that are left."""
    groups: set[int] = set()
    for line in lines:
        with suppress(ValueError):
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    return groups


def main(pipe: BinaryIO) -> None:
    """Be the guard."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for pgid in hold(pipe):
        kill_group(pgid)


if __name__ == "__main__":
    main(sys.stdin.buffer)
