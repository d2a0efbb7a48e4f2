"""One invocation as the poller sees it: a lease on its way to a worker and back."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidelamb.store import Held

__all__ = ["MARGIN_S", "START_WINDOW_S", "Flight", "new_lease_id"]

START_WINDOW_S = 30.0
"""A lease must be claimed within this time; so long may a cold start and throttling take together."""

MARGIN_S = 10.0
"""Between the last instant an invocation can live and its lease's deadline; half of it is for clock skew."""

_sequence = itertools.count()


def new_lease_id(capsule: str) -> str:
    """Return a lease id: the capsule, a colon, and 64 random bits."""
    return f"{capsule}:{os.urandom(8).hex()}"


@dataclass(slots=True, eq=False)
class Flight:
    """A lease that this poller took."""

    lease: Held
    start_by: float
    """Epoch s by which its first job must have started."""
    timeout: float
    """The function's timeout, s."""
    order: int = field(default_factory=lambda: next(_sequence))
    """Older flights have smaller numbers: their jobs came first off the queue."""
    invoked_at: float = 0.0
    """Epoch s of the first request; 0 before it."""
    careful: bool = False
    """One of its jobs has ended a sandbox: each is settled before the next one starts, so that it is found."""
    claimed_as: str = ""
    """The claim that the poller took itself, for a worker without Redis."""

    @property
    def deadline(self) -> float:
        """Epoch s after which its invocation cannot be alive."""
        return self.start_by + self.timeout + MARGIN_S
