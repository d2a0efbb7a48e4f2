"""What each setting is good for, on this machine: `python bench/tuning.py` prints the tables of docs/tuning.md.

The whole local system each time: poller, Lambda service, sandboxes. Medians of three runs.
"""

from __future__ import annotations

import argparse
import json
import random
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
import os, time
from sidelamb import current_job, job

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

@job(name="stamp")
def stamp() -> None:
    with open(os.environ["STAMPS"], "a") as file:
        file.write(f"{time.time() - current_job().enqueued_at}\\n")
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
[capsules.{name}]
function = "worker"
queues = {queues}
in_flight = {in_flight}
jobs = {jobs}
threads = {threads}
timeout = 60
"""
RUNS = 3
SLOW_MS, SLOW, WARM = 500, 60, 12
QUICK, QUICK_EVERY_S = 30, (0.15, 0.45)


def capsule(
    name: str = "default",
    queues: tuple[str, ...] = ("default",),
    *,
    in_flight: int = 2,
    jobs: int = 4_000,
    threads: int = 1,
) -> str:
    """Return a capsule's settings."""
    return CAPSULE.format(name=name, queues=json.dumps(queues), in_flight=in_flight, jobs=jobs, threads=threads)


@contextmanager
def system(settings: str) -> Iterator[tuple[Client, redis.Redis, Path]]:
    """Start everything with these settings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tuned.py").write_text(JOBS)
        functions = [FUNCTION.format(name=one, handler=one) for one in ("worker", "scheduler")]
        (folder / "template.yaml").write_text("Resources:" + "".join(functions))
        (folder / "sidelamb.toml").write_text('scheduler = "scheduler"\n' + settings)
        with (
            RedisServer(folder / "redis") as server,
            Stack(folder, redis_url=server.url, concurrency=8, env={"STAMPS": str(folder / "stamps")}),
            redis.Redis.from_url(server.url) as db,
        ):
            yield Client(server.url), db, folder / "stamps"


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
    with system(settings) as (client, db, _):
        for run in range(RUNS + 1):
            db.sadd("paused", "default")
            time.sleep(1.2)  # every look has seen it
            db.set("stat:processed", 0)
            client.enqueue_many(job, ((argument,) for _ in range(count)))
            db.srem("paused", "default")
            until(lambda: int(db.llen("queue:default")) < count)  # how soon that is seen is another matter
            began = time.perf_counter()
            until(lambda: int(db.get("stat:processed") or 0) >= count)
            if run:
                rates.append(count / (time.perf_counter() - began))
    return statistics.median(rates)


def waits(settings: str, queue: str) -> list[float]:
    """Return milliseconds that quick jobs wait while two slots are busy with jobs of half a second, sorted."""
    with system(settings) as (client, db, stamps):
        client.enqueue_many("pause", ((SLOW_MS,) for _ in range(WARM)))  # so that packing knows how long they take
        client.enqueue("stamp", queue=queue)
        until(lambda: int(db.get("stat:processed") or 0) > WARM)
        stamps.unlink()
        client.enqueue_many("pause", ((SLOW_MS,) for _ in range(SLOW)))
        for _ in range(QUICK):
            time.sleep(random.uniform(*QUICK_EVERY_S))
            client.enqueue("stamp", queue=queue)
        if not db.llen("queue:default"):
            raise SystemExit("the slow jobs were over before the quick ones")
        until(lambda: stamps.exists() and stamps.read_text().count("\n") >= QUICK)
        return sorted(float(line) * 1000 for line in stamps.read_text().split())


def split() -> list[tuple[object, ...]]:
    """Return the rows of quick jobs beside slow ones."""
    found = []
    for words, settings, queue in (
        ("the same queue", capsule(), "default"),
        ("a queue before it, in the same capsule", capsule(queues=("quick", "default")), "quick"),
        ("a capsule of their own", capsule() + capsule("quick", ("quick",), in_flight=1), "quick"),
    ):
        waited = waits(settings, queue)
        found.append((words, waited[len(waited) // 2], waited[-2]))
    return found


def table(title: str, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print a table as a page has it."""
    print(f"\n{title}\n\n| " + " | ".join(head) + " |\n|" + "--:|" * len(head))
    for row in rows:
        print("| " + " | ".join(f"{cell:,.0f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")


def main() -> None:
    """Run from the command line."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    rows: list[tuple[object, ...]] = [
        (jobs, rate(capsule(jobs=jobs), "noop", 0, min(200_000, 2_000 * jobs)))
        for jobs in (1, 10, 100, 1_000, 4_000)
    ]
    table("No-op jobs, two sandboxes", ("jobs an invocation, at most", "jobs/s"), rows)
    rows = [(n, rate(capsule(threads=n), "pause", 20, 400 * n)) for n in (1, 5, 25)]
    table("Jobs that wait 20 ms, two sandboxes", ("threads", "jobs/s"), rows)
    rows = [(n, rate(capsule(threads=n), "reckon", 5, 400)) for n in (1, 5, 25)]
    table("Jobs that reckon for 5 ms, two sandboxes", ("threads", "jobs/s"), rows)
    rows = [(n, rate(capsule(in_flight=n), "pause", 20, 200 * n)) for n in (1, 2, 4, 8)]
    table("Jobs that wait 20 ms, one thread", ("in flight", "jobs/s"), rows)
    table(
        "Quick jobs beside jobs of half a second",
        ("quick jobs have", "they wait, ms (median)", "the slowest but one"),
        split(),
    )


if __name__ == "__main__":
    main()
