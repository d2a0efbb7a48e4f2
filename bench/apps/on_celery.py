"""Celery: app, jobs and client. Results are ignored; four messages are fetched ahead for each that runs."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery
from marks import Marks

MARKS = Marks.here()

app = Celery("bench", broker=os.environ["REDIS_URL"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=True,
    broker_connection_retry_on_startup=True,
    worker_send_task_events=False,
)


@app.task(name="noop")
def noop(n: int) -> None:
    """Do nothing."""
    MARKS.done[n] = 1


@app.task(name="pause")
def pause(n: int, seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
    MARKS.done[n] = 1


@app.task(name="stamp")
def stamp(n: int) -> None:
    """Say when it began."""
    MARKS.stamp(n, time.time())
    MARKS.ring()


JOBS = {"noop": noop, "pause": pause, "stamp": stamp}


class Client:
    """Enqueues. Celery has no call for many."""

    def single(self, job: str, numbers: range, *more: Any) -> None:
        """One call a job."""
        for n in numbers:
            JOBS[job].delay(n, *more)
