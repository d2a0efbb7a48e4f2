"""The sets that commands look into and act on, by the names that people give them.

`retries`, `scheduled`, `dead`, and a queue as `queue:NAME`. All are gone through a page at a time.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from sidelamb.api import DeadSet, Entry, Leases, Queue, RetrySet, ScheduledSet, Stats
from sidelamb.api.pattern import Pattern
from sidelamb.errors import BadOption
from sidelamb.wording import did_you_mean
from sidelamb_local.errors import LocalStackError
from sidelamb_local.plain import iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb import Client
    from sidelamb.api import JobRecord

__all__ = ["SETS", "Place", "Wanted", "as_json", "known_queues", "place_of", "place_to_fill", "places", "where_is"]

AnySet = RetrySet | ScheduledSet | DeadSet
SETS: dict[str, type[AnySet]] = {"retries": RetrySet, "scheduled": ScheduledSet, "dead": DeadSet}
ALSO = {"retry": "retries", "schedule": "scheduled"}
"""Their names in Redis do as well."""
STEP = 500
_pattern = functools.lru_cache(4)(Pattern)


class Wanted(NamedTuple):
    """Which jobs are meant: those of these ids, of one class, with one error, that contain a text."""

    jids: frozenset[str] = frozenset()
    name: str = ""
    error: str = ""
    text: str = ""

    def __bool__(self) -> bool:
        return any(self)

    def fits(self, record: JobRecord) -> bool:
        """Say whether a job is meant."""
        if self.jids and record.jid not in self.jids:
            return False
        if self.name not in {"", record.name} or self.error not in {"", record.error_class}:
            return False
        return not self.text or _pattern(self.text).matches(record)


class Place(NamedTuple):
    """A set or a queue."""

    name: str
    jobs: AnySet | Queue

    @property
    def is_queue(self) -> bool:
        """Whether it is a queue."""
        return isinstance(self.jobs, Queue)

    def every(self, *, newest: bool = False) -> Iterator[JobRecord]:
        """Go through it, the lowest time first (of a queue: the newest job), or the other way round."""
        if not newest or isinstance(self.jobs, Queue):
            yield from self.jobs
            return
        number = 0
        while page := self.jobs.page(number, STEP, newest_first=True):
            yield from page
            number += 1

    def some(self, wanted: Wanted, first: int, most: int, *, newest: bool = False) -> Iterator[JobRecord]:
        """Go through the jobs that are meant, from number `first` on, at most so many."""
        if not wanted and most <= STEP:  # one page by rank, wherever it is
            yield from self._page(first // most, most, newest=newest)
            return
        for n, record in enumerate(record for record in self.every(newest=newest) if wanted.fits(record)):
            if n >= first + most:
                return
            if n >= first:
                yield record

    def _page(self, number: int, size: int, *, newest: bool) -> list[Any]:
        if isinstance(self.jobs, Queue):
            return self.jobs.page(number, size)
        return self.jobs.page(number, size, newest_first=newest)


def place_of(name: str, client: Client) -> Place:
    """Return the set or the queue of this name.

    Raises:
        LocalStackError: there is none; names the nearest.
    """
    name = ALSO.get(name, name)
    if name in SETS:
        return Place(name, SETS[name](client))
    kind, colon, queue = name.partition(":")
    if kind == "queue" and colon:
        try:
            found = Queue(queue, client)
        except BadOption as error:
            raise LocalStackError(str(error)) from None
        if not found.size() and queue not in (known := known_queues(client)):
            raise LocalStackError(f"there is no queue {queue!r}.{did_you_mean(queue, known)}")
        return Place(name, found)
    known = [*SETS, *(f"queue:{each}" for each in known_queues(client))]
    hint = did_you_mean(name, known) or f" There are {', '.join(SETS)} and queue:NAME."
    raise LocalStackError(f"there is no set {name!r}.{hint}")


def place_to_fill(name: str, client: Client) -> Place:
    """Return the set or the queue of this name, a queue also if it is new."""
    kind, colon, queue = name.partition(":")
    if kind == "queue" and colon:
        try:
            return Place(name, Queue(queue, client))
        except BadOption as error:
            raise LocalStackError(str(error)) from None
    return place_of(name, client)


def known_queues(client: Client) -> list[str]:
    """Return the names of all queues, and of those that are paused without being there."""
    return sorted(queue.name for queue in Stats(client).queues())


def places(client: Client) -> Iterator[Place]:
    """Go through all sets, and all queues but those whose keys another program uses."""
    for name, cls in SETS.items():
        yield Place(name, cls(client))
    for queue in sorted(one.name for one in Stats(client).queues() if not one.foreign_key):
        try:
            yield Place(f"queue:{queue}", Queue(queue, client))
        except BadOption:  # a name that a foreign client gave, and that no queue can have
            continue


def where_is(jid: str, client: Client) -> Iterator[tuple[str, JobRecord]]:
    """Find the job of an id: everywhere, also in leases."""
    for place in places(client):
        if found := place.jobs.find(jid):
            yield place.name, found
    leases = Leases(client)
    for lease in leases:
        cursor = 0
        while True:
            jobs, cursor = leases.jobs(lease.id, cursor)
            for job in jobs:
                if job.jid == jid:
                    yield f"in flight, lease {lease.id}", job
            if not cursor:
                break


def as_json(where: str, record: JobRecord) -> dict[str, Any]:
    """Return a job for a program. The fields stand in docs/command-line.md."""
    hidden = record.is_encrypted
    return {
        "in": where,
        "jid": record.jid,
        "class": record.name,
        "queue": record.queue,
        "args": None if hidden else record.args,
        "kwargs": None if hidden else record.kwargs,
        "encrypted": hidden,
        "tags": record.tags,
        "at": iso(record.at) if isinstance(record, Entry) else None,
        "created_at": iso(record.created_at),
        "enqueued_at": iso(record.enqueued_at),
        "failed_at": iso(record.failed_at),
        "retried_at": iso(record.retried_at),
        "retry_count": record.retry_count,
        "error_class": record.error_class,
        "error_message": record.error_message,
        "malformed": record.malformed,
        "bytes": len(record.raw),
    }
