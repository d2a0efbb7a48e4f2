"""saq: queue, jobs, worker settings and client, on uvloop. No result is kept."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import uvloop
from marks import Marks
from saq import Queue

uvloop.install()
MARKS = Marks.here()
AT_ONCE = 100

queue = Queue.from_url(os.environ["REDIS_URL"])


async def noop(_: Any, *, n: int) -> None:
    """Do nothing."""
    MARKS.done[n] = 1


async def pause(_: Any, *, n: int, seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)
    MARKS.done[n] = 1


async def stamp(_: Any, *, n: int) -> None:
    """Say when it began."""
    MARKS.stamp(n, time.time())
    MARKS.ring()


settings = {
    "queue": queue,
    "functions": [noop, pause, stamp],
    "concurrency": int(os.environ.get("BENCH_AT_ONCE", "50")),
}


class Client:
    """Enqueues."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._runner.run(queue.connect())

    def single(self, job: str, numbers: range, *more: Any) -> None:
        """One call a job."""
        self._runner.run(self._each(job, numbers, more))

    def bulk(self, job: str, numbers: range, *more: Any) -> None:
        """100 calls at a time: it has no call for many."""
        self._runner.run(self._gathered(job, numbers, more))

    async def _each(self, job: str, numbers: range, more: tuple[Any, ...]) -> None:
        for n in numbers:
            await self._one(job, n, more)

    async def _gathered(self, job: str, numbers: range, more: tuple[Any, ...]) -> None:
        for first in range(0, len(numbers), AT_ONCE):
            await asyncio.gather(*(self._one(job, n, more) for n in numbers[first : first + AT_ONCE]))

    async def _one(self, job: str, n: int, more: tuple[Any, ...]) -> None:
        seconds = {"seconds": more[0]} if more else {}
        await queue.enqueue(job, ttl=-1, n=n, **seconds)
