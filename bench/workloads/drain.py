"""Enqueue and drain jobs that do nothing: the steps that W1, W2, W5, W8 and W9 share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.session import SETTLED_S

if TYPE_CHECKING:
    from bench.sample import Figures
    from bench.session import Session

__all__ = ["drain", "fill"]

LIMIT_S = 180.0


def fill(session: Session, jobs: int, *, bulk: bool, job: str = "noop") -> Figures:
    """Put so many jobs on a queue that nobody serves; return what that took of the client and of Redis."""
    session.marks.clear()
    cpu, calls = session.cpu(), session.redis.commands()
    taken = session.fill(job, jobs, bulk=bulk)
    used = session.cpu()["redis"] - cpu["redis"]
    return {
        "rate": jobs / taken["s"],
        "client_us": taken["cpu_s"] / jobs * 1e6,
        "redis_us": used / jobs * 1e6,
        "commands": _more(calls, session.redis.commands()) / jobs,
    }


def drain(session: Session, jobs: int) -> Figures:
    """Have the queue drained that `fill` has filled; return rate, CPU by part and what Redis had to do."""
    cpu, calls = session.cpu(), session.redis.commands()
    began = time.perf_counter()
    session.workers.thaw()
    ended = session.drained(jobs, LIMIT_S)
    time.sleep(SETTLED_S)
    after = session.cpu()
    parts = {f"{part}_us": (after[part] - before) / jobs * 1e6 for part, before in cpu.items()}
    return {
        "rate": jobs / (ended - began),
        "all_us": sum(parts.values()),
        "commands": _more(calls, session.redis.commands()) / jobs,
        **parts,
    }


def _more(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(after.values()) - sum(before.values())
