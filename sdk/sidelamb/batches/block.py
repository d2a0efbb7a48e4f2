"""What is enqueued in the block of a batch, and of those in it, until its end.

Up to 1,000 jobs are kept here, and pushed in one round trip at the end. What is more is staged in Redis, 1,000 a
round trip, where nobody runs it, and the end makes all of it runnable at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.batches.member import stamp
from sidelamb.batches.store import BatchStore, Making, Stage
from sidelamb.effects import Effect, Ended, Event, endings
from sidelamb.errors import BadCall, RedisError, RedisRefused, RedisUncertain, RedisUnreachable, SidelambError
from sidelamb.packing import new_jid
from sidelamb.payload import decode
from sidelamb.store import BULK
from sidelamb.telling import tell

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sidelamb.batches.member import Level
    from sidelamb.client import Client
    from sidelamb.packing import Packed
    from sidelamb.store import Call

    Steps = Generator[Call[Any] | tuple[bytes | str | int, ...], Any, None]

__all__ = ["BatchClosed", "Block"]

MOST_BYTES = 8 * 1024 * 1024
"""Of payloads in one round trip."""
MOST_EFFECTS = 500
"""Of features that have keys of their own, in one round trip."""
UNDONE_AT_ONCE = 500


class BatchClosed(SidelambError):
    """The batch takes no jobs any more: it is over, cancelled, or gone."""


class Block:
    """Takes jobs, and pushes them.

    Args:
        client: through which.
        owner: id of the outermost batch of the block.
        parents: the batches that it is in, if they are there already: its own parent first.
        autoflush: push so many at a time, or None.
    """

    def __init__(self, client: Client, owner: str, parents: Sequence[Level], *, autoflush: int | None) -> None:
        self.client, self.owner = client, owner
        self.is_over = False
        self._spoiled: set[str] = set()
        self._autoflush = autoflush
        self._stage = Stage(new_jid())
        self._store = BatchStore(client.store.keys)
        self._jobs: list[Packed] = []
        self._trying: list[Packed] = []
        self._bytes = self._effects = 0
        self._undo: list[Effect] = []
        self._batches: list[Making] = []
        for level in reversed(parents):
            kind: Any = "old" if level is parents[0] else "up"
            self._batches.append(Making(kind, level, up=len(self._batches)))

    @property
    def is_full(self) -> bool:
        """Whether what it holds is to go on."""
        if self._autoflush is not None:
            return len(self._jobs) >= self._autoflush
        return len(self._jobs) >= BULK or self._bytes >= MOST_BYTES or self._effects >= MOST_EFFECTS

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

    def spoil(self, bid: str) -> None:
        """Note that the block of a batch in it has failed."""
        self._spoiled.add(bid)

    # --- what is asked of Redis --------------------------------------------------------------------------

    def opening(self) -> Steps:
        """Make a batch that takes jobs while its block runs."""
        self._gone((yield self._go([])))
        last = self._batches[-1]
        self._batches[-1] = Making("old", last.level, last.up)

    def flush(self) -> Steps:
        """Stage what was taken, or push it, if this batch flushes by itself."""
        for jobs in self._parts():
            self._trying = jobs
            if self._autoflush is None:
                answers = yield self._store.stage(self.client.now(), self._stage, jobs)
                self._staged(jobs, answers)
            else:
                answers = yield self.client.store.admit([_entering(job) for job in jobs])
                self._gone(
                    [answer.removeprefix("closed ") for answer in answers if answer[:7] == "closed "] or [""]
                )
        self._trying = []

    def push(self) -> Steps:
        """Push it all."""
        self._without_spoiled()
        if self._autoflush is not None:
            yield from self.flush()
        jobs, self._jobs = self._jobs, []
        answers = yield self._go(jobs)
        self.is_over = True
        self._gone(answers)

    def drop(self) -> Steps:
        """Give up what is staged, and what its features have done."""
        self.is_over = True
        self._jobs = []
        if self._stage.jobs:
            yield self._store.drop(self._stage, [batch.level.bid for batch in self._batches])
            yield self._store.forget(self._stage)
        for first in range(0, len(self._undo), UNDONE_AT_ONCE):
            yield self._store.take(self._undo[first : first + UNDONE_AT_ONCE])

    # --- errors ------------------------------------------------------------------------------------------

    def may_drop(self, error: BaseException) -> bool:
        """Say whether it is certain that the end of the block has pushed nothing."""
        return isinstance(error, SidelambError) and not isinstance(error, RedisUncertain)

    def tell(self, error: BaseException) -> None:
        """Put into an error of Redis what it means for the batch."""
        if not isinstance(error, RedisError):
            return
        if self._autoflush is not None and self._trying:
            tell(error, self._trying)
        elif isinstance(error, RedisUnreachable | RedisRefused):
            error.args = (f"Nothing of batch {self.owner} is pushed. {error}",)
        else:
            message = (
                f"It is uncertain whether batch {self.owner} was pushed: all of it was, or nothing. Look for it, "
                f"Batch.of({self.owner!r}).status(), before you enqueue again. {error}"
            )
            error.args = (message,)

    def _gone(self, answers: Sequence[str]) -> None:
        answer = answers[0]
        if answer in {"", "done"}:
            return
        why = {
            "gone": "has expired or was deleted",
            "over": "is over",
            "cancelled": "was cancelled",
            "lost": "has taken too long: what was staged of it has expired",
        }[answer]
        raise BatchClosed(
            f"batch {self.owner} {why} and takes no jobs any more; nothing of this block is pushed"
            if self._autoflush is None
            else f"batch {self.owner} {why} and takes no jobs any more; what it has not yet pushed is dropped"
        )

    # --- its parts ---------------------------------------------------------------------------------------

    def _go(self, jobs: Sequence[Packed]) -> Call[list[str]]:
        now = self.client.now()
        written = {"created_at": 0} if settings.timestamps() == "ms" else {}
        return self._store.go(now, stamp(now, written), self._stage, self._batches, jobs)

    def _parts(self) -> list[list[Packed]]:
        jobs, self._jobs, self._bytes, self._effects = self._jobs, [], 0, 0
        size = self._autoflush or (BULK if sum(len(job.effects) for job in jobs) <= 2 * BULK else BULK // 4)
        return [jobs[at : at + size] for at in range(0, len(jobs), size)]

    def _staged(self, jobs: Sequence[Packed], refused: Sequence[str]) -> None:
        for job, why in zip(jobs, refused, strict=True):
            if why:
                continue
            self._stage.jobs += 1
            if job.at is None:
                self._stage.queues[job.queue] = None
            if len(job.effects) > 1:
                ended = Ended(decode(job.raw), Event.DELETED, self.client.now())
                self._undo += [effect for effect in endings(ended) if effect.verb != "batch"]

    def _without_spoiled(self) -> None:
        """Take the batches out whose blocks have failed, and their jobs, if the error did not come to the end."""
        if not self._spoiled:
            return
        if self._stage.jobs:
            raise BadCall(
                f"batch {self.owner}: the block of a batch in it has failed after {BULK} jobs or more, so "
                "nothing is pushed; let its error come through, or make that batch outside of this one"
            )
        left: list[Making] = []
        places: dict[int, int] = {0: 0}
        for place, batch in enumerate(self._batches, 1):
            if batch.level.bid in self._spoiled or batch.up not in places:
                self._spoiled.add(batch.level.bid)
                continue
            left.append(Making(batch.kind, batch.level, places[batch.up], batch.seal, batch.ttl_s, batch.fields))
            places[place] = len(left)
        self._batches = left
        self._jobs = [job for job in self._jobs if not self._is_spoiled(job)]

    def _is_spoiled(self, job: Packed) -> bool:
        keys = {f"sidelamb:batch:{bid}" for bid in self._spoiled}
        return any(effect.verb == "join" and effect.keys[0] in keys for effect in job.effects)


def _entering(job: Packed) -> Packed:
    """Return a job that is refused if its batch takes none any more."""
    effects = (effect._replace(verb="enter") if effect.verb == "join" else effect for effect in job.effects)
    return job._replace(effects=tuple(effects))
