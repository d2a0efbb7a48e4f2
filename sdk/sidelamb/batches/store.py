"""The transitions of batches in Redis: staged, made whole, looked at. No I/O, as in `sidelamb.store`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sidelamb.batches.member import CANCELLED, INDEX, Level, cancelling
from sidelamb.effects import Effect
from sidelamb.store import Call, Numbered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidelamb.keys import Keys
    from sidelamb.packing import Packed
    from sidelamb.store import Arg

__all__ = ["BatchStore", "Looked", "Making", "Stage"]

STAGED_FOR_S = 86_400
"""What is staged and not made whole goes by itself after so long."""


@dataclass(slots=True)
class Stage:
    """Where the jobs of one block are kept until its end.

    Args:
        name: of its own, never used twice.
    """

    name: str
    queues: dict[str, None] = field(default_factory=dict)
    """Those that jobs are staged for."""
    jobs: int = 0

    @property
    def prefix(self) -> str:
        """What its keys begin with."""
        return f"sidelamb:staged:{self.name}"

    def list_of(self, queue: str) -> str:
        """Return the name of the list of what is staged for a queue."""
        return f"{self.prefix}:queue:{queue}"

    def marks(self, bid: str) -> str:
        """Return the name of the set of the jobs that are to be members of a batch."""
        return f"{self.prefix}:jobs:{bid}"


@dataclass(frozen=True, slots=True)
class Making:
    """A batch in `BatchStore.go`."""

    kind: Literal["new", "old", "up"]
    """To be made; to be there and take jobs; or only a parent of such a one."""
    level: Level
    up: int = 0
    """The number of its parent in the list, from 1."""
    seal: bool = True
    ttl_s: float = 0.0
    fields: Mapping[str, Arg] = field(default_factory=dict)


class Looked(NamedTuple):
    """What is known of a batch."""

    fields: dict[str, str]
    pending: int
    unrun: int
    failed: int
    moving: int
    """Members, jobs or not, that have not run or wait for a retry."""
    dead: list[str]
    children: list[str]


class BatchStore:
    """The transitions of batches.

    Args:
        keys: names the keys.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def stage(self, now: float, stage: Stage, jobs: Sequence[Packed]) -> Call[list[str]]:
        """Keep jobs where nobody runs them. Reads for each why it is refused, or nothing."""
        keys, queues = self._keys, {job.queue: 0 for job in jobs if job.at is None}
        lists = {queue: keys(stage.list_of(queue)) for queue in queues}
        places = Numbered(keys, [keys(stage.prefix), keys(f"{stage.prefix}:schedule"), *lists.values()])
        marked = [job._replace(effects=tuple(_marked(effect, stage) for effect in job.effects)) for job in jobs]
        known: list[Arg] = [STAGED_FOR_S * 1000, now + STAGED_FOR_S, stage.name]
        args = [*known, *_along(places, queues, marked, lists)]
        return Call("batch_stage", [*places.keys, keys.stages], args, _texts, repeatable=False)

    def go(
        self, now: float, stamp: str, stage: Stage, batches: Sequence[Making], jobs: Sequence[Packed] = ()
    ) -> Call[list[str]]:
        """Make batches with their staged jobs and `jobs`, all at once.

        Reads `''`, `done`, or why not; then for each of `jobs` why it is refused, or nothing.
        """
        keys, queues = self._keys, {job.queue: 0 for job in jobs if job.at is None}
        lists = {queue: keys.queue(queue) for queue in queues}
        known = [keys.queues, keys.schedule, *lists.values(), keys(INDEX), keys(CANCELLED)]
        places = Numbered(keys, [*known, keys(stage.prefix), keys(f"{stage.prefix}:schedule")])
        args: list[Arg] = [now, stamp, stage.jobs, len(queues), stage.name, len(stage.queues)]
        for queue in stage.queues:
            args += [queue, places.place(keys.queue(queue)), places.place(keys(stage.list_of(queue)))]
        called = list(dict.fromkeys(queue for batch in batches for queue in batch.level.queues))
        args.append(len(called))
        for queue in called:
            args += [queue, places.place(keys.queue(queue))]
        args.append(len(batches))
        for batch in batches:
            level = batch.level
            first, *_ = [places.place(keys(k)) for k in (*level.keys, level.children, stage.marks(level.bid))]
            args += [batch.kind, level.bid, batch.up, first, int(batch.seal), int(batch.ttl_s * 1000)]
            args.append(len(batch.fields))
            for pair in batch.fields.items():
                args += pair
        args += _along(places, queues, jobs, lists)
        return Call("batch_go", [*places.keys, keys.stages], args, _texts)

    def drop(self, stage: Stage, bids: Sequence[str]) -> tuple[bytes | str, ...]:
        """Return the command that gives up what is staged."""
        prefix = stage.prefix
        names = [prefix, f"{prefix}:schedule", *map(stage.list_of, stage.queues)]
        return ("UNLINK", *map(self._keys, [*names, *map(stage.marks, bids)]))

    def forget(self, stage: Stage) -> tuple[bytes | str, ...]:
        """Return the command that takes it off the list of what is staged."""
        return ("ZREM", self._keys.stages, stage.name)

    def look(self, bids: Sequence[str]) -> Call[list[Looked]]:
        """Read what is known of batches."""
        levels = map(Level, bids)
        names = [name for level in levels for name in (*level.keys[:5], level.children)]
        return Call("batch_look", [*map(self._keys, names)], [], lambda reply: [_looked(one) for one in reply])

    def field(self, bid: str, name: str) -> tuple[bytes | str, ...]:
        """Return the command that reads a field of a batch."""
        return ("HGET", self._keys(Level(bid).keys[0]), name)

    def results(self, bid: str) -> tuple[bytes | str, ...]:
        """Return the command that reads what a batch's jobs have returned."""
        return ("HGETALL", self._keys(Level(bid).keys[5]))

    def cancel(self, levels: Sequence[Level], now: float) -> Call[str]:
        """Cancel a batch, and with it those in it."""
        return self.take([cancelling(levels, now)])

    def take(self, effects: Sequence[Effect]) -> Call[str]:
        """Do what features do, outside of jobs."""
        places = Numbered(self._keys, [])
        return Call("take", places.keys, places.effects("1", effects), lambda reply: reply.decode())


def _along(
    places: Numbered, queues: Mapping[str, int], jobs: Sequence[Packed], lists: Mapping[str, bytes]
) -> list[Arg]:
    """Return the arguments that jobs are to a script, as `_admit.lua` reads them."""
    args: list[Arg] = [len(queues), *queues, len(jobs)]
    effects: list[Arg] = []
    for n, job in enumerate(jobs, 1):
        place = 0 if job.at is not None else places.place(lists[job.queue]) - 2
        args += [place, job.at or 0.0, job.raw]
        effects += places.effects(n, job.effects)
    return args + effects


def _marked(effect: Effect, stage: Stage) -> Effect:
    """Return what is done at staging in place of becoming a member."""
    if effect.verb != "join":
        return effect
    bid = effect.keys[0].removeprefix(Level("").keys[0])
    return Effect("mark", (stage.marks(bid),), (STAGED_FOR_S * 1000, *effect.args))


def _looked(reply: list[Any]) -> Looked:
    pairs = _texts(reply[0])
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    pending, unrun, failed, moving = reply[1:5]
    return Looked(fields, pending, unrun, failed, moving, sorted(_texts(reply[5])), sorted(_texts(reply[6])))


def _texts(reply: list[bytes]) -> list[str]:
    return [x.decode(errors="replace") for x in reply]
