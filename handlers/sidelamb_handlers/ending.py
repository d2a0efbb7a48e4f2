"""How the last seconds of an invocation are used: stop its jobs, sweep its loop, write outcomes down.

Each has a third of the margin that is kept for them, so that a job that will not stop leaves time to settle: what
Lambda ends first is a kill, not a timeout of the job.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Ending"]

MARGIN_S = 3.0
"""Kept at the end of an invocation, but at most a fifth of it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """When what ends. Times in epoch s, durations in s."""

    stop_at: float
    """Jobs that still run are asked to stop."""
    stop_s: float
    """How long a job that was asked to stop may take to do so."""
    sweep_s: float
    """How long tasks that jobs left behind may take to end."""
    settle_by: float
    """No answer of Redis is waited for after this. What is left is for answering Lambda."""

    @classmethod
    def of(cls, began: float, end: float) -> Ending:
        """Return the ending of an invocation that began at epoch s `began` and that Lambda ends at `end`."""
        margin = min(MARGIN_S, max(0.0, end - began) / 5)
        third = margin / 3
        return cls(end - margin, third, third, end - third / 2)
