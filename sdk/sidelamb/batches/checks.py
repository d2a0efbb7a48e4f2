"""What can be said of a batch, checked where it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb.errors import BadOption
from sidelamb.store import BULK
from sidelamb.times import seconds
from sidelamb.values import are_plain
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["checked_autoflush", "checked_duration", "checked_options", "checked_tags", "checked_text"]

MOST_S = 1e9
"""32 years. A longer duration is a point in time by mistake."""


def checked_text(value: Any) -> str:
    """Return a description, or an id."""
    if type(value) is not str:
        raise BadOption(f"a batch is described, and named, by a text, not by {shown(value)}")
    return value


def checked_options(value: Any) -> dict[str, Any]:
    """Return the options of callbacks."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not are_plain((value,)):
        raise BadOption(f"options of a batch are {shown(value)}; expected a dict of plain JSON")
    return dict(value)


def checked_tags(value: Sequence[str]) -> list[str]:
    """Return tags."""
    if isinstance(value, str) or not all(type(tag) is str and tag and tag.isprintable() for tag in value):
        raise BadOption(f"tags of a batch are {shown(value)}; expected a list of texts that are not empty")
    return list(value)


def checked_autoflush(value: Any) -> int | None:
    """Return how many jobs are pushed at a time, None for all."""
    if value is not None and (type(value) is not int or not 1 <= value <= BULK):
        raise BadOption(f"autoflush of a batch is {shown(value)}; expected a whole number from 1 to {BULK}")
    found: int | None = value
    return found


def checked_duration(value: Any, name: str) -> float:
    """Return seconds."""
    found = seconds(value, f"{name} of a batch")
    if not 1 <= found <= MOST_S:
        raise BadOption(f"{name} of a batch is {shown(value)}; expected seconds or a timedelta, from 1 to 1e9")
    return found
