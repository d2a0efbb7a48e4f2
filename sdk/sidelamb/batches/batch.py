"""Batches: jobs that belong together, and what is to happen when they are through.

    with Batch("import", on_success=done, options={"file": 12}) as batch:
        for row in rows:
            load.enqueue(row)

    @job
    def done(status: BatchStatus, options: dict[str, Any]) -> None: ...

What is enqueued in the block becomes runnable all at once at its end; an error in the block pushes nothing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from sidelamb import settings
from sidelamb.api.steps import arun, awaiting, blocking, run
from sidelamb.batches import callback
from sidelamb.batches.block import BatchClosed, Block
from sidelamb.batches.checks import (
    checked_autoflush,
    checked_duration,
    checked_options,
    checked_tags,
    checked_text,
)
from sidelamb.batches.member import MOST_LEVELS, Level, levels_of
from sidelamb.batches.status import status_steps
from sidelamb.batches.store import BatchStore, Making
from sidelamb.batches.waiting import Waits
from sidelamb.collecting import Stand, collecting
from sidelamb.current import current_job
from sidelamb.errors import BadCall, RedisError, SidelambError
from sidelamb.packing import new_jid

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from contextvars import Token
    from types import TracebackType

    from sidelamb.api.steps import Steps
    from sidelamb.batches.status import BatchStatus
    from sidelamb.calls import Enqueues
    from sidelamb.client import Client
    from sidelamb.notify import Channel
    from sidelamb.packing import Packed
    from sidelamb.pusher import Pusher

__all__ = ["Batch", "BatchClosed", "current_batch"]

EXPIRES_S = 30 * 86_400.0
"""What is known of a batch goes so long after it was made."""
LINGERS_S = 86_400.0
"""And so long after its success."""


class Batch(Waits):
    """Jobs that belong together. Use it once, in `with` or `async with`.

    Args:
        description: for people.
        on_success: a job, or a webhook or topic of `sidelamb.notify`, that is called when all jobs have succeeded,
            also after retries by hand.
        on_complete: when each has run once, whatever came of it.
        on_death: when the first one has died.
        options: plain JSON, the second argument of each callback; the first one is the batch's status.
        tags: labels, for people.
        autoflush: push so many jobs at a time, while the block runs, in place of all at its end.
        results: keep what its jobs return, for `results()`.
        expires_in: seconds or timedelta after which all that is known of it goes; its jobs stay.
        linger: the same after its end.
        client: through which; None for the process's. The jobs of its block go through the same.

    Attributes:
        bid: its id.

    Raises:
        BadOption: one of these cannot be.
        BadCall: a callback does not take a status and options.
    """

    def __init__(
        self,
        description: str = "",
        *,
        on_success: Enqueues[..., Any] | Channel | None = None,
        on_complete: Enqueues[..., Any] | Channel | None = None,
        on_death: Enqueues[..., Any] | Channel | None = None,
        options: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        autoflush: int | None = None,
        results: bool = False,
        expires_in: float | dt.timedelta = EXPIRES_S,
        linger: float | dt.timedelta = LINGERS_S,
        client: Client | None = None,
    ) -> None:
        self.description = checked_text(description)
        self._calls = callback.checked({"complete": on_complete, "success": on_success, "death": on_death})
        self._options = checked_options(options)
        self._tags = checked_tags(tags)
        self._autoflush = checked_autoflush(autoflush)
        self._keeps = bool(results)
        self._ttl_s = checked_duration(expires_in, "expires_in")
        self._linger_s = checked_duration(linger, "linger")
        self._given_client = client
        self.bid = new_jid()
        self._is_new = True
        self._levels: list[Level] = []
        self._block: Block | None = None
        self._outer: Batch | None = None
        self._tokens: list[Token[Batch | None]] = []
        self.callbacks: dict[str, Packed] = {}
        """By event, ready to be pushed."""
        self.fields: dict[str, Any] = {}
        """What stands in the payloads of its jobs."""
        self.more: dict[str, Any] = {}
        """What else is written down of it, by who builds on batches."""

    @classmethod
    def of(cls, bid: str, client: Client | None = None) -> Batch:
        """Return a batch that is there, by its id: to look at, wait for or cancel it, or to add jobs to it."""
        batch = cls(client=client)
        batch.bid, batch._is_new = checked_text(bid), False
        return batch

    # --- the block ---------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        run(self._client, self._entering())
        self._tokens.append(collecting.set(self))
        return self

    async def __aenter__(self) -> Self:
        await arun(self._client, self._entering())
        self._tokens.append(collecting.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        block = self._leave(error)
        if block is None:
            return
        if error is None:
            try:
                run(block.client, block.push())
            except BaseException as failure:
                block.tell(failure)
                if block.may_drop(failure):
                    with suppress(RedisError):
                        run(block.client, block.drop())
                raise
        else:
            with suppress(RedisError):
                run(block.client, block.drop())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        block = self._leave(error)
        if block is None:
            return
        if error is None:
            try:
                await arun(block.client, block.push())
            except BaseException as failure:
                block.tell(failure)
                if block.may_drop(failure):
                    with suppress(RedisError):
                        await arun(block.client, block.drop())
                raise
        else:
            with suppress(RedisError):
                await arun(block.client, block.drop())

    def take(self, pusher: Pusher, jobs: Sequence[Packed]) -> None:
        """Keep jobs of the block; what an enqueue does there."""
        block = self._taking(pusher, jobs)
        if block.is_full:
            try:
                run(block.client, block.flush())
            except RedisError as error:
                block.tell(error)
                raise

    async def atake(self, pusher: Pusher, jobs: Sequence[Packed]) -> None:
        """`take` for async code."""
        block = self._taking(pusher, jobs)
        if block.is_full:
            try:
                await arun(block.client, block.flush())
            except RedisError as error:
                block.tell(error)
                raise

    # --- afterwards --------------------------------------------------------------------------------------

    def _status(self) -> Steps[BatchStatus]:
        """Return what is known of it now, and of the batches in it.

        Raises:
            BatchGone: nothing is: it was not pushed yet, has expired or was deleted.
            RedisError: Redis is away.
        """
        return (yield from status_steps(self._store, self.bid))

    def _results(self) -> Steps[dict[str, Any]]:
        """Return what its jobs have returned so far, by their ids; None for one that was discarded.

        Raises:
            NoResult: a result could not be kept.
        """
        from sidelamb.batches.status import read_results  # noqa: PLC0415 - few ask

        return read_results((yield self._store.results(self.bid)))

    def _cancel(self) -> Steps[None]:
        """Cancel what of it, and of the batches in it, has not run: it is dropped when its turn comes.

        Jobs that run see it by `current_job().cancelled`. `on_success` is not called any more; `on_complete` is,
        when the last job has come to its end. Cancelling what is over does no harm.

        Raises:
            BatchGone, RedisError: as `status`.
        """
        if not self._levels:
            self._levels = yield from self._read_levels()
        yield self._store.cancel(self._levels, self._client.now())

    status, astatus = blocking(_status), awaiting(_status)
    results, aresults = blocking(_results), awaiting(_results)
    cancel, acancel = blocking(_cancel), awaiting(_cancel)

    @property
    def _client(self) -> Client:
        return self._given_client or settings.default_client()

    @property
    def _store(self) -> BatchStore:
        return BatchStore(self._client.store.keys)

    # --- making ------------------------------------------------------------------------------------------

    def _entering(self) -> Steps[None]:
        outer = self._outer = collecting.get()
        if self._block is not None or self._tokens:
            raise BadCall(
                f"batch {self.bid}: a batch is for one `with`; use current_batch() or Batch.of(bid) again"
            )
        if outer is not None and not self._is_new:
            raise BadCall(f"batch {self.bid} is there already, and cannot be put into batch {outer.bid}")
        if outer is not None and self._given_client is None:
            self._given_client = outer._given_client  # noqa: SLF001 - another batch
        if not self._is_new and not self._levels:
            self._levels = yield from self._read_levels()
        parents = outer._levels if outer is not None else self._levels[1:]  # noqa: SLF001
        if len(parents) >= MOST_LEVELS:
            raise BadCall(f"batch {self.bid}: it is {len(parents) + 1} levels deep; the limit is {MOST_LEVELS}")
        making = self._made(outer, parents) if self._is_new else Making("old", self._levels[0])
        self.fields = {"bid": self.bid, "batch": [level.to_wire() for level in self._levels]}
        if Stand.in_for is not None:
            return
        self._block = shared = None if outer is None or outer._autoflush is not None else outer._block  # noqa: SLF001
        if shared is not None and outer is not None:
            if self._autoflush is not None:
                raise BadCall(f"batch {self.bid}: autoflush is for the outermost batch; that is {outer.bid}")
            shared.add(making, outer.bid)
            return
        self._block = Block(self._client, self.bid, self._levels[1:], autoflush=self._autoflush)
        self._block.add(making, None)
        if self._autoflush is not None and self._is_new:
            yield from self._block.opening()

    def _made(self, outer: Batch | None, parents: Sequence[Level]) -> Making:
        """Return how this batch is made, with its callbacks ready to be pushed."""
        client = self._client
        for event, call in self._calls.items():
            packed = callback.packed(client, call, self.bid, event, self._options)
            if packed is not None:
                self.callbacks[event] = packed
        queues = tuple(dict.fromkeys(packed.queue for packed in self.callbacks.values()))
        self._levels = [Level(self.bid, queues, self._keeps), *parents]
        fields: dict[str, Any] = {
            "description": self.description,
            "options": json.dumps(self._options),
            "tags": json.dumps(self._tags),
            "linger": int(self._linger_s * 1000),
            "parent": outer.bid if outer is not None else "",
            "levels": json.dumps([level.to_wire() for level in self._levels]),
            "total": 0,
            **self.more,
        }
        for event, packed in self.callbacks.items():
            fields |= {f"call:{event}": packed.raw[:-1], f"queue:{event}": packed.queue}
            fields.setdefault(f"members:{event}", packed.jid)
        return Making("new", self._levels[0], ttl_s=self._ttl_s, fields=fields, seal=self._autoflush is None)

    def _read_levels(self) -> Steps[list[Level]]:
        from sidelamb.batches.status import BatchGone  # noqa: PLC0415 - who has a batch at hand need not look

        found = yield self._store.field(self.bid, "levels")
        if found is None:
            raise BatchGone(
                f"nothing is known of batch {self.bid!r}: it was not pushed, has expired or was deleted"
            )
        return levels_of({"bid": self.bid, "batch": json.loads(found)})

    def _leave(self, error: BaseException | None) -> Block | None:
        """Leave the block; return what is to be pushed, if this is the outermost one."""
        collecting.reset(self._tokens[-1])
        if Stand.in_for is not None:
            if error is None:
                Stand.in_for(self)
            return None
        block = self._block
        if block is None or block.owner == self.bid:
            return block
        if error is not None:
            block.spoil(self.bid)
        return None

    def _taking(self, pusher: Pusher, jobs: Sequence[Packed]) -> Block:
        block = self._block
        if block is None or block.is_over:
            raise BadCall(f"batch {self.bid}: its block is over; {jobs[0].name} was enqueued by what outlived it")
        if (
            pusher.link is not block.client.link
            or pusher.store.keys.namespace != block.client.store.keys.namespace
        ):
            raise BadCall(
                f"{jobs[0].name} (jid {jobs[0].jid}) is enqueued in the block of batch {self.bid} through another "
                "client; a batch is in one Redis: give that client to Batch(client=…)"
            )
        block.take(jobs)
        return block


def current_batch() -> Batch:
    """Return the batch of the running job: entered with `with`, it takes more jobs.

    Raises:
        SidelambError: no job is running here, or it is in no batch.
    """
    job = current_job()
    levels = levels_of(getattr(job, "payload", {}))
    if not levels:
        raise SidelambError(f"current_batch(): {job.name} (jid {job.jid}) is in no batch")
    batch = Batch.of(levels[0].bid)
    batch._levels = levels  # noqa: SLF001 - as its payload names them
    return batch
