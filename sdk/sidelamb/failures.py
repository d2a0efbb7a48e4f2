"""What a job keeps of its runs that failed: which, when, how long, and with what error; the payload's `failures`.

Sidekiq's fields have the first failure's time and the last one's error. This one of ours has a row for each,
`[attempt, ended, ms, class]`, so that a job's life can be read without its log. It is written when a run fails: a
job that succeeds never has it. It is bounded, and what another client has put there under that name stays as it
is. Pure.
"""

from __future__ import annotations

from typing import Any

from sidelamb.lenient import number, whole

__all__ = ["FIELD", "MOST", "added", "rows"]

FIELD = "failures"

MOST = 25
"""Rows, the last ones: as many as Sidekiq's retries by default."""

CLASS_MOST = 60
"""Characters of an error's class in a row: with 25 of them about 2.5 KB, and mostly below 50 bytes each."""

Row = list[Any]


def rows(value: Any) -> list[Row] | None:
    """Return the rows of the field, the oldest first: none if it is missing; None if it is not ours.

    A row has the number of the attempt (1 is the first), epoch s when it ended, the milliseconds it ran or null,
    and the error's class.
    """
    if value is None:
        return []
    return value if isinstance(value, list) and all(map(_is_row, value)) else None


def added(value: Any, attempt: int, ended: float, ms: float | None, error_class: str) -> list[Row] | None:
    """Return the field with a row more and at most 25, or None if it is not ours to change."""
    before = rows(value)
    if before is None:
        return None
    row: Row = [attempt, round(ended, 3), None if ms is None else round(ms), error_class[:CLASS_MOST]]
    return [*before[-(MOST - 1) :], row]


def _is_row(value: Any) -> bool:
    match value:
        case [attempt, ended, ms, str(name)]:
            numbers = whole(attempt) is not None and number(ended) is not None
            return numbers and (ms is None or number(ms) is not None) and len(name) <= CLASS_MOST
    return False
