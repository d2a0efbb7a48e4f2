"""What a month of jobs costs: on Sidelamb, on SQS → Lambda, and on workers that are always there.

Pure: a workload and a price table in, dollars out. The same code, memory and log lines are assumed for all three,
so that what differs is how they are run. Left out for all: free tiers, cold starts, data transfer, what the jobs
themselves use, and people's time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidelamb_handlers.prices import Prices

__all__ = [
    "LONGEST_S",
    "ROWS",
    "Bill",
    "Workload",
    "break_even_use",
    "invocation_s",
    "on_lambda_with_sqs",
    "on_sidelamb",
    "on_workers",
    "runaway",
]

HOURS = 730.0
"""In a month, as AWS counts."""
DAYS = HOURS / 24
DAY_S = 86_400

FULL_VCPU_MB = 1_769
"""Memory at which Lambda gives a whole vCPU; less gets its share."""

OVERHEAD_S = 0.005
"""Of an invocation, to claim a lease and to settle it: a few round trips to a Redis in the same region."""

JOB_LOG_BYTES = 800
"""A job's log line, with what CloudWatch adds to each event. A test holds the worker's real lines to it."""
INVOCATION_LOG_BYTES = 900
"""Lambda's own START, END and REPORT, and the line of metrics."""

POLLER_VCPU, POLLER_GB = 0.25, 0.5
REDIS_NODES = 2
"""In two zones: one may fail."""

SCHEDULER_GB, SCHEDULER_S = 0.25, 0.1
PASSES = 60 * HOURS
"""Of the scheduler: one a minute, while nothing is due in between."""

METRICS, ALARMS = 30, 12
"""Of a stack with one queue; a queue more adds a few."""

SQS_BATCH = 10
"""Messages that one receive, one delete and one invocation take, at most, without a batch window."""
SQS_IDLE_POLLS = 5 * 3 * 60 * HOURS
"""Lambda keeps five long polls of 20 s open on an idle queue; each empty answer is a request."""

FARGATE_USE = 0.30
"""Of workers that are always there: how much of their time they run jobs, peaks and nights averaged."""
LEAST_WORKERS = 2

LONGEST_S = 900
"""That an invocation may take."""

SANDBOX_REQUESTS_S = 10
"""Synchronous invocations a second that Lambda lets one sandbox serve."""
FASTEST_JOBS_S = 12_000
"""Jobs a second on a whole vCPU when they do nothing: measured 64 µs of CPU a job for the whole way on two cores,
and 22 µs for its log line."""

ROWS = ("running jobs", "requests", "queue", "poller", "scheduler", "network", "logs", "metrics, alarms")


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be run.

    Attributes:
        jobs: A day.
        duration_s: Of one job, alone, with this memory.
        memory_mb: Of the function, or of one worker process.
        io_share: Of the duration, the part spent waiting for others; 0 to 1.
        packing: Jobs one invocation carries, on average.
        threads: Of them at once.
        in_flight: Invocations at once, at most.
        nat: Jobs reach the internet through a NAT gateway.
    """

    jobs: float = 100_000
    duration_s: float = 0.2
    memory_mb: int = 512
    io_share: float = 0.5
    packing: int = 1
    threads: int = 1
    in_flight: int = 10
    nat: bool = False

    @property
    def jobs_month(self) -> float:
        """Jobs a month."""
        return self.jobs * DAYS

    @property
    def memory_gb(self) -> float:
        """The memory, in GB as Lambda and Fargate count them."""
        return self.memory_mb / 1024

    @property
    def vcpu(self) -> float:
        """What Lambda gives to so much memory."""
        return self.memory_mb / FULL_VCPU_MB


@dataclass(frozen=True, slots=True)
class Bill:
    """Dollars a month, by row; what a system does not have is not among them."""

    system: str
    rows: dict[str, float]

    @property
    def total(self) -> float:
        """Dollars a month."""
        return sum(self.rows.values())


def invocation_s(jobs: int, threads: int, w: Workload) -> float:
    """Return how long so many jobs take in one sandbox, `threads` at once, in seconds.

    Waiting overlaps, computing does not: it is one interpreter's, and seldom has more than one CPU.
    """
    at_once = min(threads, jobs)
    waves = math.ceil(jobs / at_once) * w.duration_s
    computing = jobs * w.duration_s * (1 - w.io_share)
    return max(waves, computing)


def on_sidelamb(w: Workload, p: Prices) -> Bill:
    """Return Sidelamb's bill."""
    invocations = w.jobs_month / w.packing
    took = invocation_s(w.packing, w.threads, w) + OVERHEAD_S
    poller = HOURS * (POLLER_VCPU * p.fargate_vcpu_h + POLLER_GB * p.fargate_gb_h)
    passes = PASSES * (p.lambda_request + SCHEDULER_GB * SCHEDULER_S * p.lambda_gb_s)
    return Bill(
        "Sidelamb",
        {
            "running jobs": invocations * took * w.memory_gb * p.lambda_gb_s,
            "requests": invocations * p.lambda_request,
            "queue": REDIS_NODES * HOURS * p.redis_node_h,
            "poller": poller,
            "scheduler": passes,
            "network": HOURS * (p.address_h + (p.nat_h if w.nat else 0.0)),
            "logs": _logs(w, invocations, p),
            "metrics, alarms": METRICS * p.metric_month + ALARMS * p.alarm_month,
        },
    )


