"""What a whole system really writes: the lines of worker, scheduler and poller, well and ill.

Real processes on this machine, as on AWS but for the service. Each phase is what was written from one moment to
the next; a phase ends with the scheduler's minute, and by stopping the poller, whose last figures come then.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
import redis

from sidelamb import Client
from sidelamb_local.stack import POLLER, Stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JOBS = """
import logging, os, pathlib, time
from awslambdaric.lambda_runtime_log_utils import JsonFormatter
from sidelamb import Kill, before_invocation, job

log = logging.getLogger(__name__)
# As Lambda does it with LogFormat: JSON, which the local service leaves out.
for handler in logging.getLogger().handlers:
    handler.setFormatter(JsonFormatter())

@before_invocation
def connect():
    if pathlib.Path("broken").exists():
        raise ConnectionError("the database is away")

@job
def work(n):
    log.warning("half way")

@job
def hold(s):
    time.sleep(s)

@job
def fail(n):
    raise ValueError("it does not work")

@job
def die():
    raise Kill("for good")

@job
def late(): ...

@job(timeout=0.3, max_retries=0)
def spin():
    while True:
        time.sleep(0.01)

@job(max_retries=0)
def crash():
    os._exit(3)
"""
NARROW = """
Transform: AWS::Serverless-2016-10-31
Resources:
  WorkerFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: sidelamb_handlers.worker.handler
      Runtime: python3.13
      CodeUri: .
      Timeout: 20
      ReservedConcurrentExecutions: 1
      Environment: { Variables: { SIDELAMB_JOBS: jobs } }
  SchedulerFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: sidelamb_handlers.scheduler.handler
      Runtime: python3.13
      CodeUri: .
      Events: { Minute: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 minute) } } }
"""
STACK = "shop"
Lines = list[tuple[float, str, str]]
"""(epoch s, source, line); a source is worker, scheduler or poller, as the log groups are named."""


class Recorder:
    """A running system, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lines: Lines = []
        self._new = threading.Condition()
        self.stack = Stack(folder, env={"SIDELAMB_STACK": STACK}, concurrency=4, on_line=self._heard)
        self.stack.start()
        self.client = Client(self.stack.redis_url)
        self.db = redis.Redis.from_url(self.stack.redis_url)
        self._lambda = boto3.client(
            "lambda",
            endpoint_url=self.stack.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def close(self) -> None:
        """Stop everything."""
        self._lambda.close()
        self.db.close()
        self.client.close()
        self.stack.stop()

    def until(self, says: Callable[[Lines], Any], within_s: float = 30.0) -> None:
        """Wait until what was said since the last phase holds something."""
        with self._new:
            assert self._new.wait_for(lambda: says(self._lines), within_s), [line for _, _, line in self._lines][
                -20:
            ]

    def ended(self, *jids: str) -> None:
        """Wait for the lines of these jobs' ends."""
        self.until(
            lambda lines: all(any(jid in line and '"outcome"' in line for *_, line in lines) for jid in jids)
        )

    def minute(self) -> None:
        """Have the scheduler make its minute's pass."""
        event = json.dumps({"source": "aws.scheduler"})
        answer = self._lambda.invoke(FunctionName=self.stack.scheduler_function, Payload=event)
        answer["Payload"].close()

    def poller_ends(self) -> None:
        """Stop the poller in good order, and wait for its last figures."""
        poller, self.stack._poller = self.stack._poller, None
        poller.stop()
        self.until(lambda lines: any('"InFlight"' in line for *_, line in lines))

    def phase(self) -> Lines:
        """Return what was said since the last phase ended."""
        with self._new:
            said, self._lines = self._lines, []
        names = {
            self.stack.worker_function: "worker",
            self.stack.scheduler_function: "scheduler",
            POLLER: "poller",
        }
        return [(at, names.get(source, source), line) for at, source, line in said]

    def _heard(self, source: str, line: str) -> None:
        with self._new:
            self._lines.append((time.time(), source, line))
            self._new.notify_all()


def emit(folder: Path) -> dict[str, Lines]:
    """Return what was written in each phase: well, failing, gone (no poller, old jobs), broken, throttled."""
    for name in ("wide", "narrow"):
        (folder / name).mkdir()
        (folder / name / "jobs.py").write_text(JOBS)
    (folder / "narrow" / "template.yaml").write_text(NARROW)
    with contextlib.closing(Recorder(folder / "wide")) as here:
        found = _phases(here)
    with contextlib.closing(Recorder(folder / "narrow")) as here:
        here.ended(*(here.client.enqueue("jobs.hold", 0.3) for _ in range(4)))
        here.poller_ends()
        return found | {"throttled": here.phase()}


def _phases(here: Recorder) -> dict[str, Lines]:
    found = {}
    here.ended(*(here.client.enqueue("jobs.work", n) for n in range(25)))
    here.minute()
    here.poller_ends()
    found["well"] = here.phase()

    jids = [here.client.enqueue("jobs.fail", n) for n in range(30)]
    jids += [here.client.enqueue(f"jobs.{name}") for name in ("die", "spin")]
    jids.append(here.client.push({"class": "jobs.late", "args": [], "expiry": time.time()}))
    crash = here.client.enqueue("jobs.crash")
    here.stack.restart_poller()
    here.ended(*jids)
    here.until(lambda lines: any(crash in line and "it runs again at once" in line for *_, line in lines))
    here.minute()
    here.poller_ends()
    found["failing"] = here.phase()

    old = {"class": "jobs.work", "args": [1], "jid": "0" * 24, "queue": "default", "retry": True}
    here.db.lpush("queue:default", json.dumps(old | {"enqueued_at": time.time() - 3_600}))
    here.db.zadd("sidelamb:leases", {"default:lost": time.time() - 600})
    here.db.set("sidelamb:lease:default:lost", "of another program")
    here.minute()
    here.until(lambda lines: any("StuckLeases" in line for *_, line in lines))
    here.db.delete("sidelamb:lease:default:lost", "sidelamb:leases")
    found["gone"] = here.phase()

    (here.folder / "broken").touch()
    here.stack.restart_poller()
    here.until(lambda lines: any("fails before it claims" in line for *_, line in lines))
    here.poller_ends()
    (here.folder / "broken").unlink()
    found["broken"] = here.phase()
    return found
