"""The circuit of a capsule: open while its function fails before it claims anything.

A function that cannot be imported, is missing or refuses every lease charges nobody. After a few such failures
in a row the circuit opens: one job at a time probes it, less and less often, until an invocation gets as far
as claiming its lease. An invocation that was sent before the failures began says nothing about them: it ran the
code that was there before.

Pure: the clock is an argument.
"""

from __future__ import annotations

__all__ = ["Circuit"]

FAILURES = 3
PROBE_FIRST_S = 1.0
PROBE_MOST_S = 5.0


class Circuit:
    """Counts failures before any claim, and says when the next invocation may go."""

    def __init__(self) -> None:
        self._failures = 0
        self._probe_at = 0.0
        self._since = 0.0
        self.reason = ""
        self.times_opened = 0

    @property
    def is_open(self) -> bool:
        """Whether only probes may go."""
        return self._failures >= FAILURES

    def closed_by_success(self, sent_at: float) -> bool:
        """Note an invocation, sent at `sent_at`, that claimed its lease; say whether that closed the circuit."""
        if self._failures and sent_at < self._since:
            return False
        was_open = self.is_open
        self._failures = 0
        self.reason = ""
        return was_open

    def failed(self, now: float, reason: str) -> bool:
        """Note a failure before any claim; say whether that has opened the circuit."""
        was_open = self.is_open
        self._failures += 1
        if self._failures in {1, FAILURES}:
            self._since = now
        self.reason = reason
        if self.is_open:
            late = self._failures - FAILURES
            self._probe_at = now + min(PROBE_MOST_S, PROBE_FIRST_S * 2.0 ** min(late, 10))
        opened = self.is_open and not was_open
        self.times_opened += opened
        return opened

    def wait_s(self, now: float) -> float:
        """Return seconds until a probe may go, 0 if one may go now or the circuit is closed."""
        return max(0.0, self._probe_at - now) if self.is_open else 0.0

    def room(self, free: int, in_flight: int) -> int:
        """Return how many of `free` slots may be used: one at a time while open."""
        if not self.is_open:
            return free
        return min(free, 1) if in_flight == 0 else 0
