"""What processes have used, from /proc: CPU seconds and memory, each with all its descendants."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Clock", "Peak", "cpu_s", "memory_mb", "own_cpu_s", "tree"]

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
LOOK_EVERY_S = 0.25


def tree(roots: Iterable[int]) -> list[int]:
    """Return `roots` that live, and all their descendants."""
    children: dict[int, list[int]] = {}
    for pid, fields in _stats():
        children.setdefault(int(fields[1]), []).append(pid)
    found, left = [], [pid for pid in roots if Path(f"/proc/{pid}").exists()]
    while left:
        pid = left.pop()
        found.append(pid)
        left += children.get(pid, ())
    return found


def cpu_s(roots: Iterable[int]) -> float:
    """Return the CPU seconds of the trees under `roots`, ended and waited-for children included."""
    ours = set(tree(roots))
    return sum(sum(map(int, fields[11:15])) for pid, fields in _stats() if pid in ours) * TICK_S


def own_cpu_s(pid: int) -> float:
    """Return the CPU seconds of one process, its children's not."""
    return sum(sum(map(int, fields[11:13])) for other, fields in _stats() if other == pid) * TICK_S


class Clock:
    """Processor time of this process and of another one's main thread, for what is shorter than a tick.

    Args:
        pid: the other one's.
    """

    def __init__(self, pid: int) -> None:
        self._stat = Path(f"/proc/{pid}/schedstat")

    def now(self) -> float:
        """Return it in microseconds; the kernel counts in nanoseconds, where `cpu_s` has ticks of 10 ms."""
        return (time.process_time_ns() + int(self._stat.read_text().split()[0])) / 1000


def memory_mb(roots: Iterable[int], *, alone: bool = False) -> float:
    """Return the memory of the trees under `roots` in MB, or of `roots` alone.

    It is PSS: what several processes share counts once.
    """
    return sum(_pss_kb(pid) for pid in (roots if alone else tree(roots))) / 1024


class Peak:
    """The most memory while this is open, by part and altogether.

    Args:
        look: gives MB by part, now.
    """

    def __init__(self, look: Callable[[], dict[str, float]]) -> None:
        self._look_at = look
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.parts: dict[str, float] = {}

    @property
    def mb(self) -> float:
        """Of all parts at their common peak."""
        return sum(self.parts.values())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(LOOK_EVERY_S):
            now = self._look_at()
            if sum(now.values()) > self.mb:
                self.parts = now


def _stats() -> list[tuple[int, list[str]]]:
    """Return (pid, what stands after its name in its stat) of all processes."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - called often
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:  # noqa: PTH123 - the same
                    found.append((int(name), file.read().rpartition(") ")[2].split()))
            except OSError:
                continue
    return found


def _pss_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
