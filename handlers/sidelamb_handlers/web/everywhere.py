"""A search through all places where a job can be, a bounded step at a time.

It goes the way that jobs go, scheduled, queues, in flight, retries, dead: one that moves on meanwhile is met later
on. One that is sent back meanwhile, from retries to its queue, may be missed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from sidelamb.api import Leases, Queue, Stats
from sidelamb.api.pattern import Pattern
from sidelamb_handlers.web.finding import SCANNED_S, digest, key_of, the_set
from sidelamb_handlers.web.pages.queues import SIZE as QUEUE_PAGE
from sidelamb_handlers.web.queue_names import spoken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidelamb import Client
    from sidelamb.api import JobRecord

__all__ = ["Hit", "Part", "look"]

WAY = ("scheduled", "queue", "lease", "retries", "dead")
LEASES = 20
"""Leases that one step looks into."""
SET_STEP = 1_000
MOST = 50
"""Hits of one part, about."""


class Hit(NamedTuple):
    """A job that was found."""

    where: str
    """One of `WAY`."""
    name: str
    """Of the queue or of the lease."""
    key: str
    page: int
    """Of its queue."""
    job: JobRecord


class Part(NamedTuple):
    """What a part of a search brought."""

    hits: list[Hit]
    place: str
    """Where to go on; empty: it is complete."""
    cursor: int
    looked: int
    """Jobs looked at, about, those of the parts before included."""


class Place(NamedTuple):
    """One of the places, in the order of a search."""

    turn: int
    """In `WAY`."""
    name: str

    def __str__(self) -> str:
        return f"{WAY[self.turn]}:{self.name}"


async def look(client: Client, text: str, place: str = "", cursor: int = 0, looked: int = 0) -> Part:
    """Search for some 60 ms, on from where a part before has ended; with a job of that very id it has ended too.

    Args:
        client: whose Redis and namespace.
        text: see `JobRecord.matches`.
        place: empty, then as the part before has it; likewise cursor and looked.
        cursor: in that place.
        looked: until then.
    """
    end = time.monotonic() + SCANNED_S
    hits: dict[tuple[str, str, str], Hit] = {}
    listed = await Stats(client).alisted()
    queues = {spoken(raw): raw for raw, queue in listed.items() if not queue.foreign_key}
    left, at = _places(queues), _place(place)
    left = [one for one in left if at is None or one >= at]
    while left:
        one = left[0]
        found, cursor, n = await _step(client, one, queues, text, cursor if one == at or at is None else 0)
        at, looked = one, looked + n
        hits.update({(hit.where, hit.name, hit.key): hit for hit in found})
        if not cursor:
            left, at = left[1:], None
        if any(hit.job.jid == text for hit in found) or len(hits) >= MOST or time.monotonic() > end:
            break
    return Part([*hits.values()], str(left[0]) if left else "", cursor, looked)


def _places(names: Iterable[str]) -> list[Place]:
    found = [Place(turn, "") for turn, kind in enumerate(WAY) if kind != "queue"]
    return sorted([*found, *(Place(WAY.index("queue"), name) for name in names)])


def _place(text: str) -> Place | None:
    kind, _, name = text.partition(":")
    return Place(WAY.index(kind), name) if kind in WAY else None


async def _step(
    client: Client, place: Place, queues: dict[str, bytes], text: str, cursor: int
) -> tuple[list[Hit], int, int]:
    """Return what a step in one place finds, where to go on there, and how many jobs were looked at, about."""
    kind = WAY[place.turn]
    if kind == "lease":
        return await _in_leases(Leases(client), text, cursor)
    if kind == "queue":
        return await _in_queue(place.name, Queue.listed(queues[place.name], client), text, cursor)
    one = the_set(kind, client)
    assert one is not None  # noqa: S101 - the other kinds are SETS' own
    found = await one.asearch(text, cursor)
    hits = [Hit(kind, "", key_of(entry), 0, entry) for entry in found.entries]
    return hits, found.cursor, SET_STEP if found.cursor else await one.asize() % SET_STEP


async def _in_queue(name: str, queue: Queue, text: str, cursor: int) -> tuple[list[Hit], int, int]:
    found, after = await queue.asearch(text, cursor)
    hits = [Hit("queue", name, digest(job.raw), place // QUEUE_PAGE, job) for place, job in found]
    return hits, after, after - cursor if after else await queue.asize() - cursor


async def _in_leases(leases: Leases, text: str, cursor: int) -> tuple[list[Hit], int, int]:
    pattern, looked = Pattern(text), 0
    hits: list[Hit] = []
    page = await leases.apage(cursor, LEASES)
    for lease in page:
        inner = 0
        while True:
            jobs, inner = await leases.ajobs(lease.id, inner)
            looked += len(jobs)
            hits += [Hit("lease", lease.id, digest(job.raw), 0, job) for job in jobs if pattern.matches(job)]
            if not inner:
                break
    return hits, cursor + 1 if len(page) == LEASES else 0, looked
