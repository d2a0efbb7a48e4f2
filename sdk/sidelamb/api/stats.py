"""The numbers of the whole system, now and day by day."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sidelamb.api.queue import Queue
from sidelamb.api.record import JobRecord
from sidelamb.api.steps import Steps, View, awaiting, blocking
from sidelamb.errors import BadArgument
from sidelamb.lenient import epoch_s

if TYPE_CHECKING:
    from sidelamb.api.calls import Waiting

__all__ = ["Day", "QueueStats", "Stats", "Summary"]

MOST_DAYS = 5 * 366
"""Counters of days are kept for five years."""
PAGE = 500


class QueueStats(NamedTuple):
    """One queue at a glance."""

    name: str
    size: int
    latency_s: float
    """Seconds since the job that is next to run was enqueued."""
    is_paused: bool
    foreign_key: str = ""
    """Its key that is no list, because another program uses it: what is there counts as nothing."""


class Day(NamedTuple):
    """One UTC day."""

    day: dt.date
    processed: int
    """Attempts, the failed ones included."""
    failed: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All that a dashboard begins with: the queues read before the rest, the rest at one instant."""

    processed: int
    failed: int
    enqueued: int
    """Jobs in all queues, those under suspicion included."""
    scheduled: int
    retrying: int
    dead: int
    leases: int
    """Invocations in flight, or waiting for their end to be noticed."""
    processes: int


class Stats(View):
    """The numbers.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _summary(self) -> Steps[Summary]:
        """Return the totals."""
        k = self._keys
        queues = yield from self._sizes()
        reply = yield self._calls.read(
            (k.processed, "GET"),
            (k.failed, "GET"),
            (k.schedule, "ZCARD"),
            (k.retry, "ZCARD"),
            (k.dead, "ZCARD"),
            (k.leases, "ZCARD"),
            (k.processes, "SCARD"),
        )
        processed, failed, *sizes = (_whole(value) for value in reply)
        return Summary(processed, failed, sum(waiting.size for _, waiting, _ in queues), *sizes)

    def _queues(self) -> Steps[list[QueueStats]]:
        """Return all queues, the longest first; a paused one also while it is empty."""
        return [*(yield from self._listed()).values()]

    def _listed(self) -> Steps[dict[bytes, QueueStats]]:
        """Return the same by the bytes of their names: another client's need not be UTF-8 (see `Queue.listed`)."""
        now, found = self._now(), {}
        for raw, waiting, paused in (yield from self._sizes()):
            since = epoch_s(JobRecord(waiting.head).payload.get("enqueued_at")) if waiting.head else None
            waits = max(0.0, now - since) if since is not None else 0.0
            name = raw.decode(errors="backslashreplace")
            found[raw] = QueueStats(name, waiting.size, waits, paused, waiting.foreign_key)
        return dict(sorted(found.items(), key=lambda one: (-one[1].size, one[1].name)))

    def _history(self, days: int = 30, until: dt.date | None = None) -> Steps[list[Day]]:
        """Return attempts and failures day by day, the newest first.

        Args:
            days: how many, 1 to 1,830.
            until: the newest day (UTC); default today.

        Raises:
            BadArgument: `days` cannot be.
        """
        if not 1 <= days <= MOST_DAYS:
            raise BadArgument(f"history takes 1 to {MOST_DAYS} days, not {days!r}")
        last = until or dt.datetime.fromtimestamp(self._now(), dt.UTC).date()
        dates = [last - dt.timedelta(days=n) for n in range(days)]
        k, found = self._keys, []
        for part in (dates[i : i + PAGE] for i in range(0, days, PAGE)):
            names = [day.isoformat() for day in part]
            keys = [k.processed_on(n) for n in names] + [k.failed_on(n) for n in names]
            reply = yield self._calls.read(*((key, "GET") for key in keys))
            numbers = [_whole(value) for value in reply]
            found += [Day(day, numbers[i], numbers[len(part) + i]) for i, day in enumerate(part)]
        return found

    summary, asummary = blocking(_summary), awaiting(_summary)
    listed, alisted = blocking(_listed), awaiting(_listed)
    queues, aqueues = blocking(_queues), awaiting(_queues)
    history, ahistory = blocking(_history), awaiting(_history)

    def queue(self, name: str) -> Queue:
        """Return one queue."""
        return Queue(name, self._client)

    def _sizes(self) -> Steps[list[tuple[bytes, Waiting, bool]]]:
        """Return (name, what waits, paused) of every queue, 500 a round trip."""
        k, cursor = self._keys, 0
        found: dict[bytes, tuple[bytes, Waiting, bool]] = {}
        while True:
            (after, listed), paused = yield self._calls.read(
                (k.queues, "SSCAN", cursor, "COUNT", PAGE), (k.paused, "SMEMBERS")
            )
            paused = frozenset(paused)
            names = [*listed, *paused.difference(listed)] if cursor == 0 else listed
            for part in (names[i : i + PAGE] for i in range(0, len(names), PAGE)):
                reply = yield self._calls.waiting(part)
                found |= {raw: (raw, waiting, raw in paused) for raw, waiting in zip(part, reply, strict=True)}
            cursor = int(after)
            if cursor == 0:
                return list(found.values())


def _whole(value: bytes | int | None) -> int:
    """Return a counter; what is none counts as 0."""
    try:
        return int(value or 0)
    except ValueError:
        return 0
