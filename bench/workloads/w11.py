"""W11: growth. The same drain from a deeper queue and with more pollers; the API's pages on larger sets."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from bench import api, pollers
from bench.peers import OURS, PEERS
from bench.redis_process import RedisProcess
from bench.session import Session
from bench.workloads.drain import LIMIT_S, fill
from bench.workloads.workload import Column, Workload
from sidelamb import Client
from sidelamb_local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["W11", "W11_API", "W11_POLLERS"]

DRAINED = 100_000
"""Jobs of which the rate is taken, however deep the queue is."""
SMALL = 10_000
TIMES = 100
EMPTY_LIMIT_S = 30.0


def depth(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Drain 100,000 jobs from queues of each depth."""
    with Session(PEERS[name]) as session:
        for jobs in sizes.depths:
            each = min(jobs, DRAINED)
            took = sum(_drained(session, jobs, each) for _ in range(DRAINED // each))
            yield f"{jobs:,} queued", {"rate": DRAINED / took}


def _drained(session: Session, jobs: int, count: int) -> float:
    """Fill the queue, time the first `count`, and throw the others away."""
    fill(session, jobs, bulk=True)
    began = time.perf_counter()
    session.workers.thaw()
    took = session.drained(count, LIMIT_S) - began
    db = session.redis.db
    db.delete("queue:default")
    until = time.monotonic() + EMPTY_LIMIT_S
    while db.exists("sidelamb:leases") and time.monotonic() < until:
        time.sleep(0.01)
    return took


def several(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Drain with 1, 4 and 16 pollers that share two sandboxes, there and back: the weather hits all alike."""
    del name
    took = dict.fromkeys(pollers.COUNTS, 0.0)
    with ExitStack() as stack_of:
        folder = Path(stack_of.enter_context(tempfile.TemporaryDirectory()))
        server = stack_of.enter_context(RedisProcess(str(folder)))
        stack = Stack(pollers.APP, redis_url=server.url, concurrency=2, poller=False, data_dir=folder / "data")
        stack_of.enter_context(stack)
        client = Client(server.url)
        for count in (*pollers.COUNTS, *reversed(pollers.COUNTS)):
            server.db.flushall()
            with pollers.Crowd(stack, folder, count, ["q0"]):
                _await_processes(server.db, count)
                pollers.drained(client, server.db, SMALL, ["q0"])  # warm
                took[count] += sizes.many / pollers.drained(client, server.db, sizes.many, ["q0"])
    for count, seconds in took.items():
        yield f"pollers: {count}", {"rate": 2 * sizes.many / seconds}


def _await_processes(db: redis.Redis, count: int) -> None:
    pollers.wait(lambda: int(db.scard("processes")) >= count, 90)


def pages(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Time pages, steps of searches and summaries on small and on large sets."""
    del name
    for entries in (SMALL, sizes.entries):
        with tempfile.TemporaryDirectory() as folder, RedisProcess(folder) as server:
            with redis.Redis.from_url(server.url) as db:
                api.fill(db, entries)
            figures = {}
            for label, what in api.looks(Client(server.url), entries // 100):
                what()
                figures[f"{label}_ms"] = api.timed(what, TIMES)[0]
        yield f"API, {entries:,} entries each", figures


_LOOKS = ("Queue.page, anywhere", "Stats.summary", "RetrySet.page, anywhere", "RetrySet.search, a step")
_FIND = "RetrySet.find with its score"
_COLUMNS = (
    Column("rate", "drained/s"),
    *(Column(f"{label}_ms", f"{label}, ms", ",.2f") for label in (*_LOOKS, _FIND)),
)
W11 = Workload("W11", "growth", _COLUMNS, measure=depth, peers=(OURS,), more_runs=1)
W11_POLLERS = Workload("W11", "growth", _COLUMNS, measure=several, peers=(OURS,), more_runs=1)
W11_API = Workload("W11", "growth", _COLUMNS, measure=pages, peers=(OURS,), most_runs=1)
