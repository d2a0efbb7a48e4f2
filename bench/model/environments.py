"""A function's environments: warm ones first, new ones as fast as AWS starts them. Pure."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.model.given import Given

__all__ = ["Environments", "Started"]


@dataclass(frozen=True, slots=True)
class Started:
    """An invocation that found an environment.

    Attributes:
        at: when its handler begins, s.
        cold_s: what the environment took to start before, s.
    """

    at: float
    cold_s: float


class Environments:
    """Of one function."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._free: list[float] = []
        """When each that is not running may take its next request, a heap."""
        self._running = 0
        self._tokens = float(given.new_at_once)
        self._filled_at = 0.0
        self.cold_starts = 0

    def take(self, now: float) -> Started | None:
        """Return an environment's start at time `now`; None: throttled."""
        if self._free and self._free[0] <= now:
            heapq.heappop(self._free)
            self._running += 1
            return Started(now, 0.0)
        if self._running + len(self._free) >= self._given.concurrency or not self._may_start(now):
            return None
        self._running += 1
        self.cold_starts += 1
        return Started(now + self._given.cold_s, self._given.cold_s)

    def give_back(self, began: float, ended: float) -> None:
        """Note the end of an invocation; the environment's next request may not come too soon after its last."""
        self._running -= 1
        heapq.heappush(self._free, max(ended, began + 1 / self._given.requests_s))

    def _may_start(self, now: float) -> bool:
        grown = self._tokens + (now - self._filled_at) * self._given.new_per_s
        self._tokens, self._filled_at = min(float(self._given.new_at_once), grown), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
