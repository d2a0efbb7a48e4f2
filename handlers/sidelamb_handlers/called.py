"""A job's arguments as they were written in the call, for the web page and the command line. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidelamb.api import JobRecord

__all__ = ["as_called"]


def as_called(record: JobRecord, most: int) -> str:
    """Return `12, "EUR", retry=true`; once more than `most` characters are said, the rest is left out.

    It is for who shows it to cut it, to make it harmless, and to hide what is encrypted.
    """
    parts: list[str] = []
    length = 0
    for name, value in [*((None, each) for each in record.args), *record.kwargs.items()]:
        said = _json(value, most)
        parts.append(said if name is None else f"{name}={said}")
        length += len(parts[-1])
        if length > most:
            break
    return ", ".join(parts)


def _json(value: Any, most: int) -> str:
    if isinstance(value, str):
        return json.dumps(value[: most + 1], ensure_ascii=False)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "…"
