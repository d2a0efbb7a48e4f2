"""Many jobs as few round trips: packed jobs gathered into chunks. No I/O."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sidelamb.errors import BadCall
from sidelamb.store import BULK
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sidelamb.packing import Packed
    from sidelamb.store import Call, Store
    from sidelamb.template import Template

__all__ = ["MOST_CHUNK_BYTES", "Chunk", "call_arguments", "chunks", "jids", "random_jids"]

MOST_CHUNK_BYTES = 8 * 1024 * 1024
"""A round trip of fewer but larger jobs; also what a bulk call holds in memory."""

MOST_WITH_FEATURES = 250
"""Jobs with features in a step: each has keys of its own, a few, and a command takes 3,999."""

MOST_CHUNK_QUEUES = 500
"""ElastiCache Serverless takes 3,999 arguments a command, and each queue adds three to those of its jobs."""

_NONE: Mapping[str, Any] = {}


class Chunk:
    """Jobs that are stored together: to be pushed in one step, to be scheduled in another.

    Those with features, in a third, stand in no other.
    """

    __slots__ = ("_bytes", "_queues", "now", "scheduled", "with_features")

    def __init__(self) -> None:
        self.now: list[Packed] = []
        self.scheduled: list[Packed] = []
        self.with_features: list[Packed] = []
        self._bytes = 0
        self._queues: set[str] = set()

    def add(self, job: Packed) -> bool:
        """Add a job; say whether the chunk is full."""
        if job.effects:
            self.with_features.append(job)
            self._queues.add(job.queue)
        elif job.at is None:
            self.now.append(job)
            self._queues.add(job.queue)
        else:
            self.scheduled.append(job)
        self._bytes += len(job.raw)
        return (
            len(self.now) + len(self.scheduled) >= BULK
            or len(self.with_features) >= MOST_WITH_FEATURES
            or self._bytes >= MOST_CHUNK_BYTES
            or len(self._queues) >= MOST_CHUNK_QUEUES
        )

    def calls(self, store: Store) -> Iterator[tuple[Call[Any], list[Packed]]]:
        """Give each step with its jobs."""
        if self.now:
            yield store.enqueue([(job.queue, job.raw) for job in self.now]), self.now
        if self.scheduled:
            yield (
                store.schedule([(job.at, job.raw) for job in self.scheduled if job.at is not None]),
                self.scheduled,
            )
        if self.with_features:
            yield store.admit(self.with_features), self.with_features


def chunks(packed: Iterable[Packed | None]) -> Iterator[Chunk]:
    """Gather packed jobs (None: stopped by middleware) into chunks, the last one not full."""
    chunk = Chunk()
    for job in packed:
        if job is not None and chunk.add(job):
            yield chunk
            chunk = Chunk()
    if chunk.now or chunk.scheduled or chunk.with_features:
        yield chunk


def jids(new_jid: Callable[[], str] | None) -> Iterator[str]:
    """Give job ids without end: from `new_jid`, or random ones, 1,000 a system call."""
    while new_jid is not None:
        yield new_jid()
    while True:
        yield from (jid.decode() for jid in random_jids(BULK))


def random_jids(count: int) -> list[bytes]:
    """Return so many job ids, as the digits they are written in."""
    digits = os.urandom(12 * count).hex().encode()
    return [digits[start : start + 24] for start in range(0, 24 * count, 24)]


def call_arguments(template: Template, item: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return the (positional, keyword) arguments of one item of `enqueue_many`.

    Raises:
        BadCall: the item is neither a tuple nor a dict, or its arguments are wrong.
    """
    if type(item) is tuple or isinstance(item, tuple):
        template.shape.check(item, _NONE)
        return item, _NONE
    if type(item) is not dict:
        raise BadCall(_not_arguments(template.name, item))
    if not all(type(key) is str for key in item):
        raise BadCall(f"{template.name}: the keys of keyword arguments are names; {shown(item)} has others")
    template.shape.check((), item)
    return (), item


def _not_arguments(job: str, item: object) -> str:
    advice = "write (x,), as in enqueue_many((x,) for x in …)"
    if type(item) is list:
        advice = "write tuple(x) if the list holds the arguments, or (x,) if it is the one argument"
    return f"{job}: enqueue_many takes a tuple of arguments for each job, not {shown(item)}; {advice}"
