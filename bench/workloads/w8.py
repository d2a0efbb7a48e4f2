"""W8: what a job costs in Redis: commands (those inside scripts too), round trips and bytes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bench.peers import PEERS
from bench.session import SETTLED_S, Session
from bench.workloads.workload import Column, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["W8"]

LIMIT_S = 60.0


def measure(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Count one peer's, by INFO commandstats and a proxy that adds nothing."""
    peer = PEERS[name]
    jobs = max(100, int(peer.jobs * sizes.jobs * (1.0 if name == "sidelamb" else 0.3)))
    few = min(jobs, 1_000)
    with Session(peer, delay_s=0.0) as session:

        def thaw() -> None:
            session.workers.thaw()
            session.drained(jobs, LIMIT_S)
            time.sleep(SETTLED_S)

        session.workers.freeze()
        yield "enqueue, one call each", _counted(session, few, lambda: session.fill("noop", few, bulk=False))
        session.workers.thaw()
        session.drained(few, LIMIT_S)
        time.sleep(SETTLED_S)
        session.marks.clear()
        session.workers.freeze()
        if session.has_bulk:
            yield "enqueue in bulk", _counted(session, jobs, lambda: session.fill("noop", jobs, bulk=True))
        else:
            session.fill("noop", jobs)
        yield "drain", _counted(session, jobs, thaw)


def _counted(session: Session, jobs: int, what: Callable[[], Any]) -> Figures:
    proxy = session.proxy
    assert proxy is not None
    calls, counts = session.redis.commands(), proxy.counts()
    what()
    calls_after, counts_after = session.redis.commands(), proxy.counts()
    more = {name: counts_after[name] - counts[name] for name in counts}
    return {
        "commands": (sum(calls_after.values()) - sum(calls.values())) / jobs,
        "round_trips": more["round_trips"] / jobs,
        "bytes": (more["up"] + more["down"]) / jobs,
    }


W8 = Workload(
    "W8",
    "what a job costs in Redis",
    (
        Column("commands", "commands/job", ",.3f", better="low"),
        Column("round_trips", "round trips/job", ",.3f", better="low"),
        Column("bytes", "bytes/job", ",.0f"),
    ),
    measure=measure,
    most_runs=1,
)
