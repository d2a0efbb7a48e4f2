"""taskiq: broker (a Redis stream, its fastest), jobs and client, on uvloop."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import uvloop
from marks import Marks
from taskiq_redis import RedisStreamBroker

uvloop.install()
MARKS = Marks.here()
AT_ONCE = 100

broker = RedisStreamBroker(os.environ["REDIS_URL"])


@broker.task(task_name="noop")
async def noop(n: int) -> None:
    """Do nothing."""
    MARKS.done[n] = 1


@broker.task(task_name="pause")
async def pause(n: int, seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)
    MARKS.done[n] = 1


@broker.task(task_name="stamp")
async def stamp(n: int) -> None:
    """Say when it began."""
    MARKS.stamp(n, time.time())
    MARKS.ring()


JOBS = {"noop": noop, "pause": pause, "stamp": stamp}


class Client:
    """Enqueues."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._runner.run(broker.startup())

    def single(self, job: str, numbers: range, *more: Any) -> None:
        """One call a job."""
        self._runner.run(self._each(job, numbers, more))

    def bulk(self, job: str, numbers: range, *more: Any) -> None:
        """100 calls at a time: it has no call for many."""
        self._runner.run(self._gathered(job, numbers, more))

    async def _each(self, job: str, numbers: range, more: tuple[Any, ...]) -> None:
        for n in numbers:
            await JOBS[job].kiq(n, *more)

    async def _gathered(self, job: str, numbers: range, more: tuple[Any, ...]) -> None:
        for first in range(0, len(numbers), AT_ONCE):
            chunk = numbers[first : first + AT_ONCE]
            await asyncio.gather(*(JOBS[job].kiq(n, *more) for n in chunk))
