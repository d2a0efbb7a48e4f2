"""Jobs that write down when they start and end, for tests that count."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidelamb import current_job, job

if TYPE_CHECKING:
    from collections.abc import Iterator

_file: int | None = None


def note(mark: str) -> None:
    """Append one line; a short write to a file opened for appending is never torn."""
    global _file  # noqa: PLW0603 - one descriptor for a sandbox's life
    if _file is None:
        _file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    me = current_job()
    os.write(_file, f"{mark} {me.jid} {time.time():.6f} {os.getpid()} {me.attempt} {me.request_id}\n".encode())


@job(name="noop")
def noop(n: int) -> None:
    """Do nothing, and write nothing."""


@job(name="quick")
def quick(n: int) -> None:
    """Start and end."""
    note("S")
    note("E")


@job(name="pause")
def pause(n: int, seconds: float) -> None:
    """Take a while."""
    note("S")
    time.sleep(seconds)
    note("E")


@job(name="apause")
async def apause(n: int, seconds: float) -> None:
    """Take a while, without a thread."""
    note("S")
    await asyncio.sleep(seconds)
    note("E")


@job(name="walk")
def walk(path: str, count: int, each_s: float, *, cursor: int | None = None) -> Iterator[int]:
    """Note each item, with who did it, before its cursor is yielded."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        for n in range(cursor or 0, count):
            time.sleep(each_s)
            os.write(file, struct.pack("<II", n, os.getpid()))
            yield n + 1
    finally:
        os.close(file)


@job(name="fail", max_retries=3)
def fail(*args: Any, **kwargs: Any) -> None:
    """Fail."""
    note("S")
    raise ValueError("as it should")


@job(name="afail", max_retries=3)
async def afail(n: int) -> None:
    """Fail, without a thread."""
    note("S")
    raise ValueError("as it should")


@job(name="die")
def die() -> None:
    """End the sandbox."""
    note("S")
    os._exit(7)


@job(name="die_once")
def die_once(mark: str) -> None:
    """End the sandbox on the first attempt only."""
    note("S")
    if not Path(mark).exists():
        Path(mark).touch()
        os._exit(7)
    note("E")


@job(name="HardJob")
def hard_job(*args: Any) -> None:
    """What Ruby enqueues in the golden dumps; fails, so that it is retried."""
    note("S")
    raise RuntimeError("hard")
