"""A poller's own figures for CloudWatch: a line a minute, as it runs in a stack that has a name.

How many invocations were in flight, how often Lambda throttled, and whether a circuit was open, be it for a
moment. That the line is there at all says that the loop turns.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from sidelamb_handlers.emf import BY_STACK, emf_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidelamb_handlers.poller.capsule import Capsule

__all__ = ["Figures"]

EVERY_S = 10.0
"""Between two looks."""
LOOKS = 6
"""So many make a line."""


class Figures:
    """Looks at the capsules, and writes.

    Args:
        stack: its name; empty: nothing is written.
        capsules: what to look at.
        put: takes a line.
        clock: epoch s.
    """

    def __init__(
        self,
        stack: str,
        capsules: Sequence[Capsule],
        *,
        put: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stack = stack
        self._capsules = capsules
        self._put = put or _put
        self._clock = clock
        self._in_flight: list[float] = []
        self._throttles = self._opened = 0

    async def run(self) -> None:
        """Look and write for ever."""
        while self._stack:
            self.look()
            if len(self._in_flight) >= LOOKS:
                self.write()
            await asyncio.sleep(EVERY_S)
        await asyncio.Event().wait()

    def look(self) -> None:
        """Note how many are in flight now."""
        self._in_flight.append(sum(len(capsule.flights) for capsule in self._capsules))

    def write(self) -> None:
        """Write what was since the last line; nothing if there was no look since."""
        if not self._in_flight:
            return
        throttles = sum(capsule.limit.throttles for capsule in self._capsules)
        opened = sum(capsule.circuit.times_opened for capsule in self._capsules)
        open_now = sum(capsule.circuit.is_open for capsule in self._capsules)
        figures: dict[str, float | list[float]] = {"InFlight": self._in_flight}
        if throttles > self._throttles:
            figures["Throttles"] = throttles - self._throttles
        if open_now or opened > self._opened:
            figures["CircuitOpen"] = max(open_now, opened - self._opened)
        self._put(emf_line(self._clock(), {"Stack": self._stack}, {BY_STACK: figures}))
        self._in_flight, self._throttles, self._opened = [], throttles, opened


def _put(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
