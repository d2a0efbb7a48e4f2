"""Promotes all that is due, a batch after the other: while Redis moves one, the next is made ready.

`retry` and `schedule` take turns. Each move checks that its entries are still there and due, so that two promoters
at once are harmless. Where all of a batch are the usual, their bytes are not sent back: Redis has them.
An entry that cannot move (its queue is no list) stays, and is passed over.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from sidelamb import settings
from sidelamb.errors import RedisUncertain
from sidelamb.store import BULK
from sidelamb_handlers.promotion import end_of, promotion, runs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidelamb.link import Link
    from sidelamb.store import Store

__all__ = ["Promoter"]

HAND_OVER_S = 0.000_1
"""For the other thread to send what it has; else it would wait for this one to finish with the interpreter."""

_Source = Literal["retry", "schedule"]
_Entry = tuple[bytes, bytes, str | None]
_SOURCES: tuple[_Source, ...] = ("retry", "schedule")


class _Batch(NamedTuple):
    """Entries that are due, made ready."""

    due: list[bytes]
    now: float
    stamp: float
    runs: list[tuple[int, str]] | None
    """Their queues, if all are the usual and can move as they are."""
    entries: list[_Entry]
    """Each with its new bytes, if not."""


@dataclass(slots=True)
class Promoter:
    """Promotes; one for each pass.

    Attributes:
        promoted: entries that went to their queues.
        to_dead: entries that could not be read.
    """

    link: Link
    store: Store
    clock: Callable[[], float] = time.time
    promoted: int = 0
    to_dead: int = 0

    def run(self, until: float) -> None:
        """Promote all that is due, or what can be done until epoch s `until`; raises as `Link.run`."""
        with ThreadPoolExecutor(1) as other:  # its thread starts only if there is more than one batch
            turns = [self._all_of(source, other) for source in _SOURCES]
            while turns and self.clock() < until:
                turns = [turn for turn in turns if next(turn, False)]

    def _all_of(self, source: _Source, other: ThreadPoolExecutor) -> Iterator[bool]:
        """Promote what is due in a set; gives true after each batch."""
        stuck = 0
        due = self._read(source, stuck)
        while due:
            more = len(due) == BULK
            ahead = self._read(source, stuck + len(due)) if more else []
            batch = self._ready(due)
            while ahead:
                moving = other.submit(self._move_on, source, batch, stuck, len(ahead))
                time.sleep(HAND_OVER_S)
                batch = self._ready(ahead)
                stuck, ahead = moving.result()
                yield True
            stuck += self._move(source, batch, stuck)
            yield True
            due = self._read(source, stuck) if more else []

    def _read(self, source: _Source, skip: int) -> list[bytes]:
        key = self.store.keys(source)  # a plain command: by a script it takes Redis five times as long
        due = (b"ZRANGEBYSCORE", key, b"-inf", self.clock(), b"LIMIT", skip, BULK)
        try:
            found: list[bytes] = self.link.command(*due)
        except RedisUncertain:  # a look may be repeated
            found = self.link.command(*due)
        return found

    def _ready(self, due: list[bytes]) -> _Batch:
        now = self.clock()
        stamp = settings.stamp(now)
        runs = runs_of(due)
        return _Batch(due, now, stamp, runs, [] if runs else [promotion(raw, now, stamp) for raw in due])

    def _move(self, source: _Source, batch: _Batch, stuck: int) -> int:
        """Move entries; return how many of them could not."""
        entries = batch.entries
        if batch.runs:
            if not stuck:
                end = end_of(batch.stamp)
                front = self.store.promote_front(source, self.clock(), batch.due, batch.runs, end)
                if self.link.run(front):
                    self.promoted += len(batch.due)
                    return 0
            entries = [promotion(raw, batch.now, batch.stamp) for raw in batch.due]
        promoted, dead = self.link.run(self.store.promote(source, self.clock(), entries))
        self.promoted += promoted
        self.to_dead += dead
        return len(entries) - promoted - dead

    def _move_on(self, source: _Source, batch: _Batch, stuck: int, ahead: int) -> tuple[int, list[bytes]]:
        """Move entries; return how many are stuck now, and what is due behind those that are being made ready."""
        stuck += self._move(source, batch, stuck)
        return stuck, self._read(source, stuck + ahead)
