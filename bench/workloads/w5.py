"""W5: enqueue, drain and start with 2 ms added to each round trip to Redis, as between zones."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from bench.apps.marks import Marks
from bench.limits.service import Caller, EchoService
from bench.peers import OURS, PEERS
from bench.proxy import Proxy
from bench.redis_process import RedisProcess
from bench.session import Session, await_marks
from bench.workloads import w1
from bench.workloads.drain import drain, fill
from bench.workloads.workload import Column, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["W5"]

DELAY_S = 0.002
PACK = 4_000
SANDBOXES = 2
LIMIT_S = 60.0
ONE_BY_ONE = 300
LEAST = 200
SHARE = {"sidekiq": 0.5, "dramatiq": 0.2}
"""Of the usual number of jobs, for those who are slower at a distance."""


def measure(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Measure one peer."""
    peer = PEERS[name]
    with Session(peer, delay_s=DELAY_S) as session:
        taken = session.ask(do="latency", samples=max(10, sizes.latency // 2))
        session.marks.clear()
        one_by_one = fill(session, ONE_BY_ONE, bulk=False)
        session.workers.thaw()
        session.drained(ONE_BY_ONE, 60)
        jobs = max(LEAST, int(peer.jobs * sizes.jobs * SHARE.get(name, 1.0 if name == OURS else 0.1)))
        filled = fill(session, jobs, bulk=True)
        drained = drain(session, jobs)
        rates = {"enqueue": one_by_one["rate"], "bulk": filled["rate"], "drain": drained["rate"]}
        yield "2 ms added", {**rates, "start_ms": taken["start_ms"]}
        if name == OURS:
            filled = fill(session, sizes.many, bulk=True)
            drained = drain(session, sizes.many)
            yield "2 ms added, 200,000", {"bulk": filled["rate"], "drain": drained["rate"]}


def limit(sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Take so many jobs, invoke a bare function with them, say that they are done: two loops of nothing else."""
    yield "2 ms added", {"drain": _bare(int(20_000 * sizes.jobs))}
    yield "2 ms added, 200,000", {"drain": _bare(sizes.many)}


def _bare(jobs: int) -> float:
    with ExitStack() as stack:
        text = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(RedisProcess(text))
        proxy = stack.enter_context(Proxy(server.port, DELAY_S))
        marks = Marks.make(Path(text))
        service = stack.enter_context(EchoService(Path(text), concurrency=SANDBOXES, env={"BENCH_MARKS": text}))
        before, _, behind = w1.PAYLOAD.partition("12345")
        for first in range(0, jobs, PACK):
            numbers = range(first, min(jobs, first + PACK))
            server.db.lpush("queue:default", *(f"{before}{n}{behind}" for n in numbers))
        loops = [threading.Thread(target=_serve, args=(proxy.port, service.url)) for _ in range(SANDBOXES)]
        began = time.perf_counter()
        for loop in loops:
            loop.start()
        ended = await_marks(marks, jobs, LIMIT_S)
        for loop in loops:
            loop.join()
    return jobs / (ended - began)


def _serve(port: int, url: str) -> None:
    db, caller = redis.Redis(port=port), Caller(url)
    while taken := db.rpop("queue:default", PACK):
        caller.call(b'{"jobs":[%b]}' % b",".join(taken))
        db.incrby("processed", len(taken))
    db.close()


W5 = Workload(
    "W5",
    "the same with 2 ms added to each round trip to Redis",
    (
        Column("enqueue", "enqueued/s, one call each", better="high"),
        Column("bulk", "in bulk", better="high"),
        Column("drain", "drained/s", better="high"),
        Column("start_ms.p50", "start, ms p50", ",.2f", better="low"),
        Column("start_ms.p99", "p99", ",.2f"),
    ),
    measure=measure,
    limit=limit,
    peers=("sidelamb", "sidekiq", "dramatiq"),
)
