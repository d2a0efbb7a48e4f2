"""dramatiq: broker, jobs and client."""

from __future__ import annotations

import os
import time
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from marks import Marks

MARKS = Marks.here()

broker = RedisBroker(url=os.environ["REDIS_URL"])
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(n: int) -> None:
    """Do nothing."""
    MARKS.done[n] = 1


@dramatiq.actor
def pause(n: int, seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
    MARKS.done[n] = 1


@dramatiq.actor
def stamp(n: int) -> None:
    """Say when it began."""
    MARKS.stamp(n, time.time())
    MARKS.ring()


JOBS = {"noop": noop, "pause": pause, "stamp": stamp}


class Client:
    """Enqueues. dramatiq has no call for many."""

    def single(self, job: str, numbers: range, *more: Any) -> None:
        """One call a job."""
        for n in numbers:
            JOBS[job].send(n, *more)

    def later(self, job: str, numbers: range, times: list[float]) -> None:
        """Each at its time."""
        for n, at in zip(numbers, times, strict=True):
            JOBS[job].send_with_options(args=(n,), delay=max(0, int((at - time.time()) * 1000)))
