"""Sidelamb's poller in simulated time: its own `Pack` and `Limit` decide, as they do in a real one.

Only what is around them is simulated: the queue, the clock, Lambda. One part of packing is in `reserve.lua`,
spread then pack; `shares` says the same, and a test holds it to what the script does.
"""

from __future__ import annotations

import heapq
import math
import random
from typing import TYPE_CHECKING

from bench.model.environments import Environments
from bench.model.given import SEED
from bench.model.outcome import Outcome
from sidelamb_handlers.cost import OVERHEAD_S
from sidelamb_handlers.poller.capsule import RESERVE_MOST, RETRY_FIRST_S, RETRY_MOST_S
from sidelamb_handlers.poller.limit import Limit
from sidelamb_handlers.poller.pack import Pack

if TYPE_CHECKING:
    from bench.model.given import Given, Jobs

__all__ = ["shares", "through_poller"]

_SENT, _ENDED = 0, 1


MOST_JOBS = 10_000
"""Of one call, if more than one lease is packed."""


def shares(waiting: int, slots: int, most: int) -> list[int]:
    """Return how many jobs each lease gets: with fewer than slots one, else `ceil(jobs / slots)` up to `most`."""
    each = 1 if waiting <= slots else min(most, math.ceil(waiting / slots))
    leases = min(slots, max(1, MOST_JOBS // each), math.ceil(waiting / each))
    return [min(each, waiting - n * each) for n in range(leases)]


class _Poller:
    """One simulation."""

    def __init__(self, way: str, jobs: Jobs, given: Given, most: int) -> None:
        self._jobs, self._given = jobs, given
        self.outcome = Outcome(way)
        self._limit, self._pack = Limit(given.concurrency), Pack(most)
        self._environments = Environments(given)
        self._draw = random.Random(SEED)
        self._events: list[tuple[float, int, int, tuple[float, ...]]] = []
        self._order = 0
        self._taken = 0
        self._flying = 0
        self._free_at = 0.0
        """When the poller has sent what it has reserved."""

    def run(self) -> Outcome:
        """Run until nothing is left."""
        now = 0.0
        while self._taken < self._jobs.count or self._events:
            self._reserve(now)
            now = self._next(now)
            while self._events and self._events[0][0] <= now:
                at, kind, _, what = heapq.heappop(self._events)
                if kind == _SENT:
                    self._send(at, int(what[0]), int(what[1]), what[2])
                else:
                    self._end(at, int(what[0]), what[1])
            self.outcome.look(now, self._jobs.arrived(now) - self._taken, self._flying)
        self.outcome.cold_starts = self._environments.cold_starts
        self.outcome.throttles = self._limit.throttles
        return self.outcome

    def _next(self, now: float) -> float:
        """Return when something happens next."""
        times = [self._events[0][0]] if self._events else []
        if self._taken < self._jobs.count and self._limit.value > self._flying:
            come = self._jobs.at(self._taken)
            times.append(max(self._free_at, come) if max(self._free_at, come) > now else now + 1e-3)
        return max(now, min(times))

    def _reserve(self, now: float) -> None:
        """Fill all free slots, one call after the other."""
        room = min(RESERVE_MOST, self._limit.value - self._flying)
        waiting = self._jobs.arrived(now) - self._taken
        if now < self._free_at or room <= 0 or waiting <= 0:
            return
        cost = 1 / (self._given.calls_s * self._given.pollers)
        for n, count in enumerate(shares(waiting, room, self._pack.size)):
            self._flying += 1
            self._put(now + (n + 1) * cost, _SENT, (self._taken, count, RETRY_FIRST_S))
            self._taken += count
            self._free_at = now + (n + 1) * cost

    def _send(self, now: float, first: int, count: int, pause: float) -> None:
        latency = self._draw.lognormvariate(math.log(self._given.latency_s), self._given.latency_spread)
        started = self._environments.take(now + latency / 2)
        if started is None:
            self._limit.throttled(now + latency, self._flying)
            again = now + latency + pause * self._draw.uniform(0.5, 1.0)
            self._put(again, _SENT, (first, count, min(RETRY_MOST_S, pause * 2)))
            return
        starts = self._jobs.starts(first, count)
        begins = started.at + OVERHEAD_S / 2
        for n in range(count):
            self.outcome.waits.append(begins + starts[n] - self._jobs.at(first + n))
        took = starts[-1] + OVERHEAD_S
        ended = started.at + took
        self.outcome.ran(took + started.cold_s)
        self.outcome.ended = max(self.outcome.ended, begins + starts[-1])
        self._environments.give_back(started.at, ended)
        self._put(ended + latency / 2, _ENDED, (count, took * 1000))

    def _end(self, now: float, count: int, ms: float) -> None:
        del now
        self._flying -= 1
        self._limit.answered()
        self._pack.ran(count, ms)

    def _put(self, at: float, kind: int, what: tuple[float, ...]) -> None:
        self._order += 1
        heapq.heappush(self._events, (at, kind, self._order, what))


def through_poller(way: str, jobs: Jobs, given: Given, *, most: int) -> Outcome:
    """Return what comes of `jobs` through Sidelamb, with up to `most` jobs an invocation."""
    return _Poller(way, jobs, given, most).run()
