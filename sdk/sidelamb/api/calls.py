"""The script calls of the API: what a person asks of Redis. No I/O; the clock is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sidelamb.api.lease_trouble import LIFE_S
from sidelamb.store import DEAD_FOR_S, DEAD_MOST, Call, Numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidelamb.effects import Effect
    from sidelamb.keys import Keys
    from sidelamb.store import Arg

__all__ = ["Calls", "Shift", "Waiting"]

SIGNAL_S = 60
"""A signal that nobody reads is forgotten after so many seconds, as Sidekiq's are."""

WALK_BYTES = 4 * 1024 * 1024
"""Payload bytes after which a step of a walk through a set is enough, about."""


SEARCHED_MOST = 5_000
"""Jobs in queues, schedule and retry among which `lost` looks for some; Redis stands still for it, some 10 ms."""
SEARCHED_BYTES = 4 * 1024 * 1024


class Waiting(NamedTuple):
    """What waits in a queue."""

    size: int
    """Jobs under suspicion included."""
    head: bytes
    """The job that is next to run; empty if there is none."""
    foreign_key: str
    """The queue's key that is no list, because another program uses it; empty if there is none."""


class Shift(NamedTuple):
    """Where one entry of a set goes: to a queue, to `dead`, to another time, or away."""

    raw: bytes
    """The bytes in the set."""
    new: bytes = b""
    """The bytes to store, or empty for the same."""
    queue: str = ""
    dead: bool = False
    at: float | None = None
    """Epoch s, for another time in the same set."""
    effects: Sequence[Effect] = ()
    """What its features have done with it."""


