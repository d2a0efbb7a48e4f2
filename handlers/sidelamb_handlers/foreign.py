"""Payloads of other clients, made clean whenever we store new bytes of them.

Clients in other languages write timestamps as texts or as whole seconds, tags and context as texts, raw
backtraces, JSON with spaces and escapes. Such a job runs here all the same; but Sidekiq's Web UI answers whole
pages with 500 for one of them, and moves none that it would write otherwise. So each field that it reads gets the
form that all its versions from 6.5 to 8.1 read, and nothing else is touched: arguments and unknown fields keep
their values to the last digit. What only moves keeps its bytes.

Pure, but for the setting of how timestamps are written.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.lenient import epoch_s
from sidelamb.payload import DEFAULT_QUEUE, decode, edit, is_tidy
from sidelamb_handlers.backtrace import compressed, is_compressed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    _Mend = tuple[str, Callable[[Any], Any]]

__all__ = ["STAMPS", "cleaned", "mended", "renewed"]

STAMPS = ("created_at", "enqueued_at", "failed_at", "retried_at")
"""Timestamps that Sidekiq reads as float seconds or whole milliseconds, by their JSON type."""

_USUAL_FIELDS = 40
_LEAST_MS, _MOST_MS = 10**11, 10**14
"""Whole milliseconds of the years 1973 to 5138. Fewer are seconds, more are micro- or nanoseconds."""


def mended(payload: Mapping[str, Any], queue: str = DEFAULT_QUEUE) -> dict[str, Any]:
    """Return new values for the fields that would break one of Sidekiq's pages, None for one to be dropped.

    Args:
        payload: as any client may have written it.
        queue: where it is or goes, for one that names no queue.
    """
    changes: dict[str, Any] = {}
    for name, mend in _mends_of(payload):
        value = payload[name]
        if value is not None:
            better = mend(value)
            if better is not value:
                changes[name] = better
    if "at" in payload:
        changes["at"] = None  # Sidekiq would put the job off again
    named = payload.get("queue")
    if not isinstance(named, str) or not named:
        changes["queue"] = queue
    return changes


def _mends_of(payload: Mapping[str, Any]) -> tuple[_Mend, ...]:
    """Return the fields of a payload that Sidekiq's pages read, each with what makes it clean."""
    return _mends_in(tuple(payload)) if len(payload) <= _USUAL_FIELDS else _mends_in.__wrapped__(tuple(payload))


@functools.lru_cache(256)  # payloads have few shapes
def _mends_in(names: tuple[str, ...]) -> tuple[_Mend, ...]:
    found = [(name, mend) for name, mend in _MENDS.items() if name in names]
    return (*found, *((name, _context) for name in names if name.startswith("cattr")))


def renewed(raw: bytes, changes: Mapping[str, Any], queue: str) -> bytes:
    """Return new bytes of a payload: with changes of ours, and all else made clean.

    Args:
        raw: as stored until now.
        changes: new values; timestamps are epoch s here, and written as the settings say.
        queue: where it came from.

    Raises:
        Malformed: `raw` is no payload.
    """
    others = {name: value for name, value in decode(raw).items() if name not in changes}
    mends = mended({**others, "queue": changes["queue"]} if "queue" in changes else others, queue)
    new = {**changes, **{name: value for name, value in mends.items() if value is not None}}
    for name in STAMPS:
        if isinstance(new.get(name), float):
            new[name] = settings.stamp(new[name])
    return edit(raw, new, drop=[name for name, value in mends.items() if value is None])


def cleaned(raw: bytes, queue: str) -> bytes:
    """Return a payload as it may be shown or stored: the same bytes if they are clean.

    Raises:
        Malformed: `raw` is no payload.
    """
    return renewed(raw, {}, queue) if mended(decode(raw)) or not is_tidy(raw) else raw


def _stamp(value: Any) -> Any:
    """Return a timestamp in one of Sidekiq's two forms, or None if it cannot be read."""
    if type(value) is float and -_LEAST_MS < value < _LEAST_MS:
        return value
    if type(value) is int and _LEAST_MS <= value < _MOST_MS:
        return value
    return epoch_s(value)


def _tags(value: Any) -> Any:
    if not isinstance(value, list):
        return [_text(value)] if value != "" else []
    return value if all(isinstance(tag, str) for tag in value) else [_text(tag) for tag in value]


def _context(value: Any) -> Any:
    return value if isinstance(value, dict | list) else [value]


def _backtrace(value: Any) -> Any:
    if isinstance(value, str):
        return value if is_compressed(value) else compressed(value.splitlines())
    return compressed([_text(line) for line in value]) if isinstance(value, list) else None


def _count(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_MENDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(STAMPS, _stamp),
    "tags": _tags,
    "error_backtrace": _backtrace,
    "error_message": _text,
    "error_class": _text,
    "retry_count": _count,
}
