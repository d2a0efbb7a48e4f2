"""W5: enqueue, drain and start with 2 ms added to each round trip to Redis, as between zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.peers import OURS, PEERS
from bench.session import Session
from bench.workloads.drain import drain, fill
from bench.workloads.workload import Column, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["W5"]

DELAY_S = 0.002
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
    peers=("sidelamb", "sidekiq", "dramatiq"),
)
