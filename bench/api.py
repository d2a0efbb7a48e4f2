"""The API on large sets: `python bench/api.py`.

Fills a queue and three sets with a million entries each, then times pages, steps of walks and searches, and
summaries; then goes through whole sets and empties one. Looks at how much the memory of this process grows in all
of that.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from sidelamb import Client
from sidelamb.api import DeadSet, Leases, Place, Queue, RetrySet, ScheduledSet, Stats
from sidelamb_local.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 20_000
ENTRY = b'{"class":"Work","args":[%d],"jid":"%024x","queue":"default","retry":true,"created_at":1.8e9}'


def bar(label: str, done: int, whole: int) -> None:
    """Draw progress on a terminal."""
    if sys.stderr.isatty():
        filled = 30 * done // whole
        end = "\n" if done == whole else ""
        sys.stderr.write(f"\r{label:10} [{'█' * filled}{'·' * (30 - filled)}] {done:,} of {whole:,}{end}")
        sys.stderr.flush()


def fill(db: redis.Redis, entries: int) -> None:
    """Put `entries` jobs into a queue and into each set."""
    for name in ("queue:default", "schedule", "retry", "dead"):
        for first in range(0, entries, CHUNK):
            last = min(entries, first + CHUNK)
            raws = {ENTRY % (n, n): n for n in range(first, last)}
            if name == "queue:default":
                db.lpush(name, *raws)
            else:
                db.zadd(name, raws)
            bar(name, last, entries)
    db.sadd("queues", "default")


def timed(what: Callable[[], object], times: int) -> tuple[float, float]:
    """Return median and 99th percentile in milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        what()
        taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return taken[times // 2], taken[int(times * 0.99)]


def looks(client: Client, pages: int) -> list[tuple[str, Callable[[], object]]]:
    """Return what is timed, by name.

    Args:
        client: of the Redis that `fill` has filled.
        pages: how many there are of each.
    """
    queue, stats, leases = Queue("default", client), Stats(client), Leases(client)
    rows: list[tuple[str, Callable[[], object]]] = [
        ("Queue.page, anywhere", lambda: queue.page(random.randrange(pages))),
        ("Queue.size and latency", lambda: (queue.size(), queue.latency())),
        ("Stats.summary", stats.summary),
        ("Stats.queues", stats.queues),
        ("Leases.page", leases.page),
    ]
    for one in (ScheduledSet(client), RetrySet(client), DeadSet(client)):
        name = type(one).__name__
        rows += [
            (f"{name}.page, anywhere", partial(_page, one, pages)),
            (f"{name}.search, a step", partial(_search, one)),
            (f"{name}.step, anywhere", partial(_step, one, pages)),
            (f"{name}.find with its score", partial(one.find, f"{5:024x}", 5.0)),
        ]
    return rows


def _page(one: ScheduledSet | RetrySet | DeadSet, pages: int) -> object:
    return one.page(random.randrange(pages))


def _step(one: ScheduledSet | RetrySet | DeadSet, pages: int) -> object:
    return one.step(Place(random.randrange(100 * pages), b""))


def _search(one: ScheduledSet | RetrySet | DeadSet) -> object:
    return one.search("no such job", random.getrandbits(20))


def fill_at(url: str, entries: int) -> None:
    """Fill the Redis at a URL."""
    with redis.Redis.from_url(url) as db:
        fill(db, entries)


def wholes(client: Client) -> list[tuple[str, Callable[[], int]]]:
    """Return what is done with whole sets, by name; each returns how many entries there were."""
    return [
        ("going through the queue", lambda: sum(1 for _ in Queue("default", client))),
        ("going through RetrySet", lambda: sum(1 for _ in RetrySet(client))),
        ("DeadSet.delete_all", lambda: DeadSet(client).delete_all().moved),
    ]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--entries", type=int, default=1_000_000, help="in the queue and in each set (1000000)")
    parser.add_argument("--times", type=int, default=300, help="how often each is timed (300)")
    options = parser.parse_args()
    pages = options.entries // 100
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        filling = multiprocessing.get_context("spawn").Process(target=fill_at, args=(server.url, options.entries))
        filling.start()  # a process of its own: what it needs is not what the API needs
        filling.join()
        client = Client(server.url)
        rows = looks(client, pages)
        for _, what in rows:
            what()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{options.entries:,} entries each, {options.times} times        median       p99")
        for label, what in rows:
            median, p99 = timed(what, options.times)
            print(f"  {label:36} {median:8.2f} ms {p99:8.2f} ms")
        for label, go in wholes(client):
            began = time.perf_counter()
            n = go()
            print(f"  {label:36} {n:8,} in {time.perf_counter() - began:.1f} s")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"  memory grown                         {grown:8.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
