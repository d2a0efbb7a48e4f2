"""What each setting is good for, on this machine: `python bench/tuning.py` prints the tables of docs/tuning.md.

The whole local system each time: poller, Lambda service, sandboxes. Medians of three runs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from sidelamb import Client
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JOBS = """
import time
from sidelamb import job

@job(name="noop")
def noop(n: int) -> None: ...

@job(name="pause")
def pause(ms: float) -> None:
    time.sleep(ms / 1000)

@job(name="reckon")
def reckon(ms: float) -> None:
    end = time.thread_time() + ms / 1000
    while time.thread_time() < end:
        pass
"""
FUNCTION = """
  {name}:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: {name}
      Runtime: python3.13
      CodeUri: .
      Handler: sidelamb_handlers.{handler}.handler
      Timeout: 60
      MemorySize: 512
      Environment: {{ Variables: {{ SIDELAMB_JOBS: tuned, POWERTOOLS_LOG_LEVEL: WARNING }} }}
"""
CAPSULE = """
[capsules.default]
function = "worker"
queues = ["default"]
in_flight = {in_flight}
jobs = {jobs}
threads = {threads}
timeout = 60
"""
RUNS = 3


def capsule(in_flight: int = 2, jobs: int = 1_000, threads: int = 1) -> str:
    """Return a capsule's settings."""
    return CAPSULE.format(in_flight=in_flight, jobs=jobs, threads=threads)


@contextmanager
def system(settings: str) -> Iterator[tuple[Client, redis.Redis]]:
    """Start everything with these settings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tuned.py").write_text(JOBS)
        functions = [FUNCTION.format(name=one, handler=one) for one in ("worker", "scheduler")]
        (folder / "template.yaml").write_text("Resources:" + "".join(functions))
        (folder / "sidelamb.toml").write_text('scheduler = "scheduler"\n' + settings)
        with (
            RedisServer(folder / "redis") as server,
            Stack(folder, redis_url=server.url, concurrency=8),
            redis.Redis.from_url(server.url) as db,
        ):
            yield Client(server.url), db


def until(holds: Callable[[], bool]) -> None:
    """Wait for something."""
    end = time.monotonic() + 120
    while not holds():
        if time.monotonic() > end:
            raise SystemExit("gave up waiting")
        time.sleep(0.005)


def rate(settings: str, job: str, argument: float, count: int) -> float:
    """Return jobs a second, everything warm."""
    rates = []
    with system(settings) as (client, db):
        for run in range(RUNS + 1):
            db.sadd("paused", "default")
            time.sleep(1.2)  # every look has seen it
            db.set("stat:processed", 0)
            client.enqueue_many(job, ((argument,) for _ in range(count)))
            began = time.perf_counter()
            db.srem("paused", "default")
            until(lambda: int(db.get("stat:processed") or 0) >= count)
            if run:
                rates.append(count / (time.perf_counter() - began))
    return statistics.median(rates)


def table(title: str, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print a table as a page has it."""
    print(f"\n{title}\n\n| " + " | ".join(head) + " |\n|" + "--:|" * len(head))
    for row in rows:
        print("| " + " | ".join(f"{cell:,.0f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")


def main() -> None:
    """Run from the command line."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    rows: list[tuple[object, ...]] = [
        (jobs, rate(capsule(jobs=jobs), "noop", 0, min(20_000, 2_000 * jobs))) for jobs in (1, 10, 100, 1_000)
    ]
    table("No-op jobs, two sandboxes", ("jobs an invocation, at most", "jobs/s"), rows)
    rows = [(n, rate(capsule(threads=n), "pause", 20, 400 * n)) for n in (1, 5, 25)]
    table("Jobs that wait 20 ms, two sandboxes", ("threads", "jobs/s"), rows)
    rows = [(n, rate(capsule(threads=n), "reckon", 5, 400)) for n in (1, 5, 25)]
    table("Jobs that reckon for 5 ms, two sandboxes", ("threads", "jobs/s"), rows)
    rows = [(n, rate(capsule(in_flight=n), "pause", 20, 200 * n)) for n in (1, 2, 4, 8)]
    table("Jobs that wait 20 ms, one thread", ("in flight", "jobs/s"), rows)


if __name__ == "__main__":
    main()
