"""Reads what the ledger jobs wrote."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job; without an end it was cut off."""

    jid: str
    start: float
    end: float | None
    pid: int
    attempt: int
    request_id: str


def read(path: Path) -> dict[str, list[Run]]:
    """Return the runs of each job, in the order they started."""
    runs: dict[str, list[Run]] = defaultdict(list)
    if not path.exists():
        return runs
    for line in path.read_text().splitlines():
        mark, jid, at, pid, attempt, request_id = line.split()
        if mark == "S":
            runs[jid].append(Run(jid, float(at), None, int(pid), int(attempt), request_id))
            continue
        for n, run in enumerate(runs[jid]):
            if run.end is None and run.pid == int(pid):
                runs[jid][n] = Run(jid, run.start, float(at), run.pid, run.attempt, run.request_id)
                break
    return runs


def overlapping(runs: dict[str, list[Run]]) -> list[str]:
    """Return jobs of which two finished runs overlap in time."""
    found = []
    for jid, each in runs.items():
        ended = sorted((r.start, r.end) for r in each if r.end is not None)
        if any(a_end > b_start for (_, a_end), (b_start, _) in pairwise(ended)):
            found.append(jid)
    return found
