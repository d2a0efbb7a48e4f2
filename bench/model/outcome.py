"""What came of a simulated load: time, waits, invocations, dollars."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.stats import percentile

if TYPE_CHECKING:
    from bench.model.given import Given
    from sidelamb_handlers.prices import Prices

__all__ = ["Outcome"]

LOOK_EVERY_S = 0.5


@dataclass
class Outcome:
    """Filled by a simulation."""

    way: str
    invocations: int = 0
    throttles: int = 0
    cold_starts: int = 0
    queue_requests: float = 0.0
    """Of SQS."""
    billed_ms: int = 0
    ended: float = 0.0
    """When the last job ended, s."""
    waits: list[float] = field(default_factory=list)
    """Of each job, from enqueue to start, s."""
    line: list[tuple[float, int, int]] = field(default_factory=list)
    """(s, jobs that wait, invocations in flight)."""

    def ran(self, took_s: float) -> None:
        """Note an invocation; Lambda bills whole milliseconds."""
        self.invocations += 1
        self.billed_ms += math.ceil(took_s * 1000)

    def look(self, now: float, waiting: int, flying: int) -> None:
        """Note how things stand, twice a second."""
        if not self.line or now >= self.line[-1][0] + LOOK_EVERY_S:
            self.line.append((round(now, 3), waiting, flying))

    def dollars(self, given: Given, p: Prices) -> float:
        """Return what AWS asks for running it: Lambda, and SQS where it is used."""
        gb_s = self.billed_ms / 1000 * given.memory_mb / 1024
        return gb_s * p.lambda_gb_s + self.invocations * p.lambda_request + self.queue_requests * p.sqs_request

    def to_json(self, given: Given, p: Prices) -> dict[str, Any]:
        """Return its figures."""
        return {
            "way": self.way,
            "drained_s": self.ended,
            "wait_p50_s": percentile(self.waits, 0.50),
            "wait_p99_s": percentile(self.waits, 0.99),
            "invocations": self.invocations,
            "throttles": self.throttles,
            "cold_starts": self.cold_starts,
            "dollars": self.dollars(given, p),
            "line": self.line,
        }
