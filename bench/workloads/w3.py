"""W3: jobs that wait for others: how near the ideal time, and how much memory that takes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from bench.apps.marks import Marks
from bench.limits.service import Caller, EchoService
from bench.meter import Peak, memory_mb
from bench.peers import OURS, PEERS
from bench.session import Session
from bench.workloads.workload import EVERYBODY, Column, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["W3", "W3_LONG"]

LIMIT_S = 300.0
SHORT_S, SHORT_AT_ONCE = 0.1, 50
LONG_S, LONG_AT_ONCE = 1.0, 320
LONG_PEERS = ("sidelamb", "sidekiq", "dramatiq", "huey", "arq", "saq")
"""The lean ones; rq and Celery's processes would be 320 of them."""


def short(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """100 ms each, 50 at once, in one process (with rq and Celery's prefork: in 50)."""
    jobs = sizes.wait // 4 if name == "rq" else sizes.wait
    yield "100 ms, 50 at once", _waited(name, "pause", jobs, SHORT_S, SHORT_AT_ONCE)
    if name == OURS:
        yield "the same, as async def", _waited(name, "apause", jobs, SHORT_S, SHORT_AT_ONCE)


def long(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """1 s each, 320 at once, in one process."""
    yield "1 s, 320 at once", _waited(name, "pause", sizes.wait_long, LONG_S, LONG_AT_ONCE)


def short_limit(sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Do the same in one invocation of a bare function: no queue, and nobody who looks at one."""
    yield "100 ms, 50 at once", _bare(sizes.wait, SHORT_S, SHORT_AT_ONCE)


def long_limit(sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Do the same in one invocation of a bare function."""
    yield "1 s, 320 at once", _bare(sizes.wait_long, LONG_S, LONG_AT_ONCE)


def _bare(jobs: int, seconds: float, at_once: int) -> Figures:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        Marks.make(folder)
        with EchoService(folder, concurrency=1, env={"BENCH_MARKS": text}) as service:
            caller = Caller(service.url)
            caller.call()

            def memory() -> dict[str, float]:
                of_service = memory_mb([service.pid], alone=True)
                return {"service": of_service, "worker": memory_mb([service.pid]) - of_service}

            pauses = {"jobs": jobs, "at_once": at_once, "seconds": seconds}
            with Peak(memory) as peak:
                began = time.perf_counter()
                caller.call(orjson.dumps({"pauses": pauses}))
                took = time.perf_counter() - began
    parts = {f"{part}_mb": mb for part, mb in peak.parts.items()}
    return {"share": 100 * jobs * seconds / at_once / took, "mb": peak.mb, "mb_each": peak.mb / at_once, **parts}


def _waited(name: str, job: str, jobs: int, seconds: float, at_once: int) -> Figures:
    ideal = jobs * seconds / at_once
    with Session(PEERS[name], processes=1, at_once=at_once) as session:
        session.fill(job, at_once, seconds)  # once, so that all is warm and packing knows how long they take
        session.workers.thaw()
        session.drained(at_once, LIMIT_S)
        session.marks.clear()
        session.fill(job, jobs, seconds)
        cpu = session.cpu()
        with Peak(session.workers.memory) as peak:
            began = time.perf_counter()
            session.workers.thaw()
            took = session.drained(jobs, LIMIT_S) - began
        after = session.cpu()
    every = sum(after.values()) - sum(cpu.values())
    memory = {f"{part}_mb": mb for part, mb in peak.parts.items()}
    return {
        "share": 100 * ideal / took,
        "mb": peak.mb,
        "mb_each": peak.mb / at_once,
        "all_us": every / jobs * 1e6,
        **memory,
    }


_COLUMNS = (
    Column("share", "% of the ideal time", ",.1f"),
    Column("mb", "peak MB, all processes", ",.0f"),
    Column("mb_each", "MB a waiting job", ",.2f", better="low"),
    Column("poller_mb", "poller MB", ",.0f"),
    Column("service_mb", "local service MB", ",.0f"),
    Column("worker_mb", "worker MB", ",.0f"),
    Column("all_us", "CPU µs/job, all", ",.0f"),
)
W3 = Workload("W3", "jobs that wait for others", _COLUMNS, measure=short, limit=short_limit, peers=EVERYBODY)
W3_LONG = Workload("W3", "jobs that wait for others", _COLUMNS, measure=long, limit=long_limit, peers=LONG_PEERS)
