"""Batches: jobs that belong together, and what is to happen when they are through.

    with Batch("import", on_success=done, options={"file": 12}) as batch:
        for row in rows:
            load.enqueue(row)

    @job
    def done(bid: str, options: dict[str, Any]) -> None: ...

What is enqueued in the block is staged, and becomes runnable all at once at its end; an error in the block pushes
nothing. `batches.py` says how members tell their batch what becomes of them.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from sidelamb import settings
from sidelamb.batches import Level, levels_of, stamp
from sidelamb.batchstatus import astatus_of, status_of, wait_for
from sidelamb.batchstore import BatchStore, Making, Stage
from sidelamb.collecting import collecting
from sidelamb.current import current_job
from sidelamb.errors import BadCall, BadOption, RedisError, SidelambError
from sidelamb.packing import new_jid
from sidelamb.store import BULK
from sidelamb.telling import tell
from sidelamb.times import seconds
from sidelamb.values import are_plain
from sidelamb.wording import shown

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Generator, Mapping, Sequence
    from contextvars import Token
    from types import TracebackType

    from sidelamb.batchstatus import BatchStatus
    from sidelamb.calls import Enqueues
    from sidelamb.client import Client
    from sidelamb.packing import Packed
    from sidelamb.pusher import Pusher
    from sidelamb.store import Call

    Steps = Generator[Call[Any], Any, None]

__all__ = ["Batch", "BatchClosed", "current_batch"]

EXPIRES_S = 30 * 86_400.0
"""What is known of a batch goes so long after it was made."""
LINGERS_S = 86_400.0
"""And so long after its success."""
MOST_LEVELS = 8
"""A batch in a batch in a batch: each job's payload names all of them."""
MOST_STAGED_BYTES = 8 * 1024 * 1024
MOST_STAGED_EFFECTS = 500
"""Of other features, with keys of their own, in a step."""


class BatchClosed(SidelambError):
    """The batch takes no jobs any more: it is over, cancelled, or gone."""


