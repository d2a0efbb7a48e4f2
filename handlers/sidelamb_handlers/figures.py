"""What the jobs of one invocation amount to, for CloudWatch: a line of metrics for each of its queues.

While jobs run it only counts. Times are read off at the end, of at most 100 jobs of a queue: the slowest, and
others at even distances. So a large invocation costs no more than a small one, and percentiles stay true.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb_handlers.decision import SUCCEEDED, Outcome
from sidelamb_handlers.emf import BY_CLASS, BY_QUEUE, BY_STACK, MOST_VALUES, emf_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidelamb_handlers.attempt import Attempt
    from sidelamb_handlers.decision import Decision
    from sidelamb_handlers.emf import Dimensions, Value

__all__ = ["Figures"]

_NAMES = {Outcome.RETRY: "Retried", Outcome.DEAD: "Dead"}
_OF_STACK = ("Failed", "Dead")
"""What an alarm looks at over all queues; alarms cannot search."""


class Figures:
    """Of one invocation.

    Args:
        stack: its name, a dimension of every metric.
        by_class: whether there are metrics for each class of job too.
    """

    def __init__(self, stack: str, *, by_class: bool = False) -> None:
        self._stack = stack
        self._by_class = by_class
        self._ran: dict[str, list[Attempt]] = {}
        self._ends: dict[str, list[tuple[Attempt, Decision]]] = {}

    def add(self, a: Attempt, decision: Decision) -> None:
        """Note how a job ended."""
        ran = self._ran.get(a.queue)
        if ran is None:
            ran = self._ran[a.queue] = []
        if a.started_at and decision.counted:
            ran.append(a)
        if decision is not SUCCEEDED:
            self._ends.setdefault(a.queue, []).append((a, decision))

    def lines(self, now: float) -> list[str]:
        """Return the lines of the invocation, which ended at epoch s `now`."""
        of_stack: dict[str, Value] = {"JobsPerInvocation": sum(map(len, self._ran.values()))}
        lines = []
        for queue, ran in self._ran.items():
            ends = self._ends.get(queue, [])
            counts = _counts(ends)
            of_queue: dict[str, Value] = {**_processed(ran, ends), **counts, **_times(ran)}
            of_stack |= {name: counts[name] for name in _OF_STACK if name in counts}
            values = {"Stack": self._stack, "Queue": queue}
            if of_queue or of_stack:
                lines.append(emf_line(now, values, {BY_QUEUE: of_queue, BY_STACK: of_stack}))
            of_stack = {}
        if self._by_class:
            lines += self._lines_by_class(now)
        return lines

    def _lines_by_class(self, now: float) -> list[str]:
        classes: dict[str, tuple[list[Attempt], list[tuple[Attempt, Decision]]]] = {}
        for a in (a for ran in self._ran.values() for a in ran):
            classes.setdefault(a.name, ([], []))[0].append(a)
        for a, decision in (end for ends in self._ends.values() for end in ends):
            if a.job is not None:  # a name that nobody knows may be any text
                classes.setdefault(a.name, ([], []))[1].append((a, decision))
        lines = []
        for name, (ran, ends) in classes.items():
            failed = {k: v for k, v in _counts(ends).items() if k == "Failed"}
            figures: dict[Dimensions, Mapping[str, Value]] = {
                BY_CLASS: {**_processed(ran, ends), **failed, **_times(ran, latency=False)}
            }
            if figures[BY_CLASS]:
                lines.append(emf_line(now, {"Stack": self._stack, "Class": name}, figures))
        return lines


def _processed(ran: list[Attempt], ends: list[tuple[Attempt, Decision]]) -> dict[str, Value]:
    """Return the number of attempts: a job that failed without being started counts as one, as in Sidekiq."""
    n = len(ran) + sum(decision.failed and not a.started_at for a, decision in ends)
    return {"Processed": n} if n else {}


def _counts(ends: list[tuple[Attempt, Decision]]) -> dict[str, Value]:
    """Return how many jobs ended in which way other than well; what is zero is left out."""
    counts: dict[str, float] = {}
    for a, decision in ends:
        names = [name for name in (_NAMES.get(decision.outcome), "Failed" if decision.failed else None) if name]
        if decision.outcome is Outcome.DISCARDED and not a.started_at and decision.reason.startswith("expired"):
            names.append("Expired")
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return dict(counts)


def _times(ran: list[Attempt], *, latency: bool = True) -> dict[str, Value]:
    """Return milliseconds that jobs ran, and that they waited."""
    if not ran:
        return {}
    some = _some(ran)
    times: dict[str, Value] = {"Duration": [_ms(a.started_at, a.ended_at) for a in some]}
    waited = [_ms(a.enqueued_at, a.started_at) for a in some if a.enqueued_at is not None] if latency else []
    return {**times, "QueueLatency": waited} if waited else times


def _some(ran: list[Attempt]) -> list[Attempt]:
    if len(ran) <= MOST_VALUES:
        return ran
    last = len(ran) - 1
    picked = [ran[n * last // (MOST_VALUES - 2)] for n in range(MOST_VALUES - 1)]
    return [*picked, max(ran, key=lambda a: a.ended_at - a.started_at)]


def _ms(since: float, until: float) -> float:
    """Return milliseconds; clocks of two machines may disagree about them."""
    return round(max(0.0, until - since) * 1000, 1)
