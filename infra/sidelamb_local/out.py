"""What commands print: tables for people, lines of JSON for programs; and its end when the reader has gone.

`sidelamb jobs list dead | head` ends quietly, with status 0: the reader has what it wanted.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sidelamb_local.plain import json_text, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["document", "json_line", "line", "note", "reader_left", "say", "table", "to_nowhere"]

WIDE = 2_000
"""Columns where no terminal says how many: nothing is cut but long cells."""


def say(text: str = "") -> None:
    """Print a line that is safe to print."""
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        reader_left()


def line(text: str) -> None:
    """Print what a stranger wrote, as one line."""
    say(plain(text, WIDE))


def note(text: str) -> None:
    """Print a line beside the answer, on stderr."""
    print(plain(text, WIDE), file=sys.stderr, flush=True)  # noqa: T201


def json_line(value: Any) -> None:
    """Print one line of JSON."""
    say(json_text(value))


def document(value: Any) -> None:
    """Print one document of JSON."""
    say(json_text(value, indent=2))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print rows for people; `right` names the columns of numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        made.add_row(*(Text(plain(cell)) for cell in row))
    console = console_here()
    with console.capture() as shown:
        console.print(made)
    for each in shown.get().splitlines():
        say(each.rstrip())


def console_here(*, stderr: bool = False) -> Console:
    """Return a console: as wide as the terminal, or, where there is none, as what it prints."""
    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or os.environ.get("COLUMNS") else WIDE
    return Console(stderr=stderr, width=wide, highlight=False, markup=False, emoji=False)


def reader_left() -> NoReturn:
    """End, quietly.

    Raises:
        SystemExit: always.
    """
    to_nowhere()
    raise SystemExit(0)


def to_nowhere() -> None:
    """Let what is still to be printed go: or the interpreter complains when it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError):  # it is no file
        os.dup2(nowhere, sys.stdout.fileno())
