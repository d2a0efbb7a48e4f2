"""How much memory sandboxes use, and the watch that ends one which uses too much.

A sandbox is a process group; its use is the resident memory of all its members. The watch looks every 50 ms
at the sandboxes that are at work. It counts shared pages once before it condemns. On Linux a look costs a
fraction of a millisecond (`/proc`); on macOS it asks `ps`, and looks once a second.

It does not stop an allocation: a sandbox can be over its limit for the length of one look, or for a whole
short invocation, whose peak its own process then tells (`peak`).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LINUX = sys.platform == "linux"
LOOK_S = 0.05 if LINUX else 1.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def members(pgids: Collection[int]) -> list[tuple[int, int]]:
    """(pgid, pid) of every process in these groups (Linux)."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - twenty times a second
        if name.isdigit():
            with suppress(ProcessLookupError):
                pgid = os.getpgid(int(name))
                if pgid in pgids:
                    found.append((pgid, int(name)))
    return found


def group_bytes(pgids: Collection[int]) -> dict[int, int]:
    """Resident bytes of each group, its members simply added up."""
    total = dict.fromkeys(pgids, 0)
    if not LINUX:
        return _ps_bytes(total)
    for pgid, pid in members(pgids):
        with suppress(OSError):
            total[pgid] += int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE_BYTES
    return total


def shared_once_bytes(pgid: int) -> int:
    """Resident bytes of one group with the pages its members share counted once: exact, and ten times slower."""
    if not LINUX:
        return group_bytes([pgid])[pgid]
    total = 0
    for _, pid in members([pgid]):
        with suppress(OSError):
            total += _field(Path(f"/proc/{pid}/smaps_rollup").read_bytes(), b"\nPss:")
    return total


def _ps_bytes(total: dict[int, int]) -> dict[int, int]:
    lines = subprocess.run(["/bin/ps", "-A", "-o", "pgid=,rss="], capture_output=True, check=False).stdout
    for line in lines.splitlines():
        pgid, kilobytes = line.split()
        if int(pgid) in total:
            total[int(pgid)] += int(kilobytes) * 1024
    return total


def _field(text: bytes, name: bytes) -> int:
    at = text.find(name)
    return int(text[at + len(name) :].split(None, 1)[0]) * 1024 if at >= 0 else 0


class PeakMeter:
    """The most memory one process ever had, from the kernel's own high-water mark (0 where there is none)."""

    def __init__(self, pid: int) -> None:
        """Of process `pid`."""
        self._fd = -1
        with suppress(OSError):  # no /proc, or it died at once
            self._fd = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> int:
        """Bytes; 0 once the process is gone."""
        if self._fd < 0:
            return 0
        try:
            return _field(os.pread(self._fd, 4096, 0), b"\nVmHWM:")
        except OSError:
            return 0

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class MemoryWatch:
    """Looks at the groups that are at work, and tells each its use."""

    def __init__(self) -> None:
        self._groups: dict[int, Callable[[int], None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, pgid: int, tell: Callable[[int], None]) -> None:
        """Call `tell(bytes)` at each look until `discard`."""
        self._groups[pgid] = tell
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def discard(self, pgid: int) -> None:
        """No more."""
        self._groups.pop(pgid, None)

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self._groups:
            return
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        for pgid, used in group_bytes(self._groups).items():
            if tell := self._groups.get(pgid):
                tell(used)
