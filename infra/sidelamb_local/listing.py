"""Lists that people turn the pages of and programs read whole: one page as a table, or an object a line.

What is listed is read as it is printed; nothing holds a whole list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sidelamb_local.errors import LocalStackError
from sidelamb_local.out import json_line, note, table

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Listing", "clock"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """What is listed, and how it looks."""

    what: str
    """How many of them are called."""
    total: Callable[[], int]
    page: Callable[[int, int], Sequence[T]]
    """A page by its number, from 0, and its size."""
    every: Callable[[], Iterable[T]]
    as_json: Callable[[T], dict[str, Any]]
    columns: Sequence[str]
    row: Callable[[T], Sequence[Any]]
    right: Sequence[str] = ()
    """The columns of numbers."""

    def show(self, number: int, size: int, *, as_json: bool) -> None:
        """Print a page, counted from 1; as JSON, 0 is all of them.

        Raises:
            LocalStackError: all of them, for a person.
        """
        if not number and not as_json:
            raise LocalStackError("--page 0, for all of them, is for --json; pages are counted from 1")
        found = self.page(number - 1, size) if number else self.every()
        if as_json:
            for one in found:
                json_line(self.as_json(one))
            return
        rows = [self.row(one) for one in found]
        table(self.columns, rows, right=self.right)
        total, first = self.total(), (number - 1) * size
        if rows:
            more = f"; more: --page {number + 1}" if first + size < total else ""
            note(f"{first + 1:,} to {first + len(rows):,}; {total:,} {self.what}{more}")
        else:
            note(f"none on page {number}; {total:,} {self.what}")


def clock(moment: dt.datetime | None) -> str:
    """Return a moment as the clock here shows it, or empty."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""
