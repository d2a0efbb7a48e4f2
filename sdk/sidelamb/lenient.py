"""Reads payload fields that other clients wrote, in whatever type they wrote them.

A boolean is never a number here (in Python it would be), and what cannot be used reads as None. Pure.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

__all__ = ["epoch_s", "number", "whole"]

_MOST = 2**31
_MOST_S = 1e11
"""From here on (the year 5138) a timestamp is milliseconds, as Sidekiq 8 writes them, or micro- or nanoseconds."""
_LONGEST = 40
"""Characters of a timestamp that is a text."""


def whole(value: Any) -> int | None:
    """Return an integer that 32 bits can hold, or None: no counter here is ever larger."""
    usable = isinstance(value, int) and not isinstance(value, bool) and -_MOST <= value < _MOST
    return value if usable else None


def number(value: Any) -> float | None:
    """Return an integer or float as a float, or None if it is none, or none that a float can hold."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def epoch_s(stamp: Any) -> float | None:
    """Return a timestamp in epoch seconds, or None.

    Read are seconds, milliseconds (Sidekiq 8), micro- and nanoseconds, and the texts that clients in other
    languages write: ISO-8601, in UTC if it names no offset, or one of these numbers.
    """
    value = _read(stamp) if isinstance(stamp, str) else number(stamp)
    if value is None or not -_MOST_S < value < _MOST_S * 1e9:
        return None
    while value >= _MOST_S:
        value /= 1000
    return value


def _read(text: str) -> float | None:
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    try:
        value = float(text)
    except ValueError:
        pass
    else:
        return value if math.isfinite(value) else None
    try:
        when = dt.datetime.fromisoformat(_iso(text))
    except ValueError:
        return None
    return (when if when.utcoffset() is not None else when.replace(tzinfo=dt.UTC)).timestamp()


def _iso(text: str) -> str:
    """Return Ruby's and Go's `2026-11-23 03:50:00 +0000 UTC` as ISO-8601."""
    head, _, zone = text.removesuffix(" UTC").partition(" +")
    return f"{head}+{zone}" if zone else head
