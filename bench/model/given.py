"""What the model takes as given: AWS's published limits, a few measured times, and the jobs."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Given", "Jobs", "backlog", "steady"]

SEED = 1
DRAWN = 50_000
"""Durations drawn; a million jobs take turns with them."""


@dataclass(frozen=True, slots=True)
class Given:
    """Of AWS and of the poller.

    Attributes:
        latency_s: of an Invoke within a region, both ways, without the function: median.
        latency_spread: its sigma, lognormal.
        cold_s: what a new environment takes before its first job.
        new_at_once: environments that a function may start at once,
        new_per_s: and so many more a second: 1,000 in 10 s.
        requests_s: synchronous requests a second that one environment takes.
        concurrency: environments at once.
        calls_s: invocations a second that one poller makes; see W7 of the benchmark.
        pollers: how many there are.
        memory_mb: of the function.
        sqs_start: invocations at once with which Lambda begins to read an SQS queue,
        sqs_per_minute: what it adds a minute,
        sqs_most: and its most.
    """

    latency_s: float = 0.012
    latency_spread: float = 0.4
    cold_s: float = 0.6
    new_at_once: int = 1_000
    new_per_s: float = 100.0
    requests_s: float = 10.0
    concurrency: int = 1_250
    calls_s: float = 2_000.0
    pollers: int = 1
    memory_mb: int = 512
    sqs_start: int = 5
    sqs_per_minute: int = 300
    sqs_most: int = 1_250


@dataclass(frozen=True)
class Jobs:
    """What is to be run.

    Attributes:
        count: how many.
        mean_s: of their durations, lognormal.
        rate: enqueued a second; 0: all are there at the beginning.
    """

    count: int
    mean_s: float
    rate: float = 0.0
    spread: float = 0.5
    _sums: list[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        draw = random.Random(SEED)
        mu = math.log(self.mean_s) - self.spread**2 / 2
        drawn = [draw.lognormvariate(mu, self.spread) for _ in range(DRAWN)]
        object.__setattr__(self, "_sums", [0.0, *itertools.accumulate(drawn)])

    def arrived(self, now: float) -> int:
        """Return how many there have been so far."""
        return self.count if not self.rate else min(self.count, math.floor(now * self.rate + 1e-6) + 1)

    def at(self, n: int) -> float:
        """Return when job `n` is enqueued, s."""
        return n / self.rate if self.rate else 0.0

    def starts(self, first: int, count: int) -> Sequence[float]:
        """Return when each of so many jobs in a row starts, and when the last one ends, s from the first."""
        sums, base = self._sums, first % DRAWN
        if count == 1:
            return (0.0, sums[base + 1] - sums[base])
        if base + count <= DRAWN:
            return [s - sums[base] for s in sums[base : base + count + 1]]
        left = DRAWN - base
        head = [s - sums[base] for s in sums[base : DRAWN + 1]]
        rest = self.starts(first + left, count - left)
        return [*head, *(head[-1] + s for s in rest[1:])]


def backlog(count: int, mean_s: float) -> Jobs:
    """Return jobs that are all there."""
    return Jobs(count, mean_s)


def steady(rate: float, seconds: float, mean_s: float) -> Jobs:
    """Return jobs that come evenly."""
    return Jobs(int(rate * seconds), mean_s, rate)
