"""What is to be reached, and what was: ratios in one run, on this machine. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.peers import OURS, PEERS
from bench.stats import interval, ratios
from bench.workloads.w7 import BOTO3
from bench.workloads.workload import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.sample import Results

__all__ = ["TARGETS", "Target", "Verdict", "verdicts"]

PYTHON = tuple(name for name in PEERS if name not in {OURS, "sidekiq"})
ENOUGH = 6
"""Rounds of which the extremes hold the median with 95 %."""
ELSEWHERE = {"Resque": 292, "Sidekiq 8.1.7 with YJIT": 43_260}
"""Jobs that do nothing, drained a second by one process on two such cores and the same Redis. They are of another
day: Debian has neither, so they cannot be measured here."""
W3_CASES = ("100 ms, 50 at once", "1 s, 320 at once")


@dataclass(frozen=True, slots=True)
class Target:
    """One of them.

    Attributes:
        workload: W1 to W11.
        words: what, without the number.
        value: takes it from results; None if it was not measured.
        want: the number,
        least: which the value must reach; else it must not be above it.
        form: of both.
        spread: the 95 % interval of a paired ratio.
    """

    workload: str
    words: str
    value: Callable[[Results], float | None]
    want: float
    least: bool = True
    form: str = ",.2f"
    spread: Callable[[Results], tuple[float, float] | None] | None = None

    def met_by(self, value: float) -> bool:
        """Say whether it is reached."""
        return value >= self.want if self.least else value <= self.want


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what was measured."""

    target: Target
    value: float
    spread: tuple[float, float] | None

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.target.met_by(self.value)


def verdicts(results: Results) -> list[Verdict]:
    """Return those targets for which there are figures."""
    found = []
    for target in TARGETS:
        value = target.value(results)
        if value is not None:
            found.append(Verdict(target, value, target.spread(results) if target.spread else None))
    return found


def _times(
    workload: str, case: str, figure: str, *others: str, their_case: str = ""
) -> Callable[[Results], float | None]:
    """Ours over the best of the others."""

    def value(results: Results) -> float | None:
        ours = results.median(workload, case, OURS, figure)
        theirs = [results.median(workload, their_case or case, other, figure) for other in others]
        best = max((each for each in theirs if each), default=None)
        return None if ours is None or best is None else ours / best

    return value


def _plain(workload: str, case: str, figure: str) -> Callable[[Results], float | None]:
    return lambda results: results.median(workload, case, OURS, figure)


def _elsewhere(name: str, times: int) -> Target:
    words = f"a second, where {times} times {name} is wanted (measured elsewhere: {ELSEWHERE[name]:,})"
    return Target("W2", words, _plain("W2", "200,000", "rate"), times * ELSEWHERE[name], form=",.0f")


def _memory(case: str) -> Callable[[Results], float | None]:
    """Ours over the least of the peers."""

    def value(results: Results) -> float | None:
        ours = results.median("W3", case, OURS, "mb_each")
        theirs = [
            results.median("W3", case, peer, "mb_each") for peer in results.peers("W3", case) if peer != OURS
        ]
        least = min((each for each in theirs if each), default=None)
        return None if ours is None or least is None else ours / least

    return value


def _over_limit(results: Results) -> float | None:
    ours = results.median("W4", "idle", OURS, "start_ms.p50")
    bare = results.median("W4", "idle", LIMIT, "start_ms.p50")
    return None if ours is None or bare is None else ours / bare


def _kept(near: str, far: str) -> Callable[[Results], float | None]:
    def value(results: Results) -> float | None:
        there = results.median("W2", near, OURS, "rate")
        here = results.median("W5", far, OURS, "drain")
        return None if there is None or here is None else 100 * here / there

    return value


def _beside(results: Results) -> list[float] | None:
    case = next((case for case in results.cases("W6") if case.startswith("promote, beside")), "")
    return _paired(results, "W6", case, "promote, alone")


def _paired(results: Results, workload: str, case: str, base: str) -> list[float] | None:
    """Return the ratios of two cases, round by round."""
    found = ratios(results.rounds(workload, case, OURS, "rate"), results.rounds(workload, base, OURS, "rate"))
    return found or None


def _interval(found: list[float] | None) -> tuple[float, float] | None:
    """Return the 95 % interval, if there are rounds enough for one."""
    return interval(found) if found is not None and len(found) >= ENOUGH else None


def _deepest(results: Results) -> list[float] | None:
    cases = [case for case in results.cases("W11") if case.endswith(" queued")]
    return _paired(results, "W11", cases[-1], cases[0]) if len(cases) > 1 else None


