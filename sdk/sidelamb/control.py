"""What a job raises to speak its outcome, and what it meets when its time is over.

Any other exception is a failure: the job is retried by its own rules.
"""

from __future__ import annotations

import math
from datetime import timedelta

from sidelamb.errors import JobError

__all__ = ["Discard", "JobTimeout", "Kill", "Retry", "Snooze", "seconds"]


class Control(Exception):
    """A job's own word about its outcome."""


class Retry(Control):
    """Fail this attempt and try again after `in_` (seconds or timedelta; None: by the job's backoff)."""

    def __init__(
        self, message: str = "the job asked for a retry", *, in_: float | timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.in_s = None if in_ is None else seconds(in_, "Retry(in_=…)")


class Snooze(Control):
    """Put the job off by `in_` (seconds or timedelta) without counting an attempt."""

    def __init__(self, in_: float | timedelta, message: str = "the job put itself off") -> None:
        super().__init__(message)
        self.in_s = seconds(in_, "Snooze(…)")


class Discard(Control):
    """Drop the job for good: it is counted as processed and kept nowhere."""


class Kill(Control):
    """Send the job to the dead set at once, without further retries."""


class JobTimeout(BaseException):
    """The job ran longer than its timeout, or than its invocation may live."""


def seconds(value: float | timedelta, what: str) -> float:
    """Return a duration in seconds.

    Raises:
        JobError: `value` is negative, not finite, or neither a number nor a timedelta.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or number < 0:
        raise JobError(f"{what} takes seconds or a timedelta, zero or more, not {value!r}")
    return float(number)
