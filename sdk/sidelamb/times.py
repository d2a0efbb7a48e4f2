"""When a job is to run: delays and points in time, as users give them, in seconds."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from sidelamb.errors import BadOption
from sidelamb.wording import shown

__all__ = ["epoch_seconds", "seconds"]

_MOST_DELAY_S = 1e9
"""From here on (32 years) a delay is certainly meant as a point in time."""

_LAST_S = 253_402_300_800.0
"""Start of the year 10000: whoever gives more has given milliseconds."""


def seconds(delay: Any, where: str) -> float:
    """Return a delay in seconds; a negative one is in the past.

    Raises:
        BadOption: `delay` is neither a number of seconds nor a timedelta, not finite, or beyond 32 years.
    """
    number = delay.total_seconds() if isinstance(delay, dt.timedelta) else _number(delay)
    if number is None:
        raise BadOption(f"{where}: a delay is a number of seconds or a timedelta, not {shown(delay)}")
    if number >= _MOST_DELAY_S:
        raise BadOption(f"{where}: a delay of {number:.0f} s is a point in time; use enqueue_at")
    return number


def epoch_seconds(when: Any, where: str) -> float:
    """Return a point in time in epoch seconds.

    Raises:
        BadOption: `when` is a naive datetime, not a time at all, not finite, or in milliseconds.
    """
    if isinstance(when, dt.datetime):
        if when.utcoffset() is None:
            raise BadOption(
                f"{where}: {when!r} has no timezone, so it is a different time on every machine; attach one, "
                "like when.replace(tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')) or datetime.now(datetime.UTC)"
            )
        return when.timestamp()
    number = _number(when)
    if number is None:
        raise BadOption(f"{where}: a time is a datetime with a timezone or epoch seconds, not {shown(when)}")
    if number >= _LAST_S:
        raise BadOption(f"{where}: {number:.0f} lies beyond the year 9999; give epoch seconds, not milliseconds")
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
