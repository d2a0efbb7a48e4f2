"""The way of payloads into Redis: checked, encoded, and stored in one round trip.

Safe for threads and forks, and for any number of event loops. All that push to the same URL share their
connections. A job is sent once: if Redis certainly did not store it the error says so, and whoever called
decides whether to try again.
"""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.bulk import Chunk, call_arguments, chunks, jids, random_jids
from sidelamb.collecting import collecting, is_member
from sidelamb.links import link_to, loop_links_to
from sidelamb.middleware import compose
from sidelamb.packing import Packer, new_jid
from sidelamb.press import Pressed, gathered
from sidelamb.store import Store
from sidelamb.telling import Tally, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sidelamb.alink import AsyncLink
    from sidelamb.link import Link
    from sidelamb.middleware import Middleware, Payload
    from sidelamb.packing import Packed
    from sidelamb.store import Call
    from sidelamb.target import RedisTarget
    from sidelamb.template import Template

__all__ = ["Pusher"]


class Pusher:
    """Stores jobs. `Client` documents the arguments."""

    def __init__(
        self,
        target: RedisTarget | None = None,
        *,
        namespace: str | None = None,
        middleware: Sequence[Middleware] = (),
        max_payload: int | None = None,
        clock: Callable[[], float] = time.time,
        new_jid: Callable[[], str] = new_jid,
    ) -> None:
        where = settings.redis_target() if target is None else target
        limit = settings.max_payload() if max_payload is None else max_payload
        self.store = Store(settings.namespace() if namespace is None else namespace)
        self.link: Link = link_to(where)
        self._loop_links = loop_links_to(where)
        self._packer = Packer(
            compose(middleware),
            settings.checked_max_payload(limit, "max_payload"),
            settings.known_queues,
            ms=settings.timestamps() == "ms",
        )
        self._clock, self._new_jid = clock, new_jid

    def now(self) -> float:
        """Return the time, epoch s, by this client's clock."""
        return float(self._clock())

    # --- payloads ----------------------------------------------------------------------------------------

    def push(self, payload: Payload) -> str:
        """Store one payload as it is, and return its id; the empty text if middleware stopped it.

        Args:
            payload: at least `class` and `args`, with `at` (epoch seconds) to schedule it. What is missing is
                filled in as Sidekiq does: retry, queue, jid, created_at. Fields of your own travel along.

        Raises:
            JobError: a field is missing or wrong; nothing was stored.
            RedisUnreachable, RedisRefused, RedisUncertain: as `Job.enqueue`.
        """
        return self._store_one(self._packer.pack_payload(payload, self.now(), self._new_jid))

    def push_many(self, payloads: Iterable[Payload], *, progress: Callable[[int], None] | None = None) -> int:
        """Store many payloads, 1,000 a round trip, each with its own queue and time; return how many.

        Args and raises as `push`, and as `Job.enqueue_many`.
        """
        return self._store_many(chunks(self._packed_payloads(payloads)), progress)

    async def apush(self, payload: Payload) -> str:
        """`push` for async code."""
        return await self._astore_one(self._packer.pack_payload(payload, self.now(), self._new_jid))

    async def apush_many(
        self, payloads: Iterable[Payload], *, progress: Callable[[int], None] | None = None
    ) -> int:
        """`push_many` for async code."""
        return await self._astore_many(chunks(self._packed_payloads(payloads)), progress)

    # --- calls of a job ----------------------------------------------------------------------------------

    def submit(
        self, template: Template, args: Sequence[Any], kwargs: Mapping[str, Any], at: float | None = None
    ) -> str:
        """Store one call of a job; what `Job.enqueue` is made of."""
        return self._store_one(self.pack(template, args, kwargs, at))

    def submit_many(
        self, template: Template, items: Iterable[Any], progress: Callable[[int], None] | None = None
    ) -> int:
        """Store many calls of a job; what `Job.enqueue_many` is made of."""
        return self._store_many(self._chunks(template, items), progress)

    async def asubmit(
        self, template: Template, args: Sequence[Any], kwargs: Mapping[str, Any], at: float | None = None
    ) -> str:
        """`submit` for async code."""
        return await self._astore_one(self.pack(template, args, kwargs, at))

    async def asubmit_many(
        self, template: Template, items: Iterable[Any], progress: Callable[[int], None] | None = None
    ) -> int:
        """`submit_many` for async code."""
        return await self._astore_many(self._chunks(template, items), progress)

    def store_one(self, job: Packed) -> str:
        """Store one packed job, or have the batch of this block take it."""
        return self._store_one(job)

    async def astore_one(self, job: Packed) -> str:
        """`store_one` for async code."""
        return await self._astore_one(job)

    async def loop_link(self) -> AsyncLink:
        """Return the way to Redis of the running event loop."""
        return (await self._loop_links.here()).link

    # --- in two steps ------------------------------------------------------------------------------------

    def pack(
        self, template: Template, args: Sequence[Any], kwargs: Mapping[str, Any], at: float | None = None
    ) -> Packed | None:
        """Return one call of a job, checked and encoded, to be stored later; None if middleware stopped it."""
        template.shape.check(args, kwargs)
        codec = template.shape.codec
        if codec is not None:
            args, kwargs = codec.encode(args, kwargs)
        now = self.now()
        payload = template.payload(args, kwargs, self._new_jid(), now, at, ms=self._packer.ms)
        return self._packer.pack(payload, now, at)

    def pack_ahead(self, payload: Payload) -> Packed | None:
        """Return a job that is kept until it enters its queue, with `,"enqueued_at":…}` for its last brace.

        Its time to expire would begin now, and is left out. None if middleware stopped it.
        """
        now = self.now()
        payload.pop("expiry", None)
        return self._packer.pack(payload, now, now + 1)

    def pack_many(self, template: Template, items: Iterable[Any]) -> Iterator[Packed | None]:
        """Give many calls of a job, checked and encoded, to be stored later; None for one that was stopped."""
        return self._packed_items(template, _carried(template, items))

    def anew(self, jobs: Iterable[Packed]) -> list[Packed]:
        """Return jobs that were packed some time ago as they are stored now, in the order of a chunk's steps."""
        now = self.now()
        return sorted((self._packer.anew(job, now) for job in jobs), key=_step)

    def store_packed(self, jobs: Iterable[Packed]) -> int:
        """Store packed jobs; returns and raises as `push_many`."""
        return self._store_many(chunks(jobs), None)

    async def astore_packed(self, jobs: Iterable[Packed]) -> int:
        """`store_packed` for async code."""
        return await self._astore_many(chunks(jobs), None)

    def close(self) -> None:
        """Close the connections of blocking calls, also those of other clients of this URL; they open anew."""
        self.link.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop; the next call opens new ones."""
        await self._loop_links.close()

    # --- packing -----------------------------------------------------------------------------------------

    def _chunks(self, template: Template, items: Iterable[Any]) -> Iterator[Chunk | Pressed]:
        """Give the calls of a job in chunks: pressed; from the first on that is not plain, packed one by one."""
        left = iter(_carried(template, items))
        for calls, args in gathered(template.shape, left) if self._new_jid is new_jid else ():
            frame = self._packer.frame(template, self.now())
            if not args or frame is None or frame.size + max(map(len, args)) > self._packer.max_payload:
                left = chain(calls, left)
                break
            yield Pressed(frame, args, random_jids(len(args)))
        yield from chunks(self._packed_items(template, left))

    def _packed_items(self, template: Template, items: Iterable[Any]) -> Iterator[Packed | None]:
        pack, payload, clock, ms = self._packer.pack, template.payload, self._clock, self._packer.ms
        ids = jids(None if self._new_jid is new_jid else self._new_jid)
        for item in items:
            args, kwargs = call_arguments(template, item)
            now = float(clock())
            yield pack(payload(args, kwargs, next(ids), now, ms=ms), now)

    def _packed_payloads(self, payloads: Iterable[Payload]) -> Iterator[Packed | None]:
        for payload in payloads:
            yield self._packer.pack_payload(payload, self.now(), self._new_jid)

    # --- storing -----------------------------------------------------------------------------------------

    def _call(self, job: Packed) -> Call[Any]:
        if job.effects:
            return self.store.admit([job])
        if job.at is None:
            return self.store.enqueue([(job.queue, job.raw)])
        return self.store.schedule([(job.at, job.raw)])

    def _store_one(self, job: Packed | None) -> str:
        if job is None:
            return ""
        if job.effects and (batch := collecting.get()) is not None and is_member(job):
            batch.take(self, [job])
            return job.jid
        try:
            answer = self.link.run(self._call(job))
        except BaseException as error:
            tell(error, [job])
            raise
        return (job.effects and answer[0]) or job.jid

    async def _astore_one(self, job: Packed | None) -> str:
        if job is None:
            return ""
        if job.effects and (batch := collecting.get()) is not None and is_member(job):
            await batch.atake(self, [job])
            return job.jid
        loop_link = await self._loop_links.here()
        try:
            answer = await loop_link.link.run(self._call(job))
        except BaseException as error:
            tell(error, [job])
            raise
        return (job.effects and answer[0]) or job.jid

    def _store_many(self, full: Iterable[Chunk | Pressed], progress: Callable[[int], None] | None) -> int:
        batch = collecting.get()
        with Tally(progress) as tally:
            for chunk in full:
                if batch is not None and (members := _members(chunk)):
                    batch.take(self, members)
                    tally.stored += len(members)
                for call, jobs in chunk.calls(self.store):
                    tally.trying = jobs
                    tally.done(self.link.run(call))
                tally.report()
        return tally.stored

    async def _astore_many(self, full: Iterable[Chunk | Pressed], progress: Callable[[int], None] | None) -> int:
        batch = collecting.get()
        loop_link = await self._loop_links.here()
        with Tally(progress) as tally:
            for chunk in full:
                if batch is not None and (members := _members(chunk)):
                    await batch.atake(self, members)
                    tally.stored += len(members)
                for call, jobs in chunk.calls(self.store):
                    tally.trying = jobs
                    tally.done(await loop_link.link.run(call))
                tally.report()
        return tally.stored


def _members(chunk: Chunk | Pressed) -> list[Packed]:
    """Take the jobs out of a chunk that were made ready in a batch's block."""
    if not isinstance(chunk, Chunk):
        return []
    members = [job for job in chunk.with_features if is_member(job)]
    chunk.with_features = [job for job in chunk.with_features if not is_member(job)]
    return members


def _step(job: Packed) -> int:
    return 2 if job.effects else int(job.at is not None)


def _carried(template: Template, items: Iterable[Any]) -> Iterable[Any]:
    """Return items of `enqueue_many` with their arguments as plain JSON."""
    codec = template.shape.codec
    return items if codec is None else map(codec.item, items)
