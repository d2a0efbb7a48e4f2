"""W4: an idle system; from enqueue to the job's start, and until the app knows that it has run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.apps.marks import Marks
from bench.apps.timing import latency
from bench.limits.service import Caller, EchoService
from bench.redis_process import RedisProcess
from bench.workloads.workload import Column, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.session import Session
    from bench.sizes import Sizes

__all__ = ["W4", "limit"]

POP = Path(__file__).resolve().parent.parent / "limits" / "pop.py"


def step(session: Session, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Enqueue one at a time."""
    session.ask(do="latency", samples=5)
    taken = session.ask(do="latency", samples=sizes.latency)
    session.marks.clear()
    yield "idle", taken


class _Push:
    """A client that pushes a number and nothing else."""

    def __init__(self, server: RedisProcess) -> None:
        self._db = server.db

    def single(self, _: str, numbers: range) -> None:
        self._db.lpush("queue:default", f"s{numbers[0]}")


def limit(sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """A bare loop of blocking pops, and on top of it a bare round trip to a bare function."""
    with tempfile.TemporaryDirectory() as folder, RedisProcess(folder) as server:
        marks = Marks.make(Path(folder))
        worker = subprocess.Popen([sys.executable, str(POP), server.url, folder])
        latency(_Push(server), marks, 5)
        taken = latency(_Push(server), marks, sizes.latency)
        worker.kill()
        worker.wait()
    with tempfile.TemporaryDirectory() as folder, EchoService(Path(folder), concurrency=1) as service:
        caller = Caller(service.url)
        for _ in range(20):
            caller.call()
        trips = [_timed(caller) for _ in range(sizes.latency)]
    yield "bare pop", taken
    together = [pop + trip for pop, trip in zip(taken["start_ms"], trips, strict=True)]
    yield "idle", {"start_ms": together, "trip_ms": trips}


def _timed(caller: Caller) -> float:
    time.sleep(0.012)
    began = time.perf_counter()
    caller.call()
    return (time.perf_counter() - began) * 1000


W4 = Workload(
    "W4",
    "an idle system: how soon a job starts",
    (
        Column("start_ms.p50", "start, ms p50", ",.2f", better="low"),
        Column("start_ms.p95", "p95", ",.2f"),
        Column("start_ms.p99", "p99", ",.2f"),
        Column("end_ms.p50", "known to have run, ms p50", ",.2f"),
        Column("end_ms.p99", "p99", ",.2f"),
    ),
    step=step,
    limit=limit,
)
