"""The whole system on this machine: `python bench/whole.py`.

Drains no-op jobs through poller, local Lambda service and two sandboxes, and measures how soon a job of an idle
system starts. Prints medians; per-job log lines are off (POWERTOOLS_LOG_LEVEL=WARNING).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from sidelamb import Client
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable

APP = Path(__file__).parent / "app"


def wait(what: Callable[[], bool], within_s: float) -> None:
    """Wait until `what` is true."""
    until = time.monotonic() + within_s
    while not what():
        if time.monotonic() > until:
            raise SystemExit("gave up waiting")
        time.sleep(0.005)


def drain(client: Client, db: redis.Redis, jobs: int) -> tuple[float, float, float]:
    """Return (enqueued a second, drained a second, Redis commands a job)."""
    db.flushall()
    began = time.perf_counter()
    client.enqueue_many("noop", ((n,) for n in range(jobs)))
    enqueued = jobs / (time.perf_counter() - began)
    db.config_resetstat()
    began = time.perf_counter()
    wait(lambda: int(db.get("stat:processed") or 0) >= jobs, 300)
    drained = jobs / (time.perf_counter() - began)
    stats = db.info("commandstats")
    calls = sum(v["calls"] for k, v in stats.items()) - stats["cmdstat_config|resetstat"]["calls"]
    polls = stats["cmdstat_get"]["calls"] - 4 * stats["cmdstat_srem"]["calls"]  # our own look at the counter
    return enqueued, drained, (calls - max(0, polls)) / jobs


def latency(client: Client, stamps: Path, samples: int) -> list[float]:
    """Return milliseconds from enqueue to start, for jobs of an idle system."""
    for n in range(samples + 1):
        client.enqueue("stamp", n)
        wait(lambda n=n: stamps.exists() and stamps.read_bytes().count(b"\n") > n, 30)
        time.sleep(0.01)
    return sorted(float(line) * 1000 for line in stamps.read_text().splitlines()[1:])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20_000, help="no-op jobs to drain (default: 20,000)")
    parser.add_argument("--runs", type=int, default=5, help="drains, of which the median counts (default: 5)")
    parser.add_argument("--samples", type=int, default=200, help="latency samples (default: 200)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder) / "stamps"
        with (
            RedisServer(Path(folder) / "redis") as server,
            Stack(APP, redis_url=server.url, concurrency=2, env={"STAMPS": str(stamps)}),
        ):
            client, db = Client(server.url), redis.Redis.from_url(server.url)
            drains = [drain(client, db, options.jobs) for _ in range(options.runs)]
            waits = latency(client, stamps, options.samples)
            db.close()
    enqueued, drained, commands = (statistics.median(column) for column in zip(*drains, strict=True))
    print(f"{options.jobs:,} no-op jobs, two sandboxes, median of {options.runs} runs")
    print(f"  enqueue_many          {enqueued:10,.0f} jobs/s")
    print(f"  drain                 {drained:10,.0f} jobs/s")
    print(f"  Redis commands        {commands:10.3f} a job, those inside scripts included")
    print(f"idle system, warm sandbox, {len(waits)} samples")
    print(f"  enqueue to start      {statistics.median(waits):10.2f} ms median")
    print(f"                        {waits[int(len(waits) * 0.99) - 1]:10.2f} ms p99")


if __name__ == "__main__":
    main()
