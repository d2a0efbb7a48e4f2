"""The loads and the ways that the model compares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.model.given import Given, Jobs, backlog, steady
from bench.model.poller import through_poller
from bench.model.sqs import through_sqs
from sidelamb_handlers.prices import PRICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.model.outcome import Outcome

__all__ = ["LOADS", "WAYS", "Load", "results"]

MOST = 4_000
"""Jobs an invocation: the capsule's default."""
STEADY_S = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """Jobs, with a name."""

    name: str
    title: str
    jobs: Callable[[float], Jobs]
    """Given how much of it, 0 to 1."""


LOADS = (
    Load("backlog-20ms", "1,000,000 jobs of 20 ms are there", lambda of: backlog(int(1_000_000 * of), 0.020)),
    Load("backlog-200ms", "1,000,000 jobs of 200 ms are there", lambda of: backlog(int(1_000_000 * of), 0.200)),
    Load("steady-20ms", "5,000 jobs/s of 20 ms, two minutes", lambda of: steady(5_000, STEADY_S * of, 0.020)),
    Load("steady-100ms", "5,000 jobs/s of 100 ms, two minutes", lambda of: steady(5_000, STEADY_S * of, 0.100)),
)


def _packed(jobs: Jobs, given: Given) -> Outcome:
    return through_poller("packed, 1,000 in flight", jobs, replace(given, concurrency=1_000), most=MOST)


def _packed_above(jobs: Jobs, given: Given) -> Outcome:
    """More in flight than Lambda starts at once: it is throttled, and the limit has to find its level."""
    return through_poller("packed, 1,250 in flight", jobs, given, most=MOST)


def _alone(jobs: Jobs, given: Given) -> Outcome:
    """As many pollers as it takes: AWS is to be the limit, not the one who sends."""
    return through_poller("one job an invocation", jobs, replace(given, concurrency=1_000, pollers=4), most=1)


WAYS: tuple[Callable[[Jobs, Given], Outcome], ...] = (_packed, _packed_above, _alone, through_sqs)


def results(given: Given, of: float = 1.0) -> Iterator[tuple[Load, dict[str, Any]]]:
    """Simulate each load by each way; give (load, figures).

    Args:
        given: of AWS and the poller.
        of: how much of each load, 0 to 1.
    """
    for load in LOADS:
        jobs = load.jobs(of)
        for way in WAYS:
            yield load, way(jobs, given).to_json(given, PRICES)
