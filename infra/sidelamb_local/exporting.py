"""`sidelamb export`: a set written to a file that is there when it is whole.

Until then it is FILE.part. What stands in that at the next time is kept, up to its last whole line, whose score
and bytes say where to go on; so a set that is exported in two parts
is there once, whatever came and went meanwhile.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from sidelamb.api import Queue
from sidelamb.api.entries import Place as Position
from sidelamb_local.errors import LocalStackError
from sidelamb_local.jsonl import BadLine, line_of, read_line
from sidelamb_local.long_work import LongWork
from sidelamb_local.out import reader_left

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sidelamb.api import JobRecord
    from sidelamb_local.places import Place

__all__ = ["to_file", "to_pipe"]

STEP = 1_000


def to_pipe(place: Place) -> None:
    """Write all lines to stdout."""
    try:
        for records in _steps(place, None):
            sys.stdout.buffer.write(b"".join(line_of(place.name, each) for each in records))
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        reader_left()


def to_file(place: Place, file: Path) -> tuple[int, bool]:
    """Write all lines to a file; return how many lines it has, and whether it is whole.

    Raises:
        LocalStackError: the file is there, or cannot be written.
    """
    if file.exists():
        raise LocalStackError(f"{file} is there already; name another, or move it away")
    part = file.with_name(f"{file.name}.part")
    try:
        written, position = (0, None) if place.is_queue else _so_far(part, place.name)
        fd = os.open(part, os.O_RDWR | os.O_CREAT | (os.O_APPEND if position else os.O_TRUNC), 0o600)
        with os.fdopen(fd, "ab") as out, LongWork(f"exporting {place.name}", place.jobs.size()) as work:
            for records in _steps(place, position):
                out.write(b"".join(line_of(place.name, each) for each in records))
                written += len(records)
                work.far(written)
                if not work.goes_on:
                    return written, False
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except OSError as error:
        raise LocalStackError(f"{part} cannot be written: {error.strerror}") from None
    return written, True


def _steps(place: Place, position: Position | None) -> Iterator[list[JobRecord]]:
    """Go through a set, on from behind a place."""
    if isinstance(place.jobs, Queue):
        found: list[JobRecord] = []
        for record in place.jobs:
            found.append(record)
            if len(found) >= STEP:
                yield found
                found = []
        yield found
        return
    while True:
        entries, position = place.jobs.step(position, STEP)
        if position is None:
            return
        yield list(entries)


def _so_far(part: Path, name: str) -> tuple[int, Position | None]:
    """Cut a part to its whole lines, and return how many there are and where to go on.

    Raises:
        LocalStackError: it is of something else.
    """
    if not part.exists():
        return 0, None
    count, end, last = 0, 0, b""
    with part.open("r+b") as file:
        for text in file:
            if not text.endswith(b"\n"):
                break
            count, end, last = count + 1, end + len(text), text
        file.truncate(end)
    if not count:
        return 0, None
    try:
        line = read_line(last)
    except BadLine:
        line = None
    if line is None or line.where != name or line.score is None:
        raise LocalStackError(f"{part} is not the beginning of an export of {name}; move it away")
    return count, Position(line.score, line.raw)
