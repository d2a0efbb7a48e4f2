"""arq: jobs, worker settings and client, on uvloop. It polls; 10 ms is as often as is reasonable."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from typing import Any, ClassVar

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from marks import Marks

uvloop.install()
MARKS = Marks.here()
REDIS = RedisSettings.from_dsn(os.environ["REDIS_URL"])
AT_ONCE = 100

QUIET = {"version": 1, "root": {"level": "WARNING"}}
"""Logging without a line a job."""


async def noop(_: Any, n: int) -> None:
    """Do nothing."""
    MARKS.done[n] = 1


async def pause(_: Any, n: int, seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)
    MARKS.done[n] = 1


async def stamp(_: Any, n: int) -> None:
    """Say when it began."""
    MARKS.stamp(n, time.time())
    MARKS.ring()


class WorkerSettings:
    """What `arq` runs."""

    functions: ClassVar = [noop, pause, stamp]
    redis_settings = REDIS
    max_jobs = int(os.environ.get("BENCH_AT_ONCE", "50"))
    poll_delay = 0.01
    keep_result = 0


class Client:
    """Enqueues."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._pool = self._runner.run(create_pool(REDIS))

    def single(self, job: str, numbers: range, *more: Any) -> None:
        """One call a job."""
        self._runner.run(self._each(job, numbers, more))

    def bulk(self, job: str, numbers: range, *more: Any) -> None:
        """100 calls at a time: it has no call for many."""
        self._runner.run(self._gathered(job, numbers, more))

    def later(self, job: str, numbers: range, times: list[float]) -> None:
        """Each at its time."""
        self._runner.run(self._later(job, numbers, times))

    async def _each(self, job: str, numbers: range, more: tuple[Any, ...]) -> None:
        for n in numbers:
            await self._pool.enqueue_job(job, n, *more)

    async def _gathered(self, job: str, numbers: range, more: tuple[Any, ...]) -> None:
        for first in range(0, len(numbers), AT_ONCE):
            chunk = numbers[first : first + AT_ONCE]
            await asyncio.gather(*(self._pool.enqueue_job(job, n, *more) for n in chunk))

    async def _later(self, job: str, numbers: range, times: list[float]) -> None:
        for n, at in zip(numbers, times, strict=True):
            await self._pool.enqueue_job(job, n, _defer_until=datetime.fromtimestamp(at, UTC))
