"""The other time that a form gives jobs: in so many seconds, or at a time of the person's own clock."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from sidelamb.errors import BadArgument
from sidelamb.times import epoch_seconds

if TYPE_CHECKING:
    from sidelamb_handlers.web.page import Visit

__all__ = ["when"]

MOST_S = 10 * 366 * 86_400
FURTHEST_MIN = 18 * 60
"""Of a zone from UTC."""


def when(visit: Visit) -> float:
    """Return epoch s of what a form's fields say: `due` as a number, or `at`, or `in`.

    `at` is a time as a browser's field writes it, and `zone` the minutes that the person's clock is ahead of UTC
    then, which only a script can know; without, `at` is UTC.

    Raises:
        BadArgument: they say no time, or one that has passed.
    """
    if due := visit.said.real("due"):  # a step of an operation on many: looked at in the first
        return epoch_seconds(due, "due")
    text, now = visit.said("at").strip(), visit.client.now()
    if not text:
        seconds = visit.said.number("in", most=MOST_S)
        if not seconds:
            raise BadArgument("say when: in how long, or at what time")
        return round(now + seconds, 3)
    at = _read(text, visit.said.real("zone"))
    if at <= now:
        raise BadArgument(f"{text} has passed; what is to run now can be retried")
    return at


def _read(text: str, zone: float) -> float:
    try:
        found = dt.datetime.fromisoformat(text)
        if found.tzinfo is None:
            minutes = max(-FURTHEST_MIN, min(zone, FURTHEST_MIN))
            found = found.replace(tzinfo=dt.timezone(dt.timedelta(minutes=minutes)))
        return found.timestamp()
    except (ValueError, OverflowError):
        raise BadArgument(f"{text[:40]!r} is no time; write it like 2030-01-31T06:00") from None
