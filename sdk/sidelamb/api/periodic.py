"""Periodic jobs: when each comes next, what it has enqueued, and a person's hands on it.

for one in Periodics(): print(one.name, one.next_at)
Periodics().pause("jobs.clean")
Periodics().run_now("jobs.clean")
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - dataclasses show it
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidelamb.api.record import first_and_last, moment
from sidelamb.api.steps import Steps, View, arun, awaiting, blocking, run
from sidelamb.errors import BadOption, ConfigError, Malformed, SidelambError
from sidelamb.lenient import epoch_s
from sidelamb.packing import new_jid
from sidelamb.timetable_calls import Planned, TimetableCalls, packed
from sidelamb.wording import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from typing import Unpack

    from sidelamb.client import Client
    from sidelamb.job import Job
    from sidelamb.options import CallOptions
    from sidelamb.timetable import Missed

__all__ = ["Periodic", "Periodics", "Ticked"]

PAGE = 100
AT_ONCE = 500
"""Read in one script."""
TRIES = 5
"""Of `run_now`, when the clock comes between."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """One job that a periodic job has enqueued."""

    jid: str
    enqueued_at: dt.datetime | None
    tick: dt.datetime | None
    """The time that it is for; None if a person has run it."""
    kept_out_by: str = ""
    """The job is unique, and the one with this id was there: then it was not stored."""

    @property
    def late_s(self) -> float | None:
        """Seconds from its tick to its enqueue; None if a person has run it."""
        if self.tick is None or self.enqueued_at is None:
            return None
        return (self.enqueued_at - self.tick).total_seconds()


@dataclass(frozen=True, slots=True)
class Periodic:
    """A periodic job, as it stands in Redis."""

    name: str
    job: str
    """The wire name of what it enqueues."""
    cron: str
    tz: str
    missed: str
    queue: str
    args: list[Any]
    kwargs: dict[str, Any]
    declared_by: str
    """The stack whose code or file declares it; empty if it was registered by code."""
    is_paused: bool
    next_at: dt.datetime | None
    """None if the scheduler has not looked yet, or cannot read it; then its log says why."""
    last: Ticked | None
    """What it has enqueued last."""


class Periodics(View):
    """All periodic jobs.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def __init__(self, client: Client | None = None) -> None:
        super().__init__(client)
        self._timetable = TimetableCalls(self._keys)

    def _size(self) -> Steps[int]:
        """Return how many there are."""
        (n,) = yield self._calls.read((self._keys.periodic, "HLEN"))
        return int(n)

    def _page(self, number: int = 0, size: int = PAGE) -> Steps[list[Periodic]]:
        """Return one page, by name; page 0 is the first. Empty: there are no more. Two round trips.

        Raises:
            BadArgument: `number` is below 0, or `size` not 1 to 10,000.
        """
        first, last = first_and_last(number, size, "Periodics.page")
        (names,) = yield self._calls.read((self._keys.periodic, "HKEYS"))
        wanted, found = sorted(names)[first : last + 1], []
        for n in range(0, len(wanted), AT_ONCE):
            found += yield from self._found(wanted[n : n + AT_ONCE])
        return found

    def _find(self, name: str) -> Steps[Periodic | None]:
        """Return one, or None if there is none of this name."""
        found = yield from self._found([name.encode()])
        return found[0] if found else None

    def _history(self, name: str) -> Steps[list[Ticked]]:
        """Return what a periodic job has enqueued, newest first: the last 100; empty for one that is none."""
        (entries,) = yield self._calls.read((self._keys.periodic_history(name), "LRANGE", 0, -1))
        return [_ticked(entry) for entry in entries]

    def _register(
        self,
        name: str,
        job: Job[..., Any],
        cron: str,
        *,
        tz: str = "UTC",
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        missed: Missed = "once",
        **options: Unpack[CallOptions],
    ) -> Steps[None]:
        """Write one down, or change it; it stays until `drop`. To write the same again changes nothing.

        Args:
            name: of the periodic job.
            job: what it enqueues.
            cron: as the others, as for `@periodic`.
            tz: time zone.
            args: positional arguments.
            kwargs: keyword arguments.
            missed: what becomes of ticks that nobody was there for.
            **options: of each call.

        Raises:
            UnknownOption, BadOption: one of these cannot be.
            ConfigError: an app's code or its file declares it.
        """
        from sidelamb.job import Job  # noqa: PLC0415 - only who registers needs it
        from sidelamb.timetable import Entry, checked  # noqa: PLC0415 - the same

        if not isinstance(job, Job):
            raise BadOption(f"periodic {name}: {shown(job)} is no job; give the function that stands under @job")
        entry = checked(Entry(name, job, cron, tz, args, kwargs or {}, missed, options))
        owner = yield self._timetable.register(name, entry.record(), self._now())
        if owner:
            raise ConfigError(
                f"periodic {name} is declared by the code or the file of {owner}; change it there, or register it "
                "under a name of its own"
            )

    def _pause(self, name: str) -> Steps[bool]:
        """Let its ticks pass without a job; say whether it was not paused before.

        Raises:
            SidelambError: there is no such periodic job.
        """
        yield from self._planned(name)
        return bool((yield ("SADD", self._keys.periodic_paused, name)))

    def _resume(self, name: str) -> Steps[bool]:
        """Let its ticks count again, from the next one on; say whether it was paused. Raises as `pause`."""
        yield from self._planned(name)
        return bool((yield self._timetable.resume(name, self._now())))

    def _run_now(self, name: str) -> Steps[str]:
        """Enqueue it now, paused or not, beside its ticks; return the job's id, or of the one that keeps it out.

        Raises:
            SidelambError: there is no such periodic job, or it cannot be read.
        """
        for _ in range(TRIES):
            planned = yield from self._planned(name)
            now = self._now()
            job = packed(planned.record, new_jid(), None, now)
            answer = yield self._timetable.tick(planned, planned.score, None, now, [(None, job)])
            if answer is not None:
                return str(answer[0]) or job.jid
        raise SidelambError(f"periodic {name} changes all the time; try again")

    def _drop(self, name: str) -> Steps[bool]:
        """Take it out; say whether it was there.

        One that code declares comes back when what is declared changes: take it out there too, or pause it.
        """
        gone: bool = yield self._timetable.drop(name)
        return gone

    def _refresh(self) -> Steps[None]:
        """Ask the scheduler to look now at what the app's modules declare, as a worker with new code does."""
        yield self._timetable.ask()

    def _planned(self, name: str) -> Steps[Planned]:
        k = self._keys
        raw, score, paused, last, known = yield self._calls.read(
            (k.periodic, "HGET", name),
            (k.periodic_due, "ZSCORE", name),
            (k.periodic_paused, "SISMEMBER", name),
            (k.periodic_last, "HGET", name),
            (k.periodic, "HKEYS"),
        )
        if raw is None:
            names = [one.decode(errors="replace") for one in known]
            raise ConfigError(f"there is no periodic job {name!r}.{did_you_mean(name, names)}")
        return Planned(
            name, None if score is None else float(score), raw, paused=bool(paused), last=float(last or 0)
        )

    def _found(self, names: list[bytes]) -> Steps[list[Periodic]]:
        if not names:
            return []
        k = self._keys
        records, scores, paused, owners, *heads = yield self._calls.read(
            (k.periodic, "HMGET", *names),
            (k.periodic_due, "ZMSCORE", *names),
            (k.periodic_paused, "SMISMEMBER", *names),
            (k.periodic_owners, "HMGET", *names),
            *((k.periodic_history(name.decode(errors="replace")), "LRANGE", 0, 0) for name in names),
        )
        rows = zip(names, records, scores, paused, owners, heads, strict=True)
        return [_periodic(row) for row in rows if row[1] is not None]

    size, asize = blocking(_size), awaiting(_size)
    page, apage = blocking(_page), awaiting(_page)
    find, afind = blocking(_find), awaiting(_find)
    history, ahistory = blocking(_history), awaiting(_history)
    register, aregister = blocking(_register), awaiting(_register)
    pause, apause = blocking(_pause), awaiting(_pause)
    resume, aresume = blocking(_resume), awaiting(_resume)
    run_now, arun_now = blocking(_run_now), awaiting(_run_now)
    drop, adrop = blocking(_drop), awaiting(_drop)
    refresh, arefresh = blocking(_refresh), awaiting(_refresh)

    def __iter__(self) -> Iterator[Periodic]:
        """Go through all of them, by name, 100 at a time."""
        number = 0
        while page := run(self._client, self._page(number)):
            yield from page
            number += 1

    async def __aiter__(self) -> AsyncIterator[Periodic]:
        """Go through all of them, as the blocking form does."""
        number = 0
        while page := await arun(self._client, self._page(number)):
            for one in page:
                yield one
            number += 1


def _periodic(
    row: tuple[bytes, bytes, bytes | None, int, bytes | None, list[bytes]],
) -> Periodic:
    name, raw, score, paused, owner, head = row
    at = None if score is None else float(score)
    planned = Planned(name.decode(errors="replace"), at, raw, paused=bool(paused), last=0.0)
    try:
        record = planned.record
    except Malformed:
        record = {"payload": {}}
    payload = record["payload"]
    return Periodic(
        planned.name,
        job=payload.get("class", ""),
        cron=record.get("cron", ""),
        tz=record.get("tz", ""),
        missed=record.get("missed", ""),
        queue=payload.get("queue", ""),
        args=payload.get("args", []),
        kwargs=payload.get("kwargs", {}),
        declared_by=(owner or b"").decode(errors="replace"),
        is_paused=planned.paused,
        next_at=moment(at) if at is not None and at >= 0 else None,
        last=_ticked(head[0]) if head else None,
    )


def _ticked(entry: bytes) -> Ticked:
    tick, at, jid, by = [*entry.decode(errors="replace").split(" ", 3), "", "", ""][:4]
    return Ticked(jid, moment(epoch_s(at)), moment(epoch_s(tick)), by)
