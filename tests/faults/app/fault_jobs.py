"""Jobs that note in SQLite when they start and end, by a clock that all processes of the machine share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sidelamb import Kill, current_job, job, periodic
from sidelamb.limits import Concurrent, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb import BatchStatus
    from sidelamb.effects import Effect

_db: sqlite3.Connection | None = None


def note(mark: str) -> None:
    """Write one row about the job that runs here; returns when it is stored."""
    job = current_job()
    write(job.jid, mark, f"{job.lease} {job.field}")  # type: ignore[attr-defined]


def write(jid: str, mark: str, place: str) -> None:
    """Write one row."""
    ledger().execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", (jid, mark, time.monotonic(), os.getpid(), place))


def ledger() -> sqlite3.Connection:
    """Return where it is written."""
    global _db  # noqa: PLW0603 - one connection for a sandbox's life
    if _db is None:
        _db = sqlite3.connect(os.environ["LEDGER"], timeout=20, isolation_level=None, check_same_thread=False)
        _db.execute("PRAGMA synchronous=OFF")
    return _db


@contextlib.contextmanager
def noted() -> Iterator[None]:
    """Note the start of a run and its end: E for a good one, F for one that an exception or the worker ended, also
    while it noted E: there it may wait for another process that writes, and be told that its time is over.

    That its outcome was written down is noted by sitecustomize.py: A.
    """
    note("S")
    try:
        yield
        note("E")
    except BaseException:
        note("F")
        raise


@job(name="quick")
def quick(n: int) -> None:
    """Start and end."""
    with noted():
        pass


@job(name="slow")
def slow(n: int) -> None:
    """Take a third of a second."""
    with noted():
        time.sleep(0.3)


@job(name="later")
async def later(n: int) -> None:
    """Take a while on the loop."""
    with noted():
        await asyncio.sleep(0.1)


@job(name="failing", max_retries=5, backoff=lambda attempt, error: 0.5)
def failing(n: int) -> None:
    """Fail twice, then succeed."""
    with noted():
        if current_job().attempt < 3:
            raise ValueError("as it should")


@job(name="crashing")
def crashing(n: int, marks: str) -> None:
    """End the sandbox on the first run."""
    with noted():
        mark = Path(marks) / current_job().jid
        if not mark.exists():
            mark.touch()
            os._exit(7)


@job(name="walk")
def walk(n: int, *, cursor: int | None = None) -> Iterator[int]:
    """Go through some items."""
    with noted():
        for item in range(cursor or 0, 20):
            time.sleep(0.01)
            yield item + 1


@job(name="dying", max_retries=5)
def dying(n: int) -> None:
    """Go to the dead set."""
    with noted():
        raise Kill("as it should")


@job(name="told")
def told(status: BatchStatus, options: dict[str, object]) -> None:
    """Be a callback of a batch."""
    with noted():
        pass


@job(name="step")
def step(trail: list[str]) -> list[str]:
    """Hand on which steps it came through."""
    with noted():
        return [*trail, current_job().jid]


@job(name="single", unique_for=600)
def single(key: int) -> None:
    """Be the only one of its key."""
    with noted():
        time.sleep(0.1)


class NotedWindow(Window):
    """Knows when each job that was let in has asked."""

    asked: ClassVar[dict[str, float]] = {}

    def taking(self, name: str, who: str, now: float, until: float) -> Effect:
        """Take note."""
        self.asked[who] = now
        return super().taking(name, who, now, until)


@job(name="limited", limit=Concurrent(2))
def limited(n: int) -> None:
    """Run beside one other."""
    with noted():
        time.sleep(0.2)


@job(name="windowed", limit=NotedWindow(4, per=3.0))
def windowed(n: int) -> None:
    """Note when it was let in."""
    with noted():
        ledger().execute("INSERT INTO passes VALUES (?)", (NotedWindow.asked[current_job().jid],))


@periodic("* * * * *", missed="all")
@job(name="tick")
def tick() -> None:
    """Be there each minute, of which sitecustomize.py makes five seconds."""
    with noted():
        pass
