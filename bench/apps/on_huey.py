"""huey: jobs and client. Results are not kept."""

from __future__ import annotations

import os
import time
from typing import Any

from huey import RedisHuey
from marks import Marks

MARKS = Marks.here()

URL = os.environ["REDIS_URL"] + "?max_connections=1000"  # redis-py has no more than 100 by itself
huey = RedisHuey("bench", url=URL, results=False, blocking=True, read_timeout=1)


@huey.task()
def noop(n: int) -> None:
    """Do nothing."""
    MARKS.done[n] = 1


@huey.task()
def pause(n: int, seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
    MARKS.done[n] = 1


@huey.task()
def stamp(n: int) -> None:
    """Say when it began."""
    MARKS.stamp(n, time.time())
    MARKS.ring()


JOBS = {"noop": noop, "pause": pause, "stamp": stamp}


class Client:
    """Enqueues. huey has no call for many."""

    def single(self, job: str, numbers: range, *more: Any) -> None:
        """One call a job."""
        for n in numbers:
            JOBS[job](n, *more)
