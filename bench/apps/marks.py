"""How a job of a benchmark says that it ran, the same way for every system: it writes into shared memory.

`done` has a byte for each job, so that what is lost shows; `started` an epoch second for each; whoever waits for
one job hears the `bell`, a pipe with a name. A mark costs a job some 0.1 µs, and nobody has to ask Redis how far
things are. The folder is in BENCH_MARKS.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

MOST = 1_100_000
"""Jobs of one run."""
MOST_STAMPS = 100_000

_EPOCH_S = struct.Struct("<d")


class Marks:
    """The marks in a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self.done = self._map("done", MOST)
        self._started = self._map("started", MOST_STAMPS * _EPOCH_S.size)
        self._bell: int | None = None

    @classmethod
    def make(cls, folder: Path) -> Marks:
        """Make the files, all zero, and return the marks."""
        for name, size in (("done", MOST), ("started", MOST_STAMPS * _EPOCH_S.size)):
            with (folder / name).open("wb") as file:
                file.truncate(size)
        os.mkfifo(folder / "bell")
        return cls(str(folder))

    @classmethod
    def here(cls) -> Marks:
        """Return those that the environment names."""
        return cls(os.environ["BENCH_MARKS"])

    def stamp(self, n: int, now: float) -> None:
        """Say when job `n` began."""
        _EPOCH_S.pack_into(self._started, n * _EPOCH_S.size, now)

    def stamps(self, count: int) -> list[float]:
        """Return when the first `count` jobs began, epoch s; 0 for one that did not."""
        return [_EPOCH_S.unpack_from(self._started, n * _EPOCH_S.size)[0] for n in range(count)]

    def ring(self) -> None:
        """Wake the one who waits."""
        os.write(self._pipe(), b".")

    def hear(self) -> None:
        """Wait for a ring."""
        os.read(self._pipe(), 1)

    def clear(self) -> None:
        """Nothing has run yet."""
        self.done[:] = bytes(MOST)

    def count(self, jobs: int) -> int:
        """Return how many of the first `jobs` have run."""
        return self.done[:jobs].count(1)

    def _pipe(self) -> int:
        if self._bell is None:
            self._bell = os.open(self._folder / "bell", os.O_RDWR)
        return self._bell

    def _map(self, name: str, size: int) -> mmap.mmap:
        with (self._folder / name).open("r+b") as file:
            return mmap.mmap(file.fileno(), size)
