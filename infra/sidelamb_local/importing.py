"""`sidelamb import`: the lines of a file put into a set, all checked before the first is.

A job whose id is in the set is left as it is there: so to do it again, or to go on after an interruption, doubles
nothing. Jobs of a queue are put behind those that wait, in the order that they had.
"""

from __future__ import annotations

import sys
import tempfile
from array import array
from typing import IO, TYPE_CHECKING, NamedTuple

from sidelamb.api import Queue
from sidelamb_local.errors import LocalStackError
from sidelamb_local.jsonl import BadLine, Line, read_line
from sidelamb_local.long_work import LongWork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sidelamb import Client
    from sidelamb_local.places import Place

__all__ = ["Imported", "from_file"]

STEP, STEP_BYTES = 500, 4 * 1024 * 1024
MOST_NAMED = 10
"""Bad lines that are named; of a file that is something else altogether all would be."""


class Imported(NamedTuple):
    """What came of it."""

    stored: int
    there: int
    """Not stored, because a job of this id is in the set."""
    whole: bool


def from_file(place: Place, file: Path, client: Client) -> Imported:
    """Put all lines of a file into a set.

    Raises:
        LocalStackError: the file cannot be read, or a line is bad; nothing was stored.
    """
    with _opened(file) as lines:
        starts, jids = _checked(lines, place)
        there = {record.jid for record in place.jobs if record.jid in jids}
        stored = known = 0
        with LongWork(f"importing into {place.name}", len(starts)) as work:
            for part in _parts(_in_order(lines, starts, backwards=place.is_queue)):
                fresh = []
                for line in part:
                    if line.jid and line.jid in there:
                        known += 1
                    else:
                        there.add(line.jid)
                        fresh.append(line)
                new = _store(place, fresh, client)
                stored, known = stored + new, known + len(fresh) - new
                work.far(stored + known)
                if not work.goes_on:
                    return Imported(stored, known, whole=False)
    return Imported(stored, known, whole=True)


def _store(place: Place, lines: list[Line], client: Client) -> int:
    """Store in one step; return how many are new."""
    if not lines:
        return 0
    if isinstance(place.jobs, Queue):
        return client.link.run(client.store.enqueue_to(place.jobs.name, [line.raw for line in lines]))
    flat = [part for line in lines for part in (repr(line.score), line.raw)]
    return int(client.link.command(b"ZADD", place.jobs.key, b"NX", *flat))


def _checked(file: IO[bytes], place: Place) -> tuple[array[int], set[str]]:
    """Return where the lines begin, and the jobs' ids."""
    starts, jids, bad, at = array("Q"), set(), [], 0
    for number, text in enumerate(file, 1):
        if text.strip():
            try:
                jids.add(_usable(read_line(text), place).jid)
            except BadLine as error:
                bad.append(f"line {number}: {error}")
            starts.append(at)
        at += len(text)
    if bad:
        more = f"; and {len(bad) - MOST_NAMED:,} more" if len(bad) > MOST_NAMED else ""
        raise LocalStackError(f"nothing was imported: {'; '.join(bad[:MOST_NAMED])}{more}")
    return starts, jids - {""}


def _usable(line: Line, place: Place) -> Line:
    if not line.is_job and (place.is_queue or line.where != place.name):
        raise BadLine("its bytes are no job")
    if line.score is None and not place.is_queue:
        raise BadLine(f"it has no score, which says its time in {place.name}")
    return line


def _in_order(file: IO[bytes], starts: array[int], *, backwards: bool) -> Iterator[Line]:
    for start in reversed(starts) if backwards else starts:
        file.seek(start)
        yield read_line(file.readline())


def _parts(lines: Iterator[Line]) -> Iterator[list[Line]]:
    part: list[Line] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line.raw)
        if len(part) >= STEP or size > STEP_BYTES:
            yield part
            part, size = [], 0
    yield part


def _opened(file: Path) -> IO[bytes]:
    """Return a file that can be read from anywhere; of a pipe, a copy."""
    try:
        if str(file) == "-":
            return _copied(sys.stdin.buffer)
        given = file.open("rb")
        if given.seekable():
            return given
        with given:
            return _copied(given)
    except OSError as error:
        raise LocalStackError(f"{file} cannot be read: {error.strerror}") from None


def _copied(pipe: IO[bytes]) -> IO[bytes]:
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    while chunk := pipe.read(1024 * 1024):
        copy.write(chunk)
    copy.seek(0)
    return copy
