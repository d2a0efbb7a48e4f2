"""streaq: worker, jobs and client, on uvloop. No result is kept."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any

import uvloop
from marks import Marks
from streaq import Worker

if not os.environ.get("BENCH_LOG"):
    logging.disable(logging.INFO)  # it has no setting for less than a line a job
MARKS = Marks.here()
CHUNK = 1_000

worker: Worker[None] = Worker(
    redis_url=os.environ["REDIS_URL"],
    concurrency=int(os.environ.get("BENCH_AT_ONCE", "50")),
    anyio_kwargs={"use_uvloop": True},
)


@worker.task(ttl=0)
async def noop(n: int) -> None:
    """Do nothing."""
    MARKS.done[n] = 1


@worker.task(ttl=0)
async def pause(n: int, seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)
    MARKS.done[n] = 1


@worker.task(ttl=0)
async def stamp(n: int) -> None:
    """Say when it began."""
    MARKS.stamp(n, time.time())
    MARKS.ring()


JOBS = {"noop": noop, "pause": pause, "stamp": stamp}


class Client:
    """Enqueues."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    def single(self, job: str, numbers: range, *more: Any) -> None:
        """One call a job."""
        self._runner.run(self._each(job, numbers, more))

    def bulk(self, job: str, numbers: range, *more: Any) -> None:
        """1,000 a call."""
        self._runner.run(self._many(job, numbers, more))

    async def _each(self, job: str, numbers: range, more: tuple[Any, ...]) -> None:
        async with worker:
            for n in numbers:
                await JOBS[job].enqueue(n, *more)

    async def _many(self, job: str, numbers: range, more: tuple[Any, ...]) -> None:
        async with worker:
            for first in range(0, len(numbers), CHUNK):
                tasks = [JOBS[job].enqueue(n, *more) for n in numbers[first : first + CHUNK]]
                await worker.enqueue_many(tasks)
