"""The script calls of periodic jobs. No I/O; the clock is an argument."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import orjson

from sidelamb.errors import Malformed
from sidelamb.packing import Packer
from sidelamb.settings import LARGEST_MAX_PAYLOAD, timestamps
from sidelamb.store import MARK_SCORE, Call, Numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidelamb.keys import Keys
    from sidelamb.packing import Packed
    from sidelamb.store import Arg
    from sidelamb.timetable import Records

__all__ = ["HISTORY_MOST", "HOLD_S", "MARK", "Planned", "Synced", "TimetableCalls", "packed", "tick_jid"]

HISTORY_MOST = 100
"""Jobs of each periodic job that its history tells of."""

HISTORY_S = 400 * 86_400
"""So long after the last one: a yearly one has a history too."""

HOLD_S = 120.0
"""So long does what was replaced not come back by itself: in a deploy, sandboxes of old code may still start."""

MARK = "<look>"
"""Stands at the head of the due ones, and asks the scheduler to look at the app's modules. No name can be so."""


class Synced(IntEnum):
    """What became of a source's declarations."""

    REPLACED = -1
    """Another digest has taken the place of this one within `HOLD_S`; nothing was written."""
    SAME = 0
    WRITTEN = 1


@dataclass(frozen=True, slots=True)
class Planned:
    """A periodic job as it was read."""

    name: str
    score: float | None
    """When it is due, epoch s; below zero: not found yet, since when; None: never again, or it cannot be read."""
    raw: bytes
    """Its record."""
    paused: bool
    last: float
    """Its last tick that has passed, epoch s; 0 if none has."""

    @property
    def record(self) -> dict[str, Any]:
        """Its record, read.

        Raises:
            Malformed: somebody else has written it.
        """
        try:
            record: dict[str, Any] = orjson.loads(self.raw)
            texts = [record["payload"]["queue"], record["payload"]["class"], record["cron"], record["tz"]]
            is_right = all(type(text) is str for text in [*texts, record["missed"]])
        except (ValueError, TypeError, LookupError):
            is_right = False
        if not is_right:
            raise Malformed(f"periodic {self.name}: its record cannot be read; declare it anew")
        return record


def tick_jid(name: str, tick: float) -> str:
    """Return the id of the job of one tick: the same whoever enqueues it."""
    return hashlib.sha256(f"{name} {tick:.0f}".encode()).hexdigest()[:24]


def packed(record: dict[str, Any], jid: str, tick: float | None, now: float) -> Packed:
    """Return the job of a tick, or of a person's word, ready to be stored.

    Raises:
        JobError: the record says what no job can be.
    """
    payload = {**record["payload"], "jid": jid}
    if tick is not None:
        payload["tick"] = tick
    if record.get("expires_in") is not None:
        payload["expiry"] = (now if tick is None else tick) + record["expires_in"]
    packer = Packer(None, LARGEST_MAX_PAYLOAD, lambda: None, ms=timestamps() == "ms")
    made = packer.pack_payload(payload, now, lambda: jid)
    assert made is not None  # noqa: S101 - there is no middleware to stop it
    return made


class TimetableCalls:
    """The calls, for one namespace.

    Args:
        keys: names the keys.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def sync(self, declared: Records, now: float) -> Call[Synced]:
        """Write down what a source declares, all of it; what it declared before and no more is gone."""
        k = self._keys
        args: list[Arg] = [declared.source, declared.digest, now, HOLD_S, len(declared.records)]
        for name, record in declared.records.items():
            args += [name, record]
        keys = [k.periodic, k.periodic_due, k.periodic_owners, k.periodic_sources]
        return Call("timetable", keys, [*args, MARK], Synced)

    def register(self, name: str, record: bytes, now: float) -> Call[str]:
        """Write one down that stays until it is dropped; reads the source that has it already, or nothing."""
        k = self._keys
        keys = [k.periodic, k.periodic_due, k.periodic_owners]
        return Call("register", keys, [name, record, now], lambda reply: reply.decode(errors="replace"))

    def tick(
        self,
        planned: Planned,
        following: float | None,
        last: float | None,
        now: float,
        jobs: Sequence[tuple[float | None, Packed]],
    ) -> Call[list[str] | None]:
        """Enqueue jobs, (tick, job) of one queue, and set the next tick, if it still is as it was read.

        Reads None if it is not; else for each job the id of who keeps it out, empty if it is enqueued.
        """
        k, queue = self._keys, jobs[0][1].queue if jobs else "default"
        keys = [k.periodic_due, k.periodic, k.periodic_paused, k.periodic_last, k.periodic_history(planned.name)]
        places = Numbered(k, [*keys, k.queues, k.queue(queue)])
        times: list[Arg] = ["" if at is None else at for at in (planned.score, following, last)]
        args: list[Arg] = [planned.name, times[0], planned.raw, int(planned.paused), *times[1:]]
        args += [HISTORY_MOST, HISTORY_S, queue, len(jobs)]
        effects: list[Arg] = []
        for n, (tick, job) in enumerate(jobs, 1):
            args += [f"{'-' if tick is None else tick} {now} {job.jid}", job.raw]
            effects += places.effects(n, job.effects)

        def read(reply: list[Any]) -> list[str] | None:
            return [x.decode(errors="replace") for x in reply[1:]] if reply[0] else None

        moves = planned.score != following  # else a second call would find it as the first did
        return Call("tick", places.keys, args + effects, read, repeatable=moves)

    def resume(self, name: str, now: float) -> Call[bool]:
        """Let its ticks count again; reads whether it was paused."""
        return Call("resume", [self._keys.periodic_paused, self._keys.periodic_due], [name, now], bool)

    def drop(self, name: str) -> Call[bool]:
        """Take a periodic job out; reads whether it was there."""
        k = self._keys
        keys = [k.periodic, k.periodic_due, k.periodic_paused, k.periodic_last, k.periodic_owners]
        return Call("drop_periodic", [*keys, k.periodic_history(name)], [name], bool)

    def ask(self) -> tuple[bytes | str | int, ...]:
        """Return the command that asks the scheduler to look at the app's modules."""
        return (b"ZADD", self._keys.periodic_due, MARK_SCORE, MARK)

    def ask_no_more(self) -> tuple[bytes | str | int, ...]:
        """Return the command that takes the mark away, if nothing can be seen there."""
        return (b"ZREM", self._keys.periodic_due, MARK)
