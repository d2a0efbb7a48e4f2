"""When a cron expression falls due. Pure: the clock is an argument.

`cronsim` reads cron as Debian's does. A fixed time that a change to summer time leaves out comes at the end of
the gap, one that a change back repeats comes once; what has `*` for its minutes or hours follows the clock on the
wall. Imported where something is periodic, and there alone.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from sidelamb.errors import BadOption
from sidelamb.wording import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LATE_S", "MOST_MISSED", "Due", "check", "due", "ticks_after"]

MOST_MISSED = 100
"""Jobs that `missed="all"` enqueues at most for what was missed: the latest."""

LATE_S = 120.0
"""A tick is missed for `missed="skip"` when it is found so late; the timer alone finds it within 60 s."""

LOOK_BACK_S = 7 * 86_400.0
"""Of what was missed longer ago only the first tick is known."""


class Due(NamedTuple):
    """What is to be enqueued, and when to look again."""

    ticks: list[float]
    """Epoch s."""
    last: float
    """The latest tick that has passed, enqueued or not, epoch s."""
    missed: int
    """Ticks for which nothing is enqueued, as far as they are known."""
    next: float | None
    """Epoch s; None if it never comes again."""


def check(name: str, cron: str, tz: str) -> None:
    """Raise BadOption if a periodic job's cron or time zone is none, or it never comes."""
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC).timestamp()  # a leap year: 29 February comes within 50 years
    if next(ticks_after(name, cron, tz, start), None) is None:
        raise BadOption(f"periodic {name}: cron {shown(cron)} never comes; no year has such a day")


def ticks_after(name: str, cron: str, tz: str, at: float) -> Iterator[float]:
    """Give the ticks after epoch s `at`, on and on.

    Raises:
        BadOption: there is no such time zone, or this is no cron expression.
    """
    try:
        zone: dt.tzinfo = dt.UTC if tz == "UTC" else ZoneInfo(tz)
    except (LookupError, ValueError, OSError):
        raise BadOption(
            f"periodic {name}: there is no time zone {shown(tz)}; write it like 'Europe/Paris' or 'UTC'."
            f"{did_you_mean(tz, available_timezones())}"
        ) from None
    try:
        found = CronSim(cron, dt.datetime.fromtimestamp(at, zone))
    except (CronSimError, ValueError, OverflowError) as error:
        raise BadOption(
            f"periodic {name}: cron {shown(cron)} cannot be read ({error}); write minute, hour, day of month, "
            "month, day of week, like '0 3 * * *'"
        ) from None
    return _rising(found, at)


def due(name: str, record: Mapping[str, str], tick: float, now: float) -> Due:
    """Return what is to be enqueued at epoch s `now` for a tick that has come, and those after it.

    Args:
        name: the periodic job's.
        record: its cron, tz and missed.
        tick: the first that is due, epoch s.
        now: epoch s.

    Raises:
        BadOption: as `ticks_after`.
    """
    found, count, following = deque([tick], MOST_MISSED), 1, None
    for at in ticks_after(name, record["cron"], record["tz"], max(tick, now - LOOK_BACK_S)):
        if at > now:
            following = at
            break
        found.append(at)
        count += 1
    chosen = list(found)
    if record["missed"] != "all":
        chosen = chosen[-1:]
    if record["missed"] == "skip" and chosen[-1] < now - LATE_S:
        chosen = []
    return Due(chosen, found[-1], count - len(chosen), following)


def _rising(found: Iterator[dt.datetime], at: float) -> Iterator[float]:
    """Give times after `at`, each later than the one before: in a repeated hour cronsim may step back."""
    for moment in found:
        tick = moment.timestamp()
        if tick > at:
            at = tick
            yield tick
