"""How many jobs one invocation should carry, learned from how long jobs take.

Packing pays for short jobs and hurts long ones, which would wait behind each other. So the capsule's maximum
is lowered to what runs in about TARGET_S, by a moving average of the answers, in which those of many jobs
weigh more. When Lambda throttles, fewer are in flight, and what waits is packed tighter by itself.

Pure: no clock.
"""

from __future__ import annotations

import math

__all__ = ["Pack"]

TARGET_S = 2.0
"""An invocation that carries several jobs should take about so long."""

FIRST = 100
"""Jobs an invocation carries at most while nothing is known of how long they take."""

WEIGHT = 0.2
"""Of the newest answer in the moving average, at least."""

KEPT_A_JOB = 0.99
"""What is known already weighs so much less with each job of an answer: a hundred say more than one."""


class Pack:
    """The number of jobs for the next invocations of one capsule.

    Args:
        most: the capsule's maximum.
        threads: how many of them run at once.
    """

    def __init__(self, most: int, threads: int = 1) -> None:
        self._most = most
        self._threads = threads
        self._job_s: float | None = None

    @property
    def size(self) -> int:
        """Jobs an invocation should carry at most."""
        if not self._job_s:
            return min(self._most, FIRST)
        # The same number for each thread: none is without a job while others run their last.
        each = max(1, math.ceil(TARGET_S / self._job_s))
        return min(self._most, each * self._threads)

    def ran(self, jobs: int, ms: float) -> None:
        """Note an invocation that ran so many jobs in so many milliseconds."""
        if jobs < 1:
            return
        took = ms / 1000 * min(self._threads, jobs) / jobs
        weight = max(WEIGHT, 1 - KEPT_A_JOB**jobs)
        self._job_s = took if self._job_s is None else (1 - weight) * self._job_s + weight * took