class Batch:
    """Jobs that belong together. Use it once, in `with` or `async with`.

    Args:
        description: for people.
        on_success: a job that is called when all jobs have succeeded, also after retries by hand.
        on_complete: when each has run once, whatever came of it.
        on_death: when the first one has died.
        options: plain JSON, the second argument of each callback; the first one is the batch's id.
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
    """

    def __init__(
        self,
        description: str = "",
        *,
        on_success: Enqueues[..., Any] | None = None,
        on_complete: Enqueues[..., Any] | None = None,
        on_death: Enqueues[..., Any] | None = None,
        options: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        autoflush: int | None = None,
        results: bool = False,
        expires_in: float | dt.timedelta = EXPIRES_S,
        linger: float | dt.timedelta = LINGERS_S,
        client: Client | None = None,
    ) -> None:
        self.description = _checked_text(description)
        self._calls = {"success": on_success, "complete": on_complete, "death": on_death}
        _check_calls(self._calls)
        self._options = dict(options or {})
        if not are_plain((self._options,)):
            raise BadOption(f"options of a batch are {shown(options)}; expected plain JSON")
        if isinstance(tags, str) or not all(type(tag) is str and tag for tag in tags):
            raise BadOption(f"tags of a batch are {shown(tags)}; expected a list of texts that are not empty")
        self._tags = list(tags)
        if autoflush is not None and (type(autoflush) is not int or not 1 <= autoflush <= BULK):
            raise BadOption(
                f"autoflush of a batch is {shown(autoflush)}; expected a whole number from 1 to {BULK}"
            )
        self._autoflush = autoflush
        self._results = bool(results)
        self._ttl_s = _duration(expires_in, "expires_in")
        self._linger_s = _duration(linger, "linger")
        self._client = client
        self.bid = new_jid()
        self._kind: Any = "new"
        self._levels: list[Level] = []
        self._block: _Block | None = None
        self._tokens: list[Token[Batch | None]] = []
        self.fields: dict[str, Any] = {}
        """What stands in the payloads of its jobs."""

    # --- the block ---------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        block, steps = self._enter()
        for call in steps:
            block.client.link.run(call)
        self._tokens.append(collecting.set(self))
        return self

    async def __aenter__(self) -> Self:
        block, steps = self._enter()
        link = await block.client.loop_link()
        for call in steps:
            await link.run(call)
        self._tokens.append(collecting.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        block = self._leave(error)
        if block is None:
            return
        link = block.client.link
        try:
            if block.is_spoiled:
                block.refuse(error)
            else:
                block.run(link.run)
        except BaseException:
            with suppress(RedisError):
                link.command(*block.drop())
            raise
        if error is not None:
            with suppress(RedisError):
                link.command(*block.drop())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        block = self._leave(error)
        if block is None:
            return
        link = await block.client.loop_link()
        try:
            if block.is_spoiled:
                block.refuse(error)
            else:
                await block.arun(link.run)
        except BaseException:
            with suppress(RedisError):
                await link.command(*block.drop())
            raise
        if error is not None:
            with suppress(RedisError):
                await link.command(*block.drop())

    def take(self, pusher: Pusher, jobs: Sequence[Packed]) -> None:
        """Keep jobs of the block; what an enqueue does there."""
        block = self._taking(pusher, jobs)
        if block.is_full:
            block.flush(block.client.link.run)

    async def atake(self, pusher: Pusher, jobs: Sequence[Packed]) -> None:
        """`take` for async code."""
        block = self._taking(pusher, jobs)
        if block.is_full:
            await block.aflush((await block.client.loop_link()).run)

    # --- afterwards --------------------------------------------------------------------------------------

    def status(self) -> BatchStatus:
        """Return what is known of it now, and of the batches in it.

        Raises:
            BatchGone: nothing is: it was not pushed yet, has expired or was deleted.
            RedisError: Redis is away.
        """
        return status_of(self._through, self.bid)

    async def astatus(self) -> BatchStatus:
        """`status` for async code."""
        return await astatus_of(self._through, self.bid)

    def wait(self, timeout: float | None = None, *, progress: bool = False) -> BatchStatus:
        """Wait until each job has run once and none waits for a retry, and return the status.

        Args:
            timeout: seconds; None to wait as long as it takes.
            progress: draw a bar on stderr.

        Raises:
            NotFinished: the time is over.
            BatchGone, RedisError: as `status`.
        """
        return wait_for(self._through, self.bid, timeout, progress=progress)

    @property
    def _through(self) -> Client:
        return self._client or settings.default_client()

    # --- making ------------------------------------------------------------------------------------------

    def _enter(self) -> tuple[_Block, Sequence[Call[Any]]]:
        if self._block is not None:
            raise BadCall(f"batch {self.bid}: a batch is for one `with`; in its jobs use current_batch()")
        outer = collecting.get()
        if outer is not None and self._kind == "old":
            raise BadCall(f"batch {self.bid}: current_batch() cannot be entered in the block of batch {outer.bid}")
        parents = outer._levels if outer is not None else self._levels[1:]  # noqa: SLF001 - another batch
        if len(parents) >= MOST_LEVELS:
            raise BadCall(
                f"batch {self.bid}: it would be {len(parents) + 1} levels deep, the limit is {MOST_LEVELS}"
            )
        client = (
            self._client or (outer._block.client if outer and outer._block else None) or settings.default_client()
        )  # noqa: SLF001
        self._client = client
        making = self._made(client, outer, parents) if self._kind == "new" else Making("old", self._levels[0])
        self.fields = {"bid": self.bid, "batch": [level.to_wire() for level in self._levels]}
        if outer is not None and outer._autoflush is None and outer._block is not None:  # noqa: SLF001
            if self._autoflush is not None:
                raise BadCall(f"batch {self.bid}: autoflush is for the outermost batch; that is {outer.bid}")
            self._block = outer._block  # noqa: SLF001
            self._block.add(making, outer.bid)
            return self._block, ()
        self._block = _Block(client, self.bid, self._levels[1:], autoflush=self._autoflush)
        self._block.add(making, None)
        return self._block, [self._block.opening()] if self._autoflush is not None else ()

    def _made(self, client: Client, outer: Batch | None, parents: Sequence[Level]) -> Making:
        """Return how this batch is made, with its callbacks ready to be pushed."""
        fields: dict[str, Any] = {
            "description": self.description,
            "options": json.dumps(self._options),
            "tags": json.dumps(self._tags),
            "linger": int(self._linger_s * 1000),
            "parent": outer.bid if outer is not None else "",
            "total": 0,
        }
        queues: dict[str, None] = {}
        for event, call in self._calls.items():
            packed = None if call is None else _callback(client, call, self.bid, event, self._options)
            if packed is not None:
                fields |= {f"call:{event}": packed.raw[:-1], f"queue:{event}": packed.queue}
                queues[packed.queue] = None
        self._levels = [Level(self.bid, tuple(queues), self._results), *parents]
        return Making("new", self._levels[0], ttl_s=self._ttl_s, fields=fields, seal=self._autoflush is None)

    def _leave(self, error: BaseException | None) -> _Block | None:
        """Leave the block; return what is to be pushed, if this is the outermost one."""
        collecting.reset(self._tokens.pop())
        block = self._block
        if block is None:  # pragma: no cover - it was entered
            return None
        if error is not None:
            block.is_spoiled = True
        return block if block.owner == self.bid else None

    def _taking(self, pusher: Pusher, jobs: Sequence[Packed]) -> _Block:
        block = self._block
        if block is None or block.is_over:
            raise BadCall(f"batch {self.bid}: its block is over")
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


class _Block:
    """What was enqueued in a block, and in those in it, until its end."""

    def __init__(self, client: Client, owner: str, parents: Sequence[Level], *, autoflush: int | None) -> None:
        self.client, self.owner = client, owner
        self.is_spoiled = self.is_over = False
        self._autoflush = autoflush
        self._stage = Stage(new_jid())
        self._store = BatchStore(client.store.keys)
        self._jobs: list[Packed] = []
        self._bytes = self._effects = 0
        self._batches: list[Making] = []
        for level in reversed(parents):
            kind: Any = "old" if level is parents[0] else "up"
            self._batches.append(Making(kind, level, up=len(self._batches)))

    @property
    def is_full(self) -> bool:
        """Whether a round trip is worth it."""
        if self._autoflush is not None:
            return len(self._jobs) >= self._autoflush
        return len(self._jobs) >= BULK or self._bytes >= MOST_STAGED_BYTES or self._effects >= MOST_STAGED_EFFECTS

    def add(self, making: Making, parent: str | None) -> None:
        """Add a batch to those that are made at the end."""
        bids = [batch.level.bid for batch in self._batches]
        up = len(bids) if parent is None else bids.index(parent) + 1
        self._batches.append(Making(making.kind, making.level, up, making.seal, making.ttl_s, making.fields))

    def take(self, jobs: Sequence[Packed]) -> None:
        """Keep jobs."""
        self._jobs += jobs
        self._bytes += sum(len(job.raw) for job in jobs)
        self._effects += sum(len(job.effects) - 1 for job in jobs)

    def flush(self, run: Any) -> None:
        """Stage what was taken, or push it, if this batch flushes by itself."""
        for call, jobs in self._steps():
            try:
                self._staged(jobs, run(call))
            except RedisError as error:
                self._told(error, jobs)
                raise

    async def aflush(self, run: Any) -> None:
        """`flush` for async code."""
        for call, jobs in self._steps():
            try:
                self._staged(jobs, await run(call))
            except RedisError as error:
                self._told(error, jobs)
                raise

    def run(self, run: Any) -> None:
        """Push it all."""
        self.flush(run)
        self._gone(run(self._go()))

    async def arun(self, run: Any) -> None:
        """`run` for async code."""
        await self.aflush(run)
        self._gone(await run(self._go()))

    def opening(self) -> Call[str]:
        """Return the call that makes a batch which takes jobs while its block runs."""
        call = self._go()
        last = self._batches[-1]
        self._batches[-1] = Making("old", last.level, last.up)
        return call

    def drop(self) -> tuple[bytes | str, ...]:
        """Return the command that gives up what is staged."""
        self.is_over = True
        return self._store.drop(self._stage, [batch.level.bid for batch in self._batches])

    def refuse(self, error: BaseException | None) -> None:
        """Raise if an error in an inner block was caught, and the outer one would push a part."""
        if error is None:
            raise BadCall(
                f"batch {self.owner}: the block of a batch in it has failed, so nothing is pushed; let its error "
                "come through, or make that batch outside of this one"
            )

    def _go(self) -> Call[str]:
        now = self.client.now()
        written = {"created_at": 0} if settings.timestamps() == "ms" else {}
        return self._store.go(now, stamp(now, written), self._stage, self._batches)

    def _steps(self) -> list[tuple[Call[list[str]], list[Packed]]]:
        jobs, self._jobs, self._bytes, self._effects = self._jobs, [], 0, 0
        size = self._autoflush or (BULK if sum(len(job.effects) for job in jobs) <= 2 * BULK else BULK // 4)
        parts = [jobs[at : at + size] for at in range(0, len(jobs), size)]
        if self._autoflush is not None:
            return [(self.client.store.admit(part), part) for part in parts]
        return [(self._store.stage(self._stage, part), part) for part in parts]

    def _staged(self, jobs: Sequence[Packed], refused: list[str]) -> None:
        if self._autoflush is None:
            self._stage.jobs += refused.count("")
            self._stage.queues |= {job.queue: None for job in jobs if job.at is None}

    def _told(self, error: RedisError, jobs: Sequence[Packed]) -> None:
        """Say what an error of a flush means: what was only staged will not run."""
        if self._autoflush is not None:
            tell(error, jobs)
        else:
            error.args = (f"Nothing of batch {self.owner} is pushed. {error}",)

    def _gone(self, answer: str) -> None:
        self.is_over = True
        if answer not in {"", "done"}:
            why = {"gone": "has expired or was deleted", "over": "is over", "cancelled": "was cancelled"}[answer]
            raise BatchClosed(
                f"batch {self.owner} {why} and takes no jobs any more; nothing of this block is pushed"
            )


def current_batch() -> Batch:
    """Return the batch of the job that is running: `with current_batch(): more.enqueue()` adds jobs to it.

    Raises:
        SidelambError: no job is running here, or it is in no batch.
    """
    job = current_job()
    levels = levels_of(getattr(job, "payload", {}))
    if not levels:
        raise SidelambError(f"current_batch(): {job.name} (jid {job.jid}) is in no batch")
    return reopened(levels)


def reopened(levels: Sequence[Level], client: Client | None = None) -> Batch:
    """Return a batch that is there already, to add jobs to it."""
    batch = Batch(client=client)
    batch.bid, batch._kind, batch._levels = levels[0].bid, "old", list(levels)  # noqa: SLF001 - made in two steps
    return batch


def _callback(
    client: Client, call: Enqueues[..., Any], bid: str, event: str, options: dict[str, Any]
) -> Packed | None:
    """Return a callback that is ready but for the time at which it enters its queue."""
    template, now = call.template, client.now()
    template.shape.check((bid, options), {})
    payload = template.payload([bid, options], {}, f"{bid}-{event}", now)
    return client._packer.pack(payload, now, now + 1)  # noqa: SLF001 - as the client does


def _check_calls(calls: Mapping[str, Any]) -> None:
    for event, call in calls.items():
        if call is not None and not hasattr(call, "template"):
            raise BadOption(f"on_{event} of a batch is {shown(call)}; expected a job, or job.using(…)")


def _checked_text(value: Any) -> str:
    if type(value) is not str:
        raise BadOption(f"the description of a batch is {shown(value)}; expected a text")
    return value


def _duration(value: Any, name: str) -> float:
    found = seconds(value, f"{name} of a batch")
    if not 1 <= found <= 1e9:
        raise BadOption(f"{name} of a batch is {shown(value)}; expected seconds or a timedelta, from 1 to 1e9")
    return found
