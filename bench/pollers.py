"""Many pollers on one Redis: `python bench/pollers.py`.

Drains no-op jobs with 1, 4 and 16 pollers, alternating, on one queue and on fifty, through the same local Lambda
service and as many sandboxes; and counts what idle pollers say to Redis. All share this machine's cores: that the
rate holds says that pollers do not get in each other's way, not that they add up.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import redis

from sidelamb import Client
from sidelamb_local.poller_child import environment_of
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = Path(__file__).parent / "app"
COUNTS = (1, 4, 16)
SETTINGS = """
scheduler = "{scheduler}"
[capsules.default]
function = "{worker}"
queues = [{queues}]
in_flight = 2
timeout = 30
"""


def wait(what: Callable[[], bool], within_s: float) -> None:
    """Wait until `what` is true."""
    until = time.monotonic() + within_s
    while not what():
        if time.monotonic() > until:
            raise SystemExit("gave up waiting")
        time.sleep(0.005)


class Crowd:
    """Pollers on one stack's Redis."""

    def __init__(self, stack: Stack, folder: Path, count: int, queues: list[str]) -> None:
        file = folder / f"{count}-{len(queues)}.toml"
        names = ", ".join(f'"{queue}"' for queue in queues)
        file.write_text(
            SETTINGS.format(scheduler=stack.scheduler_function, worker=stack.worker_function, queues=names)
        )
        env = {**os.environ, **environment_of(stack.endpoint_url, {"SIDELAMB_REDIS_URL": stack.redis_url})}
        words = [sys.executable, "-m", "sidelamb_handlers.poller", "--config", str(file)]
        quiet = subprocess.DEVNULL
        self._pollers = [subprocess.Popen(words, env=env, stdout=quiet, stderr=quiet) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for poller in self._pollers:
            poller.terminate()
        for poller in self._pollers:
            poller.wait(60)


def drained(client: Client, db: redis.Redis, jobs: int, queues: list[str]) -> float:
    """Return jobs a second, from when the first are taken: how soon a pause's end is seen is another matter."""
    db.set("stat:processed", 0)
    for queue in queues:
        db.sadd("paused", queue)
    for n, queue in enumerate(queues):
        client.enqueue_many("noop", ((i,) for i in range(n, jobs, len(queues))), queue=queue)
    time.sleep(1.5)  # every poller has seen that all is paused
    db.delete("paused")
    wait(lambda: sum(int(db.llen(f"queue:{queue}")) for queue in queues) < jobs, 300)
    began = time.perf_counter()
    wait(lambda: int(db.get("stat:processed") or 0) >= jobs, 300)
    return jobs / (time.perf_counter() - began)


def idle(db: redis.Redis, seconds: float = 5.0) -> float:
    """Return script calls a second while nothing is there to do."""

    def calls() -> int:
        stats: Any = db.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))

    time.sleep(1.0)
    before, began = calls(), time.perf_counter()
    time.sleep(seconds)
    return (calls() - before) / (time.perf_counter() - began)


def measure(
    stack: Stack, folder: Path, jobs: int, runs: int, queues: list[str]
) -> Iterator[tuple[int, float, float]]:
    """Yield (pollers, median jobs a second, script calls a second of all when idle)."""
    client, db = Client(stack.redis_url), redis.Redis.from_url(stack.redis_url)
    rates: dict[int, list[float]] = {count: [] for count in COUNTS}
    still: dict[int, float] = {}
    for run in range(runs):
        for count in COUNTS:
            db.flushall()
            with Crowd(stack, folder, count, queues):
                wait(lambda count=count: db.scard("processes") >= count, 90)
                rates[count].append(drained(client, db, jobs, queues))
                if run == 0:
                    still[count] = idle(db)
    db.close()
    for count in COUNTS:
        yield count, statistics.median(rates[count]), still[count]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000, help="no-op jobs to drain (default: 100,000)")
    parser.add_argument("--runs", type=int, default=3, help="drains of each, of which the median counts (3)")
    options = parser.parse_args()
    print("queues  pollers   drained/s   of one   idle: scripts/s   each")
    for width in (1, 50):
        with ExitStack() as stack_of:
            folder = Path(stack_of.enter_context(tempfile.TemporaryDirectory()))
            server = stack_of.enter_context(RedisServer(folder / "redis"))
            stack = stack_of.enter_context(
                Stack(APP, redis_url=server.url, concurrency=2, poller=False, data_dir=folder / "data")
            )
            one = 0.0
            queues = [f"q{n}" for n in range(width)]
            for count, rate, said in measure(stack, folder, options.jobs, options.runs, queues):
                one = one or rate
                print(
                    f"{width:6} {count:8} {rate:11,.0f} {rate / one:8.2f} {said:18.1f} {said / count:6.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
