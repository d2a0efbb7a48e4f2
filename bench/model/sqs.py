"""SQS → Lambda in simulated time, as AWS has published that it scales. Pure."""

from __future__ import annotations

import heapq
import math
import random
from typing import TYPE_CHECKING

from bench.model.given import SEED
from bench.model.outcome import Outcome
from sidelamb_handlers.cost import SQS_BATCH

if TYPE_CHECKING:
    from bench.model.given import Given, Jobs

__all__ = ["allowed", "through_sqs"]

MINUTE_S = 60.0


def allowed(now: float, given: Given) -> int:
    """Return how many invocations at once there may be, so long after the first message."""
    return min(given.sqs_most, given.sqs_start + math.floor(given.sqs_per_minute * now / MINUTE_S))


def when(slot: int, given: Given) -> float:
    """Return when there may be more than `slot` invocations at once."""
    return max(0.0, (slot + 1 - given.sqs_start) * MINUTE_S / given.sqs_per_minute)


def through_sqs(jobs: Jobs, given: Given) -> Outcome:
    """Return what comes of `jobs`: each slot takes up to ten messages at a time and runs them one by one."""
    outcome, draw, taken = Outcome("SQS → Lambda"), random.Random(SEED), 0
    free = [(when(slot, given), slot, given.cold_s) for slot in range(min(given.sqs_most, given.concurrency))]
    heapq.heapify(free)
    while taken < jobs.count:
        at, slot, cold_s = heapq.heappop(free)
        now = max(at, jobs.at(taken))
        count = max(1, min(SQS_BATCH, jobs.arrived(now) - taken))
        latency = draw.lognormvariate(math.log(given.latency_s), given.latency_spread)
        begins, starts = now + latency / 2 + cold_s, jobs.starts(taken, count)
        for n in range(count):
            outcome.waits.append(begins + starts[n] - jobs.at(taken + n))
        taken += count
        outcome.ran(starts[-1] + cold_s)
        outcome.cold_starts += cold_s > 0
        outcome.queue_requests += count + 2
        outcome.ended = max(outcome.ended, begins + starts[-1])
        heapq.heappush(free, (max(begins + starts[-1] + latency / 2, now + 1 / given.requests_s), slot, 0.0))
        outcome.look(now, jobs.arrived(now) - taken, allowed(now, given))
    return outcome
