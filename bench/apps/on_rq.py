"""rq: jobs and client. No result is kept, as with all."""

from __future__ import annotations

import os
import time
from typing import Any

from marks import Marks
from redis import Redis
from rq import Queue

MARKS = Marks.here()
CHUNK = 1_000


def noop(n: int) -> None:
    """Do nothing."""
    MARKS.done[n] = 1


def pause(n: int, seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
    MARKS.done[n] = 1


def stamp(n: int) -> None:
    """Say when it began."""
    MARKS.stamp(n, time.time())
    MARKS.ring()


JOBS = {"noop": noop, "pause": pause, "stamp": stamp}


class Client:
    """Enqueues."""

    def __init__(self) -> None:
        self._queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))

    def single(self, job: str, numbers: range, *more: Any) -> None:
        """One call a job."""
        for n in numbers:
            self._queue.enqueue(JOBS[job], n, *more, result_ttl=0)

    def bulk(self, job: str, numbers: range, *more: Any) -> None:
        """1,000 a call."""
        for first in range(0, len(numbers), CHUNK):
            chunk = numbers[first : first + CHUNK]
            self._queue.enqueue_many([Queue.prepare_data(JOBS[job], (n, *more), result_ttl=0) for n in chunk])