def _pollers(count: int) -> Callable[[Results], list[float] | None]:
    return lambda results: _paired(results, "W11", f"pollers: {count}", "pollers: 1")


def _flat(words: str, paired: Callable[[Results], list[float] | None]) -> Target:
    def value(results: Results) -> float | None:
        found = paired(results)
        return None if found is None else statistics.median(found)

    def spread(results: Results) -> tuple[float, float] | None:
        return _interval(paired(results))

    return Target("W11", words, value, 0.95, spread=spread)


def _waits() -> Iterable[Target]:
    for case in W3_CASES:
        yield Target("W3", f"{case}: % of the ideal time", _plain("W3", case, "share"), 98.0, form=",.1f")
        words = f"{case}: memory a waiting job, over the leanest peer's"
        yield Target("W3", words, _memory(case), 1.0, least=False)


TARGETS: tuple[Target, ...] = (
    Target("W1", "one call each, times Sidekiq 6.4.1", _times("W1", "single", "rate", "sidekiq"), 1.3),
    Target("W1", "one call each, times the best Python peer", _times("W1", "single", "rate", *PYTHON), 1.3),
    Target("W1", "in bulk, times Sidekiq 6.4.1", _times("W1", "bulk", "rate", "sidekiq"), 3.0),
    Target("W1", "in bulk, times the best Python peer", _times("W1", "bulk", "rate", *PYTHON), 20.0),
    Target("W2", "times Sidekiq 6.4.1, two processes", _times("W2", "200,000", "rate", "sidekiq"), 4.0),
    Target(
        "W2",
        "times Sidekiq 6.4.1, one process",
        _times("W2", "200,000", "rate", "sidekiq", their_case="one process"),
        4.0,
    ),
    Target(
        "W2",
        "times dramatiq, two processes",
        _times("W2", "200,000", "rate", "dramatiq", their_case="20,000"),
        16.0,
    ),
    Target(
        "W2",
        "times dramatiq, one process",
        _times("W2", "200,000", "rate", "dramatiq", their_case="one process"),
        16.0,
    ),
    Target(
        "W2",
        "times celery, two processes",
        _times("W2", "200,000", "rate", "celery-threads", "celery-prefork", their_case="20,000"),
        70.0,
    ),
    Target(
        "W2",
        "times celery, one process",
        _times("W2", "200,000", "rate", "celery-threads", their_case="one process"),
        70.0,
    ),
    _elsewhere("Resque", 250),
    _elsewhere("Sidekiq 8.1.7 with YJIT", 2),
    Target(
        "W2",
        "CPU µs a job, all processes and Redis",
        _plain("W2", "200,000", "all_us"),
        25.0,
        least=False,
        form=",.1f",
    ),
    *_waits(),
    Target("W4", "start p50, over a bare pop and a bare round trip", _over_limit, 2.0, least=False),
    Target("W5", "20,000: % of W2's rate kept", _kept("20,000", "2 ms added"), 80.0, form=",.0f"),
    Target("W5", "200,000: % of W2's rate kept", _kept("200,000", "2 ms added, 200,000"), 80.0, form=",.0f"),
    Target("W6", "promoted a second, alone", _plain("W6", "promote, alone", "rate"), 200_000, form=",.0f"),
    Target(
        "W6",
        "promoted beside many not due, over alone",
        lambda results: None if (found := _beside(results)) is None else statistics.median(found),
        0.95,
        spread=lambda results: _interval(_beside(results)),
    ),
    Target("W6", "lateness p99, ms", _plain("W6", "lateness", "late_ms.p99"), 1_200, least=False, form=",.0f"),
    Target("W6", "lateness mean, ms", _plain("W6", "lateness", "mean_ms"), 600, least=False, form=",.0f"),
    Target("W7", "invocations a second, times boto3's", _times("W7", "invoke only", "rate", BOTO3), 5.0),
    Target("W7", "MB with 5,000 in flight", _plain("W7", "5,000 in flight", "mb"), 150, least=False, form=",.0f"),
    Target(
        "W8", "Redis commands a drained job", _plain("W8", "drain", "commands"), 0.15, least=False, form=",.3f"
    ),
    Target(
        "W8", "round trips a drained job", _plain("W8", "drain", "round_trips"), 0.05, least=False, form=",.3f"
    ),
    Target(
        "W8", "round trips an enqueue", _plain("W8", "enqueue, one call each", "round_trips"), 1.0, least=False
    ),
    _flat("rate from the deepest queue, over the shallowest", _deepest),
    _flat("rate with 4 pollers, over one", _pollers(4)),
    _flat("rate with 16 pollers, over one", _pollers(16)),
)
