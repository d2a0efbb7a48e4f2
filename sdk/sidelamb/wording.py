"""Pieces of error messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.late import late_import

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest", "shown"]

_MOST_SHOWN = 80


def shown(value: object) -> str:
    """Return a value and its type, shortened, whatever its own `repr` may do."""
    try:
        text = repr(value)
    except Exception:  # a broken repr, or an int of more than 4,300 digits
        text = "a value"
    text = text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"
    return f"{text} ({type(value).__name__})"


def nearest(value: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that is most like `value`, or None if none is."""
    with late_import:
        import difflib  # noqa: PLC0415 - only errors need it

    return next(iter(difflib.get_close_matches(value, list(known), n=1, cutoff=0.5)), None)


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` with the nearest of `known`, or nothing."""
    near = nearest(value, known)
    return f" Did you mean {near!r}?" if near else ""
