"""What `sidelamb dev` heard, kept in a file of the app's `.sidelamb` folder for `sidelamb logs`.

A line is `<epoch s><TAB><source><TAB><line>`. The file and the one before it are kept, 10 MB each.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["LogFile", "Said", "follow", "kept"]

FILE = "dev.log"
MOST_BYTES = 10_000_000
LOOK_EVERY_S = 0.2


class Said(NamedTuple):
    """One line."""

    at: float
    """Epoch s."""
    source: str
    """A function's name, or one of `stack.POLLER` and `stack.STACK`."""
    line: str


class LogFile:
    """Writes; may be called on any thread.

    Args:
        data_dir: The folder; it need not be there before the first line.
        clock: Epoch s.
        most: Bytes of one file.
    """

    def __init__(self, data_dir: Path, *, clock: Callable[[], float] = time.time, most: int = MOST_BYTES) -> None:
        self._path, self._before = _paths(data_dir)
        self._clock, self._most = clock, most
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        self._closed = False

    def write(self, source: str, line: str) -> None:
        """Keep a line; after `close` it is dropped."""
        with self._lock:
            if self._closed:
                return
            if self._file is None:
                self._file = self._path.open("a", buffering=1, encoding="utf-8")
            self._file.write(f"{self._clock():.3f}\t{source}\t{line}\n")
            if self._file.tell() > self._most:
                self._file.close()
                self._path.replace(self._before)
                self._file = None

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()


def kept(data_dir: Path, since: float) -> Iterator[Said]:
    """Give what was said since epoch s `since`."""
    for path in reversed(_paths(data_dir)):
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                yield from _since(since, file)


def follow(data_dir: Path, since: float, wait: Callable[[float], object] = time.sleep) -> Iterator[Said]:
    """Give what was said since epoch s `since`, and then what is said, for ever."""
    path, before = _paths(data_dir)
    if before.exists():
        with before.open(encoding="utf-8", errors="replace") as file:
            yield from _since(since, file)
    while True:
        while not path.exists():
            wait(LOOK_EVERY_S)
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from _since(since, _until_replaced(path, file, wait))


def _until_replaced(path: Path, file: TextIO, wait: Callable[[float], object]) -> Iterator[str]:
    """Give the lines of a file as they come, until another has taken its name and all of it was read."""
    partial, replaced = "", False
    while True:
        partial += file.readline()
        if partial.endswith("\n"):
            yield partial
            partial = ""
        elif replaced:
            return
        else:
            replaced = _inode(path) != os.fstat(file.fileno()).st_ino
            if not replaced:
                wait(LOOK_EVERY_S)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _since(since: float, lines: Iterable[str]) -> Iterator[Said]:
    for line in lines:
        at, _, rest = line.rstrip("\n").partition("\t")
        source, tab, said = rest.partition("\t")
        try:
            moment = float(at)
        except ValueError:
            continue
        if tab and moment >= since:
            yield Said(moment, source, said)


def _paths(data_dir: Path) -> tuple[Path, Path]:
    """Return the file, and the one before it."""
    return data_dir / FILE, data_dir / f"{FILE}.1"
