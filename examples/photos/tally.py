"""What the demo measures: nothing but the log lines of jobs, and the REPORT line of each invocation.

On AWS the same lines are in CloudWatch, and the same sums can be made of them there.
"""

from __future__ import annotations

import statistics
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidelamb_local.jobline import JobLine, Report, read_line

if TYPE_CHECKING:
    from collections.abc import Callable

# us-east-1, November 2026, as on aws.amazon.com/lambda/pricing; without the free tier.
USD_PER_GB_S = 0.0000133334  # arm64
USD_PER_REQUEST = 0.20 / 1e6
PRICES = (
    "Prices: us-east-1, November 2026, USD 0.0000133334 per GB-s on arm64 and 0.20 per million requests, "
    "without the free tier."
)


class Tally:
    """Takes the lines of a stack, on any thread, and keeps what they say."""

    def __init__(self, on_job: Callable[[JobLine], None]) -> None:
        self.jobs: list[JobLine] = []
        self.reports: dict[str, Report] = {}
        self.said: list[str] = []
        """By poller and stack."""
        self._on_job = on_job
        self._news = threading.Condition()

    def heard(self, source: str, line: str) -> None:
        said = line if source in {"poller", "stack"} else read_line(line)
        with self._news:
            match said:
                case JobLine():
                    self.jobs.append(said)
                case Report():
                    self.reports[said.request_id] = said
                case str():
                    self.said.append(said)
            self._news.notify_all()
        if isinstance(said, JobLine):
            self._on_job(said)

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds; say whether it does."""
        with self._news:
            return self._news.wait_for(holds, seconds)

    def succeeded(self, name: str) -> int:
        """How many different jobs of that name have succeeded."""
        return len({job.jid for job in list(self.jobs) if job.name == name and job.outcome == "succeeded"})

    def last(self, jid: str) -> JobLine | None:
        """The last that was said of a job."""
        return next((job for job in reversed(self.jobs) if job.jid == jid), None)


@dataclass(frozen=True)
class Figures:
    """A part of the demo in numbers."""

    what: str
    jobs: int
    retries: int
    reports: list[Report]
    """Of the invocations that ran these jobs."""
    seconds: float = 0.0
    """From the first enqueue to the last end; 0: not of one piece."""
    waits_ms: list[float] = field(default_factory=list)
    """Of each job, from enqueue to start."""

    @property
    def wait_p50_ms(self) -> float:
        return statistics.median(self.waits_ms)

    @property
    def wait_p99_ms(self) -> float:
        return statistics.quantiles(self.waits_ms, n=100)[98]

    @property
    def usd(self) -> float:
        return usd(self.reports)


def usd(reports: list[Report]) -> float:
    """What AWS would bill for these invocations."""
    return sum(report.gb_s * USD_PER_GB_S + USD_PER_REQUEST for report in reports)