class Calls:
    """The calls, for one namespace.

    Args:
        keys: names the keys.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def read(self, *commands: tuple[Arg, ...]) -> Call[list[Any]]:
        """Read the answers of several commands at one instant. A command is (key, name, argument, …)."""
        keys: list[bytes] = []
        args: list[Arg] = []
        for key, name, *rest in commands:
            keys.append(key if isinstance(key, bytes) else str(key).encode())
            args += [name, len(rest), *rest]
        return Call("read", keys, args, list)

    def waiting(self, queues: Sequence[str | bytes]) -> Call[list[Waiting]]:
        """Read what waits in some queues, at one instant."""
        k = self._keys
        keys = [*map(k.queue, queues), *map(k.alone, queues)]

        def read(reply: list[Any]) -> list[Waiting]:
            triples = zip(reply[::3], reply[1::3], reply[2::3], strict=True)
            return [Waiting(n, head, key.decode(errors="backslashreplace")) for n, head, key in triples]

        return Call("waiting", keys, [], read)

    def walk(self, source: bytes, score: float, raw: bytes, most: int) -> Call[list[bytes]]:
        """Read entries of a set with scores, on from behind an entry; fewer than `most` if they are large."""
        return Call("walk", [source], [score, raw, most, WALK_BYTES], list)

    def shift(self, source: bytes, now: float, shifts: Sequence[Shift]) -> Call[list[int]]:
        """Move entries of a set; reads for each whether it was there."""
        k, queues = self._keys, {one.queue: 0 for one in shifts if one.queue}
        places = Numbered(k, [source, k.queues, k.dead, *map(k.queue, queues)])
        args: list[Arg] = [now, now - DEAD_FOR_S, DEAD_MOST, len(queues), *queues, len(shifts)]
        effects: list[Arg] = []
        for n, one in enumerate(shifts, 1):
            if one.queue:
                place, score = places.place(k.queue(one.queue)), 0.0
            elif one.dead:
                place, score = 3, now
            elif one.at is not None:
                place, score = 1, one.at
            else:
                place, score = 0, 0.0
            args += [one.raw, b"" if one.new == one.raw else one.new, place, score]
            effects += places.effects(n, one.effects)
        return Call("shift", places.keys, args + effects, list)

    def unqueue(self, key: bytes, payload: bytes, effects: Sequence[Effect] = ()) -> Call[int]:
        """Delete a job of a list; reads how many were there."""
        places = Numbered(self._keys, [key])
        args = [1, payload, *places.effects(1, effects)]
        return Call("unqueue", places.keys, args, int, repeatable=False)

    def drop(
        self, queue: str | bytes, key: bytes, payloads: Sequence[bytes], effects: Sequence[Sequence[Effect]]
    ) -> Call[int]:
        """Delete jobs at the right end of a list of a queue; reads how many, 0 if others stand there."""
        k = self._keys
        other = k.queue(queue) if key == k.alone(queue) else k.alone(queue)
        places = Numbered(k, [key, other, k.queues])
        args: list[Arg] = [queue, len(payloads), *payloads]
        for n, own in enumerate(effects, 1):
            args += places.effects(n, own)
        return Call("drop", places.keys, args, int)

    def clear(self, queue: str | bytes) -> Call[int]:
        """Delete a queue; reads how many jobs it had."""
        k = self._keys
        return Call("clear", [k.queue(queue), k.alone(queue), k.queues], [queue], int)

    def pause(self, queue: str | bytes, *, paused: bool) -> Call[bool]:
        """Stop a queue or let it go; reads whether that was a change."""
        return Call("pause", [self._keys.paused], [queue, int(paused)], bool)

    def signal(self, identity: str, signal: str) -> Call[bool]:
        """Leave a signal for a process; reads whether there is one."""
        keys = [self._keys.processes, self._keys(f"{identity}-signals")]
        return Call("signal", keys, [identity, signal, SIGNAL_S], bool)

    def take(self, effects: Sequence[Effect]) -> Call[str]:
        """Have effects of features done outside of a job's life; reads what one refuses with, or nothing."""
        places = Numbered(self._keys, [])
        args = places.effects(1, effects)
        return Call("take", places.keys, args, lambda r: str(r.decode(errors="replace")))

    def lost(
        self, jids: Sequence[str], queues: Sequence[bytes], leases: Sequence[bytes], now: float
    ) -> Call[tuple[list[bytes], list[bytes]] | None]:
        """Ask which jobs are nowhere; reads their ids and the leases that were not looked into, None: too much.

        `queues` and `leases` are all that there are, as read just before.
        """
        k, names = self._keys, [queue.decode() for queue in queues]
        keys = [k.leases, k.queues, k.schedule, k.retry, *map(k.queue, names), *map(k.alone, names)]
        keys += [*(k.lease(lease.decode()) for lease in leases), k.stages]
        args: list[Arg] = [SEARCHED_MOST, SEARCHED_BYTES, len(names), *queues, len(leases), *leases, now, *jids]
        return Call("lost", keys, args, lambda r: (r[0], r[1]) if r else None)

    def mend_lease(self, lease_id: str, capsule: str, now: float) -> Call[bool]:
        """Make hash, set and slots agree about a lease; of a capsule that is not its own, free the slot."""
        k = self._keys
        args: list[Arg] = [lease_id, now, capsule, LIFE_S]
        return Call("mend_lease", [k.leases, k.lease(lease_id), k.slots(capsule)], args, bool)

    def mend_score(self, source: bytes, raw: bytes, now: float) -> Call[bool]:
        """Give an entry without a usable time the present one."""
        return Call("mend_score", [source], [raw, now], bool)

    def mend_queue(self, queue: str) -> Call[bool]:
        """List a queue that holds jobs."""
        k = self._keys
        return Call("mend_queue", [k.queues, k.queue(queue), k.alone(queue)], [queue], bool)

    def mend_twin(self, keep: tuple[bytes, Arg], other: tuple[bytes, Arg]) -> Call[bool]:
        """Remove the second copy of a job, each (key, bytes or field), if the first is still there."""
        return Call("mend_twin", [keep[0], other[0]], [keep[1], other[1], ""], bool)
