"""W6: jobs whose time has come: how many a second are promoted, and how late they run."""

from __future__ import annotations

import os
import random
import tempfile
import time
from typing import TYPE_CHECKING

from bench.apps.marks import MOST_STAMPS
from bench.limits.moves import move_all
from bench.peers import OURS, PEERS
from bench.redis_process import RedisProcess
from bench.session import Session
from bench.workloads.workload import Column, Workload
from sidelamb.link import Link
from sidelamb.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["W6", "W6_LATE"]

ENTRY = b'{"retry":true,"queue":"default","class":"noop","args":[%d],"jid":"%b","created_at":1795657426.137}'
CHUNK = 10_000
AHEAD_S, SPREAD_S = 3.0, 4.0
LIMIT_S = 120.0
PASS_S = 600.0
WARM = 1_000
HOUR_S = 3600.0


def promote(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Let the scheduler make one pass over jobs that are due, alone and beside many that are not."""
    del name
    with tempfile.TemporaryDirectory() as folder, RedisProcess(folder) as server:
        os.environ["SIDELAMB_REDIS_URL"] = server.url
        from sidelamb_handlers.scheduler import Scheduler  # noqa: PLC0415 - reads the environment

        scheduler = Scheduler(Link(server.url), Store())
        _fill(server.db, WARM, time.time() - HOUR_S)
        scheduler.make_pass(time.time() + PASS_S)
        for case in _filled(server.db, sizes):
            began = time.perf_counter()
            done = scheduler.make_pass(time.time() + PASS_S)
            took = time.perf_counter() - began
            if done.promoted != sizes.due:
                raise SystemExit(f"bench: {done.promoted:,} of {sizes.due:,} due jobs were promoted")
            yield case, {"rate": sizes.due / took}


def limit(sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Have Redis move the first of the set by the least script that can: it looks at none of them."""
    with tempfile.TemporaryDirectory() as folder, RedisProcess(folder) as server:
        for case in _filled(server.db, sizes):
            began = time.perf_counter()
            move_all(server.db, sizes.due)
            yield case, {"rate": sizes.due / (time.perf_counter() - began)}


def late(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Enqueue jobs for known times and see how late each starts."""
    with Session(PEERS[name]) as session:
        base = time.time() + AHEAD_S
        times = sorted(base + random.uniform(0, SPREAD_S) for _ in range(min(MOST_STAMPS, sizes.late)))
        session.ask(do="later", job="stamp", count=len(times), times=times)
        for _ in times:
            session.marks.hear()
        starts = session.marks.stamps(len(times))
    lateness = [(start - at) * 1000 for start, at in zip(starts, times, strict=True)]
    yield "lateness", {"late_ms": lateness, "mean_ms": sum(lateness) / len(lateness)}


def _filled(db: redis.Redis, sizes: Sizes) -> Iterator[str]:
    """Fill the set for one case after the other; give the name of each."""
    for case, not_due in (("alone", 0), (f"beside {sizes.not_due:,} not due", sizes.not_due)):
        db.flushdb()
        _fill(db, not_due, time.time() + HOUR_S, first=sizes.due)
        _fill(db, sizes.due, time.time() - HOUR_S)
        _enlarged(db, not_due + sizes.due)
        yield f"promote, {case}"


def _fill(db: redis.Redis, count: int, at: float, first: int = 0) -> None:
    for start in range(first, first + count, CHUNK):
        stop = min(first + count, start + CHUNK)
        db.zadd(
            "schedule",
            {ENTRY % (n, random.randbytes(12).hex().encode()): at + n / 1000 for n in range(start, stop)},
        )


def _enlarged(db: redis.Redis, count: int) -> None:
    """Have Redis end the enlarging of its table, a step with each look: filling began it."""
    some = db.zrange("schedule", 0, CHUNK - 1)
    for _ in range(2 * count // CHUNK):
        db.zmscore("schedule", some)


_COLUMNS = (
    Column("rate", "promoted/s", better="high"),
    Column("mean_ms", "late, ms mean", ",.0f"),
    Column("late_ms.p50", "p50", ",.0f"),
    Column("late_ms.p99", "p99", ",.0f"),
)
W6 = Workload("W6", "jobs whose time has come", _COLUMNS, measure=promote, limit=limit, peers=(OURS,))
W6_LATE = Workload(
    "W6",
    "jobs whose time has come",
    _COLUMNS,
    measure=late,
    peers=tuple(name for name, peer in PEERS.items() if peer.has_later),
)
