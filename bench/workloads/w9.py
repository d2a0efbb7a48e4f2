"""W9: CPU a job by part, and the same drain with a log line a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.peers import PEERS
from bench.session import Session
from bench.workloads import w1
from bench.workloads.drain import drain, fill
from bench.workloads.workload import Column, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["W9"]


def measure(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Drain with logging on; "logging off" is W2's."""
    with Session(PEERS[name], log=True) as session:
        jobs = w1.count(session, sizes)
        client_us = fill(session, jobs, bulk=True)["client_us"]
        yield "logging on", {**drain(session, jobs), "client_us": client_us}


W9 = Workload(
    "W9",
    "CPU a job by part, without and with a log line a job",
    (
        Column("rate", "jobs/s", better="high"),
        Column("all_us", "CPU µs/job, all", ",.1f", better="low"),
        Column("client_us", "client, enqueueing", ",.1f"),
        Column("poller_us", "poller", ",.1f"),
        Column("service_us", "local service", ",.1f"),
        Column("worker_us", "worker", ",.1f"),
        Column("redis_us", "Redis", ",.1f"),
    ),
    measure=measure,
    peers=("sidelamb", "sidekiq", "dramatiq", "celery-threads"),
)
