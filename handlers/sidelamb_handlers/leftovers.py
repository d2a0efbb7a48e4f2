"""What the jobs of one invocation have left in Redis, beside their payloads: marks of being cancelled, and states.

A job that is cancelled before it starts is known here. Once jobs are settled as done, what they left is removed:
not earlier, because until then a job may have to go on from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb_handlers.decision import Outcome
from sidelamb_handlers.states import batches_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidelamb_handlers.attempt import Attempt
    from sidelamb_handlers.decision import Decision
    from sidelamb_handlers.states import States

__all__ = ["Leftovers"]

_OVER = {Outcome.SUCCEEDED, Outcome.DISCARDED}
"""A job that ends so never runs again. One that is dead may: a person can send it back."""


class Leftovers:
    """The leftovers of one invocation's jobs.

    Args:
        states: the way to them; None for an invocation without Redis.
    """

    def __init__(self, states: States | None) -> None:
        self.states = states
        self.marked: set[str] = set()
        """Ids of jobs and batches that are cancelled."""
        self._done: list[str] = []

    def look(self, payloads: Sequence[Any]) -> None:
        """Learn which jobs are cancelled."""
        if self.states is not None:
            self.marked = self.states.cancelled(payloads)

    def is_marked(self, attempt: Attempt) -> bool:
        """Say whether a job is cancelled."""
        if attempt.jid not in self.marked:
            return False
        attempt.has_state = True
        return True

    def is_in_a_marked_batch(self, attempt: Attempt) -> bool:
        """Say whether a job's batch, or one that this is in, is cancelled."""
        if not isinstance(attempt.payload, dict):
            return False
        return not self.marked.isdisjoint(batches_of(attempt.payload))

    def ended(self, attempt: Attempt, decision: Decision) -> None:
        """Note what became of a job."""
        if attempt.has_state and decision.outcome in _OVER:
            self._done.append(attempt.jid)

    def clear(self) -> None:
        """Remove what the jobs that are done have left. They must have been settled."""
        if self.states is not None:
            self.states.forget(self._done)
