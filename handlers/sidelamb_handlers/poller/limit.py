"""How many invocations a capsule may have in flight: additive increase, multiplicative decrease.

Lambda says when it is too much (429); nobody has to know the account's quota. The limit is halved at a
throttle, at most once a second, and grows for each round of answers by one, or a sixteenth if that is more, up
to the capsule's own number: from a half it is back within a dozen rounds, however many fly.

Pure: the clock is an argument.
"""

from __future__ import annotations

__all__ = ["Limit"]

DECREASE = 0.5
INCREASE = 1 / 16
"""Of the number in flight, for a round of answers. A step too far costs no more than that share of throttles."""

CALM_S = 1.0
"""Throttles within this time belong to one and the same surge."""


class Limit:
    """A number between 1 and `most` that finds its level."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._value = float(most)
        self._decreased_at = float("-inf")
        self.throttles = 0
        """How many there were."""

    @property
    def value(self) -> int:
        """How many may be in flight now."""
        return max(1, int(self._value))

    def answered(self) -> None:
        """Note an answer: room for a little more."""
        self._value = min(float(self.most), self._value + max(1.0 / max(self._value, 1.0), INCREASE))

    def throttled(self, now: float, in_flight: int) -> None:
        """Note a throttle at time `now` (s), with so many in flight: too much."""
        self.throttles += 1
        if now - self._decreased_at < CALM_S:
            return
        self._decreased_at = now
        self._value = max(1.0, min(self._value, in_flight) * DECREASE)
