"""Enqueues periodic jobs whose time has come; one for each pass of the scheduler.

Each is one script that moves its time on and pushes its jobs, if it is as it was read. So two tickers at once, or
one that is killed or gets no answer, enqueue a tick once. One that cannot be read is taken off the clock and named
in the log; it comes back when it is declared anew.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sidelamb.api.calls import Calls
from sidelamb.cron import due, ticks_after
from sidelamb.errors import RedisRefused, SidelambError
from sidelamb.timetable_calls import MARK, Planned, TimetableCalls, packed, tick_jid
from sidelamb_handlers.logger import new_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.link import Link
    from sidelamb.packing import Packed
    from sidelamb.store import Store

__all__ = ["Ticker"]

AT_ONCE = 100
"""Periodic jobs that are read at a time."""


class _Move(NamedTuple):
    """What becomes of a periodic job whose time has come."""

    following: float | None = None
    """Its next tick, epoch s; None takes it off the clock."""
    last: float | None = None
    """The last that has passed."""
    jobs: tuple[tuple[float, Packed], ...] = ()
    """(tick, job)"""


@dataclass(slots=True)
class Ticker:
    """Ticks; one for each pass.

    Attributes:
        ticked: jobs that were enqueued.
        planned: periodic jobs whose next time was set, without a job.
    """

    link: Link
    store: Store
    clock: Callable[[], float] = time.time
    ticked: int = 0
    planned: int = 0

    def run(self, until: float) -> None:
        """Enqueue all that is due, or what can be done until epoch s `until`; raises as `Link.run`."""
        key, stuck = self.store.keys.periodic_due, 0
        while self.clock() < until:
            now, before = self.clock(), (self.ticked, self.planned, stuck)
            found = self.link.command(b"ZRANGEBYSCORE", key, b"-inf", now, b"WITHSCORES", b"LIMIT", stuck, AT_ONCE)
            if not found:
                return
            for planned in self._read(found[::2], found[1::2]):
                stuck += not self._tick(planned, now)
            if (self.ticked, self.planned, stuck) == before:
                return  # another ticker does it

    def _read(self, names: list[bytes], scores: list[bytes]) -> list[Planned]:
        k = self.store.keys
        read = Calls(k).read(
            (k.periodic, "HMGET", *names),
            (k.periodic_paused, "SMISMEMBER", *names),
            (k.periodic_last, "HMGET", *names),
        )
        found = []
        for name, score, raw, paused, last in zip(names, scores, *self.link.run(read), strict=True):
            if _is_text(name) and math.isfinite(float(score)):
                found.append(
                    Planned(name.decode(), float(score), raw or b"", paused=bool(paused), last=_seconds(last))
                )
            else:
                _log.error(
                    "%r with the time %r is no periodic job of ours; it is taken off the clock", name, score
                )
                self.link.command(b"ZREM", k.periodic_due, name)
        return found

    def _tick(self, planned: Planned, now: float) -> bool:
        """Enqueue what is due of one; say whether its time was set, by whomever."""
        if planned.name == MARK:
            return False
        try:
            move = _move(planned, now)
        except SidelambError as error:
            name, said = f"periodic {planned.name}: ", str(error).rstrip(".")
            _log.error("%s%s. Until it is right it is not enqueued", name, said.removeprefix(name))
            move = _Move()
        except Exception:  # what another program wrote keeps nobody else waiting
            _log.exception(
                "periodic %s: its record cannot be used, so it is not enqueued; declare it anew", planned.name
            )
            move = _Move()
        calls = TimetableCalls(self.store.keys)
        try:
            answer = self.link.run(calls.tick(planned, move.following, move.last, now, move.jobs))
        except RedisRefused as error:
            _log.error("periodic %s could not be enqueued: %s", planned.name, error)
            return False
        if answer is not None:
            self.planned += not move.jobs
            self.ticked += answer.count("")
        return True


def _move(planned: Planned, now: float) -> _Move:
    """Return what becomes of one whose time has come.

    Raises:
        SidelambError: its record says what cannot be.
    """
    name, record, at = planned.name, planned.record, planned.score
    if at is None or at < 0:
        since = max(-(at or 0.0), planned.last)  # by another clock a tick may have come already
        return _Move(next(ticks_after(name, record["cron"], record["tz"], since), None))
    found = due(name, record, at, now)
    if planned.paused:
        return _Move(found.next, found.last)
    if found.missed:
        _log.warning("periodic %s: %d ticks were missed (missed=%s)", name, found.missed, record["missed"])
    jobs = tuple((tick, packed(record, tick_jid(name, tick), tick, now)) for tick in found.ticks)
    return _Move(found.next, found.last, jobs)


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _seconds(value: bytes | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0


_log = new_logger()
