"""Finding again what a list has shown, and going through large sets a bounded step at a time.

An entry is named by its score and a digest of its bytes: jobs without an id, or with one that another has too, can
be looked at and acted on like all others.
"""

from __future__ import annotations

import hashlib
import math
import time
from typing import TYPE_CHECKING, NamedTuple

from sidelamb.api import DeadSet, Leases, Place, RetrySet, ScheduledSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidelamb import Client
    from sidelamb.api import Entry, JobRecord, Queue

__all__ = ["SETS", "Scan", "Wanted", "digest", "in_lease", "in_queue", "in_set", "key_of", "scan", "the_set"]

AnySet = RetrySet | ScheduledSet | DeadSet
SETS: dict[str, type[AnySet]] = {"retries": RetrySet, "scheduled": ScheduledSet, "dead": DeadSet}
MOST_STEPS = 500
SCANNED_S = 0.06
"""How long a page goes on looking before it shows what it has."""


class Wanted(NamedTuple):
    """Which entries are meant: all that contain a text, of one class, with one error."""

    text: str = ""
    name: str = ""
    error: str = ""

    def __bool__(self) -> bool:
        return any(self)

    def fits(self, entry: JobRecord) -> bool:
        """Say whether an entry is meant, but for the text."""
        return self.name in {"", entry.name} and self.error in {"", entry.error_class}

    def matches(self, entry: JobRecord) -> bool:
        """Say whether an entry is meant."""
        return self.fits(entry) and entry.matches(self.text)


class Scan(NamedTuple):
    """What a part of a search brought."""

    entries: list[Entry]
    cursor: int
    """Where to go on; 0: it is complete."""
    looked: int
    """Entries looked at, about, those of the parts before included."""


def the_set(name: str, client: Client) -> AnySet | None:
    """Return a set by its page's name."""
    cls = SETS.get(name)
    return cls(client) if cls else None


def digest(raw: bytes) -> str:
    """Return what names some bytes in an address."""
    return hashlib.sha256(raw).hexdigest()[:20]


def key_of(entry: Entry) -> str:
    """Return what names an entry in an address."""
    return f"{entry.score!r}~{digest(entry.raw)}"


async def in_set(one: AnySet, key: str) -> Entry | None:
    """Return the entry of a key, or None if it is not there any more."""
    text, _, wanted = key.partition("~")
    try:
        score = float(text)
    except ValueError:
        return None
    if math.isnan(score):
        return None
    place: Place | None = Place(score, b"")
    for _ in range(MOST_STEPS):
        entries, place = await one.astep(place, 200)
        for entry in entries:
            if entry.score != score:
                return None
            if digest(entry.raw) == wanted:
                return entry
        if place is None:
            break
    return None


async def in_queue(queue: Queue, wanted: str, page: int, size: int) -> JobRecord | None:
    """Return the job of a digest that stood on a page; jobs move, so the pages around it are looked at too."""
    for number in (page, page + 1, page - 1, page + 2, page + 3):
        if number < 0:
            continue
        if record := _among(await queue.apage(number, size), wanted):
            return record
    return None


async def in_lease(leases: Leases, lease_id: str, wanted: str) -> JobRecord | None:
    """Return the job of a digest that is in a lease."""
    cursor = 0
    for _ in range(MOST_STEPS):
        records, cursor = await leases.ajobs(lease_id, cursor)
        if (record := _among(records, wanted)) or not cursor:
            return record
    return None


def _among(records: Sequence[JobRecord], wanted: str) -> JobRecord | None:
    return next((record for record in records if digest(record.raw) == wanted), None)


async def scan(
    one: AnySet, wanted: Wanted, cursor: int, looked: int, take: Callable[[list[Entry]], bool]
) -> tuple[int, int]:
    """Look through a set until `take` has enough, or the time is over; return cursor and how many were seen."""
    end = time.monotonic() + SCANNED_S
    while True:
        found = await one.asearch(wanted.text, cursor)
        cursor, looked = found.cursor, looked + 1_000
        if take([entry for entry in found.entries if wanted.fits(entry)]) or not cursor or time.monotonic() > end:
            return cursor, looked
