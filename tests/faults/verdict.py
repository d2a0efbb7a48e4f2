"""What must hold after the fire, said as sentences about what did not. Pure.

- Every job that was accepted is finished, or in exactly one place in Redis.
- A job is started again only if its earlier run had not ended, had failed, or if Redis had not acknowledged that
  it was done: it had ended so shortly before its own sandbox died (a neighbour's crash), or in a fault that keeps
  Redis from being heard or shortly before it; then it starts again after its lease's deadline, not sooner.
- Two runs of one job never overlap in time. A run without an end lasts until its process was seen dead.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Run", "runs_of", "verdict"]

SETTLED_WITHIN_S = 1.5
"""An outcome is written at most 0.2 s after its job; on a busy machine a little more."""
SEEN_LATE_S = 0.5
"""So much later than it happened the death of a process may be noted."""
BACK_AFTER_S = 1.0
"""No lease comes back sooner after the end of a job: its deadline lies two seconds behind its invocation's."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job, by the monotonic clock; without an end it was cut off."""

    start: float
    end: float | None
    failed: bool
    pid: int
    gone: float
    """When it can no longer have been alive."""
    died: float
    """When its process was seen dead, or after everything."""
    acknowledged: bool = False
    """Whether Redis acknowledged what became of it."""


def runs_of(
    rows: Iterable[tuple[str, str, float, int, str]], deaths: Mapping[int, float], until: float
) -> dict[str, list[Run]]:
    """Return the runs of each job from the ledger's rows (jid, mark, time, pid, place), in order of time."""
    open_: dict[tuple[str, int], tuple[float, str, float, str]] = {}
    runs: dict[str, list[Run]] = defaultdict(list)
    rows = sorted(rows, key=lambda row: row[2])
    written = {place for _, mark, _, _, place in rows if mark == "A"}

    def close(jid: str, pid: int) -> None:
        start, mark, end, place = open_.pop((jid, pid))
        gone = deaths.get(pid, until) if mark == "S" else end
        died = deaths.get(pid, math.inf)
        runs[jid].append(Run(start, None if mark == "S" else end, mark == "F", pid, gone, died, place in written))

    for jid, mark, at, pid, place in rows:
        if mark == "S":
            if (jid, pid) in open_:
                start, was, *_ = open_[jid, pid]
                if was == "S":  # it was stopped, and the same process took it up again
                    runs[jid].append(Run(start, None, failed=False, pid=pid, gone=at, died=at))
                    del open_[jid, pid]
                else:
                    close(jid, pid)
            open_[jid, pid] = (at, "S", at, place)
        elif (jid, pid) in open_:
            open_[jid, pid] = (open_[jid, pid][0], mark, at, place)
    for jid, pid in list(open_):
        close(jid, pid)
    return {jid: sorted(each, key=lambda run: run.start) for jid, each in runs.items()}


def verdict(
    accepted: Sequence[str],
    runs: Mapping[str, Sequence[Run]],
    places: Mapping[str, Sequence[str]],
    faults: Sequence[tuple[float, float]],
) -> list[str]:
    """Return what did not hold.

    Args:
        accepted: ids that enqueue returned.
        runs: of each job.
        places: where in Redis each job is that is there.
        faults: from when to when each fault lasted that keeps Redis from being heard.
    """
    wrong = [f"job {jid} was enqueued {n} times" for jid, n in Counter(accepted).items() if n > 1]
    for jid in accepted:
        each = runs.get(jid, ())
        finished = any(run.end is not None and not run.failed for run in each)
        where = places.get(jid, ())
        if not finished and not where:
            wrong.append(f"job {jid} is lost: {len(each)} runs, and nowhere in Redis")
        if len(where) > 1:
            wrong.append(f"job {jid} is in {len(where)} places: {', '.join(where)}")
        for first, second in pairwise(each):
            if second.start < first.gone - (SEEN_LATE_S if first.end is None else 0.0):
                late = first.gone - second.start
                wrong.append(f"job {jid} was started {late:.2f} s before its run in process {first.pid} was over")
            elif first.end is not None and not first.failed and not _excused(first, first.end, second, faults):
                since = second.start - first.end
                heard = "had acknowledged it" if first.acknowledged else "was not kept from being heard"
                wrong.append(f"job {jid} was started again {since:.2f} s after it had finished, and Redis {heard}")
    return wrong


def _excused(first: Run, end: float, second: Run, faults: Sequence[tuple[float, float]]) -> bool:
    """Whether a run that ended well may not have been settled."""
    if first.acknowledged:
        return False
    if first.died - end < SETTLED_WITHIN_S and first.died < second.start + SEEN_LATE_S:
        return True
    return _in_fault(end, faults) and second.start - end > BACK_AFTER_S


def _in_fault(end: float, faults: Sequence[tuple[float, float]]) -> bool:
    return any(begin - SETTLED_WITHIN_S <= end <= over for begin, over in faults)
