"""Sidelamb: jobs, for the sandboxes, and client, for the app."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from marks import Marks

from sidelamb import Client as Pusher
from sidelamb import configure, job

MARKS = Marks.here()


@job(name="noop")
def noop(n: int) -> None:
    """Do nothing."""
    MARKS.done[n] = 1


@job(name="anoop")
async def anoop(n: int) -> None:
    """Do nothing, on the event loop."""
    MARKS.done[n] = 1


@job(name="pause")
def pause(n: int, seconds: float) -> None:
    """Wait on a thread."""
    time.sleep(seconds)
    MARKS.done[n] = 1


@job(name="apause")
async def apause(n: int, seconds: float) -> None:
    """Wait on the event loop."""
    await asyncio.sleep(seconds)
    MARKS.done[n] = 1


@job(name="stamp")
def stamp(n: int) -> None:
    """Say when it began."""
    MARKS.stamp(n, time.time())
    MARKS.ring()


JOBS: dict[str, Any] = {"noop": noop, "anoop": anoop, "pause": pause, "apause": apause, "stamp": stamp}


class Client:
    """Enqueues."""

    def __init__(self) -> None:
        configure(redis=os.environ["REDIS_URL"])
        self._client = Pusher(os.environ["REDIS_URL"])

    def single(self, name: str, numbers: range, *more: Any) -> None:
        """One call a job."""
        one = JOBS[name]
        for n in numbers:
            one.enqueue(n, *more)

    def bulk(self, name: str, numbers: range, *more: Any) -> None:
        """1,000 a call."""
        self._client.enqueue_many(name, ((n, *more) for n in numbers))

    def later(self, name: str, numbers: range, times: list[float]) -> None:
        """Each at its time."""
        for n, at in zip(numbers, times, strict=True):
            self._client.enqueue_at(at, name, n)