def on_lambda_with_sqs(w: Workload, p: Prices) -> Bill:
    """Return the bill of an SQS queue that invokes the function: no process, no Redis, one job at a time."""
    batch = min(w.packing, SQS_BATCH)
    invocations = w.jobs_month / batch
    polls = max(2 * invocations, SQS_IDLE_POLLS) if w.jobs else SQS_IDLE_POLLS
    return Bill(
        "SQS → Lambda",
        {
            "running jobs": invocations * invocation_s(batch, 1, w) * w.memory_gb * p.lambda_gb_s,
            "requests": invocations * p.lambda_request,
            "queue": (w.jobs_month + polls) * p.sqs_request,
            "network": HOURS * (p.nat_h + p.address_h) if w.nat else 0.0,
            "logs": _logs(w, invocations, p),
        },
    )


def on_workers(w: Workload, p: Prices) -> Bill:
    """Return the bill of Celery or Sidekiq processes on Fargate, of the same memory and speed as the function."""
    busy_s = w.jobs / DAY_S * invocation_s(w.threads, w.threads, w) / w.threads
    processes = max(LEAST_WORKERS, math.ceil(round(busy_s / FARGATE_USE, 9)))
    each = w.vcpu * p.fargate_vcpu_h + w.memory_gb * p.fargate_gb_h
    return Bill(
        "workers on Fargate",
        {
            "running jobs": processes * HOURS * each,
            "queue": REDIS_NODES * HOURS * p.redis_node_h,
            "network": HOURS * (p.nat_h + p.address_h if w.nat else processes * p.address_h),
            "logs": _logs(w, 0, p),
        },
    )


def break_even_use(w: Workload, p: Prices) -> float:
    """Return from which share of their time in use workers on Fargate run jobs cheaper than Lambda does."""
    fargate = (w.vcpu * p.fargate_vcpu_h + w.memory_gb * p.fargate_gb_h) / 3600
    return fargate / (w.memory_gb * p.lambda_gb_s)


def runaway(w: Workload, p: Prices) -> dict[str, float]:
    """Return what a job that enqueues itself for ever costs a day at most, by row, in dollars.

    All invocations in flight run all day; the jobs do nothing, so that the log lines are as many as can be.
    """
    invocations = w.in_flight * SANDBOX_REQUESTS_S * DAY_S
    jobs = w.in_flight * FASTEST_JOBS_S * min(1.0, w.vcpu) * DAY_S
    return {
        "running jobs": w.in_flight * DAY_S * w.memory_gb * p.lambda_gb_s,
        "requests": invocations * p.lambda_request,
        "logs": (jobs * JOB_LOG_BYTES + invocations * INVOCATION_LOG_BYTES) / 1e9 * p.logs_gb,
    }


def _logs(w: Workload, invocations: float, p: Prices) -> float:
    return (w.jobs_month * JOB_LOG_BYTES + invocations * INVOCATION_LOG_BYTES) / 1e9 * p.logs_gb
