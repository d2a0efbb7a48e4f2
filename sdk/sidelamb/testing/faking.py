"""`fake()`: jobs are recorded in place of being stored, after all that enqueueing does but Redis.

They are checked, go through client middleware, and are encoded as ever; what is recorded is read from the bytes.
Jobs of every client are, from every thread, enqueued by whichever verb.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.collecting import Stand
from sidelamb.errors import ConfigError
from sidelamb.payload import decode
from sidelamb.pusher import Pusher
from sidelamb.testing.recorded import Jobs, Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sidelamb.batches.batch import Batch
    from sidelamb.packing import Packed

__all__ = ["fake", "instead"]

NOWHERE = "redis://no-redis-in-a-test.invalid:6379/0"


@contextmanager
def fake() -> Iterator[Jobs]:
    """Record what is enqueued inside of the `with`, and store nothing; needs no Redis.

    Locks of unique jobs are not looked at: each call is recorded. Jobs of a batch are recorded as they are
    enqueued, also if its block fails; nothing runs, so no callback of it is called.
    """
    jobs = Jobs()
    with instead(jobs.add):
        yield jobs


@contextmanager
def instead(
    take: Callable[[Recorded], object], at_end: Callable[[Batch], object] = lambda _: None
) -> Iterator[None]:
    """Have `take` called with each job in place of its being stored, `at_end` at the end of a batch's block."""
    ways = _Ways(take)
    kept = {name: getattr(Pusher, name) for name in _NAMES}
    state = settings._State  # noqa: SLF001 - what `configure` cannot do is to put everything back
    before = state.settings, state.client, Stand.in_for
    if not _is_redis_set():
        state.settings, state.client = replace(state.settings, redis=NOWHERE), None
    try:
        for name in _NAMES:
            setattr(Pusher, name, getattr(ways, f"way_of{name}")())
        Stand.in_for = at_end
        yield
    finally:
        for name, method in kept.items():
            setattr(Pusher, name, method)
        state.settings, state.client, Stand.in_for = before


_NAMES = ("_store_one", "_astore_one", "_store_many", "_astore_many")


def _is_redis_set() -> bool:
    try:
        settings.redis_target()
    except ConfigError:
        return False
    return True


@dataclass(frozen=True)
class _Ways:
    """What stands in for the four ways of storing."""

    take: Callable[[Recorded], object]

    def one(self, job: Packed | None) -> str:
        if job is None:
            return ""
        self.take(recorded(job))
        return job.jid

    def many(self, pusher: Pusher, full: Iterable[Any], progress: Callable[[int], None] | None) -> int:
        stored = 0
        for chunk in full:
            for _, jobs in chunk.calls(pusher.store):
                for job in jobs:
                    self.one(job)
                stored += len(jobs)
            if progress is not None:
                progress(stored)
        return stored

    def way_of_store_one(self) -> Any:
        return lambda _pusher, job: self.one(job)

    def way_of_astore_one(self) -> Any:
        async def store(_pusher: Pusher, job: Packed | None) -> str:
            return self.one(job)

        return store

    def way_of_store_many(self) -> Any:
        def store(pusher: Pusher, full: Iterable[Any], progress: Callable[[int], None] | None) -> int:
            return self.many(pusher, full, progress)

        return store

    def way_of_astore_many(self) -> Any:
        async def store(pusher: Pusher, full: Iterable[Any], progress: Callable[[int], None] | None) -> int:
            return self.many(pusher, full, progress)

        return store


def recorded(job: Packed) -> Recorded:
    """Return a job as it would be read from Redis."""
    return Recorded(job.name, job.jid, job.queue, job.at, decode(job.raw))
