"""The transitions of batches in Redis: staged, made whole, looked at, cancelled, deleted. No I/O, as in `store.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sidelamb.batches import INDEX, Level
from sidelamb.effects import Effect
from sidelamb.store import Call, Numbered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidelamb.keys import Keys
    from sidelamb.packing import Packed
    from sidelamb.store import Arg

__all__ = ["BatchStore", "Looked", "Making", "Stage"]

STAGED_FOR_S = 3600
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

    def marks(self, bid: str) -> str:
        """Return the name of the set of the jobs that are to be members of a batch."""
        return f"{self.prefix}:jobs:{bid}"


@dataclass(frozen=True, slots=True)
class Making:
    """A batch in `BatchStore.go`."""

    kind: Literal["new", "old", "up"]
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
    dead: list[str]
    children: list[str]


class BatchStore:
    """The transitions of batches.

    Args:
        keys: names the keys.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def stage(self, stage: Stage, jobs: Sequence[Packed]) -> Call[list[str]]:
        """Keep jobs where nobody runs them. Reads for each why it is refused, or nothing."""
        keys, queues = self._keys, {job.queue: 0 for job in jobs if job.at is None}
        lists = {queue: keys(f"{stage.prefix}:queue:{queue}") for queue in queues}
        known = [keys(stage.prefix), keys(f"{stage.prefix}:schedule"), *lists.values()]
        places = Numbered(keys, known)
        args: list[Arg] = [STAGED_FOR_S * 1000, len(queues), *queues, len(jobs)]
        effects: list[Arg] = []
        for n, job in enumerate(jobs, 1):
            place = 0 if job.at is not None else places.place(lists[job.queue]) - 2
            args += [place, job.at or 0.0, job.raw]
            effects += places.effects(n, [_marked(effect, stage) for effect in job.effects])
        return Call("batch_stage", places.keys, args + effects, _texts, repeatable=False)

    def go(self, now: float, stamp: str, stage: Stage, batches: Sequence[Making]) -> Call[str]:
        """Make batches with their staged jobs, all at once. Reads `''`, `done`, or why not."""
        keys = self._keys
        known = [keys.queues, keys.schedule, keys(INDEX), keys(stage.prefix), keys(f"{stage.prefix}:schedule")]
        places = Numbered(keys, known)
        args: list[Arg] = [now, stamp, int(stage.jobs > 0), len(stage.queues)]
        for queue in stage.queues:
            staged = keys(f"{stage.prefix}:queue:{queue}")
            args += [queue, places.place(keys.queue(queue)), places.place(staged)]
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
        return Call("batch_go", places.keys, args, lambda r: r.decode())

    def drop(self, stage: Stage, bids: Sequence[str]) -> tuple[bytes | str, ...]:
        """Return the command that gives up what is staged."""
        prefix = stage.prefix
        names = [prefix, f"{prefix}:schedule", *(f"{prefix}:queue:{queue}" for queue in stage.queues)]
        return ("UNLINK", *map(self._keys, [*names, *map(stage.marks, bids)]))

    def look(self, bid: str) -> Call[Looked]:
        """Read what is known of a batch."""
        level = Level(bid)

        def read(reply: list[Any]) -> Looked:
            pairs = [x.decode(errors="replace") for x in reply[0]]
            fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
            return Looked(fields, *reply[1:4], sorted(_texts(reply[4])), sorted(_texts(reply[5])))

        return Call("batch_look", [*map(self._keys, (*level.keys[:5], level.children))], [], read)

    def results(self, bid: str) -> tuple[bytes | str, ...]:
        """Return the command that reads what a batch's jobs have returned."""
        return ("HGETALL", self._keys(Level(bid).keys[5]))

    def cancel(self, bid: str, now: float) -> Call[tuple[bool, list[str], list[str]]]:
        """Mark a batch as cancelled. Reads whether there is one, its members not through, the batches in it."""
        level = Level(bid)
        names = (level.keys[0], level.keys[1], level.children)
        return Call(
            "batch_cancel", [*map(self._keys, names)], [now], lambda r: (bool(r[0]), _texts(r[1]), _texts(r[2]))
        )


def _marked(effect: Effect, stage: Stage) -> Effect:
    """Return what is done at staging in place of becoming a member."""
    if effect.verb != "join":
        return effect
    bid = effect.keys[0].rpartition(":")[2]
    return Effect("mark", (stage.marks(bid),), (effect.args[0], STAGED_FOR_S * 1000))


def _texts(reply: list[bytes]) -> list[str]:
    return [x.decode(errors="replace") for x in reply]
