"""The sets of jobs that wait for a time or for a person: scheduled, to be retried, dead.

    for entry in RetrySet().scan("Timeout"):
        RetrySet().retry(entry)
    DeadSet().retry_all("ConnectionError", progress=print)

Every move is one script for up to 1,000 entries, and each entry moves only if its bytes are still there: of two
people who press a button at once, one moves it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sidelamb import settings
from sidelamb.api.calls import Shift
from sidelamb.api.changed import changed
from sidelamb.api.pattern import Pattern
from sidelamb.api.record import JobRecord, first_and_last, meant, moment
from sidelamb.api.steps import Steps, View, arun, awaiting, blocking, run
from sidelamb.effects import Ended, Event, endings
from sidelamb.errors import BadArgument, Malformed
from sidelamb.lenient import epoch_s
from sidelamb.payload import edit
from sidelamb.times import epoch_seconds
from sidelamb.wording import shown

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

__all__ = ["Bulk", "DeadSet", "Entry", "Found", "Move", "Place", "RetrySet", "ScheduledSet", "Swept"]

PAGE = 100
SCAN_STEP = 1_000
"""Entries that one step of a search reads."""
SWEEP_STEP = 500
BULK_BYTES = 4 * 1024 * 1024
"""Payload bytes that one script call moves, about."""


Move = Literal["retry", "delete", "kill", "reschedule"]


class Entry(JobRecord):
    """A job in a set, with its score.

    Args:
        raw: the bytes in the set.
        score: epoch s: when it is due, or for a dead one when it died.
    """

    def __init__(self, raw: bytes, score: float) -> None:
        super().__init__(raw)
        self.score = score

    @property
    def at(self) -> dt.datetime | None:
        """When it is due, or when it died; None if its score is no time."""
        return moment(self.score)


class Place(NamedTuple):
    """Where a walk through a set stands: behind this entry, whether it is still there or not."""

    score: float
    raw: bytes


class Found(NamedTuple):
    """One step of a search."""

    entries: list[Entry]
    cursor: int
    """Where to go on; 0: the search is complete."""


class Swept(NamedTuple):
    """What one step of a bulk operation did."""

    moved: int
    skipped: int
    """Entries that could not be: their bytes are no job."""
    looked: int
    rank: int | None
    """Where to go on; None: that was all."""


class Bulk(NamedTuple):
    """What an operation on many entries did."""

    moved: int
    skipped: int
    """Entries that could not be: their bytes are no job."""


class _Entries(View):
    """A set."""

    _name: str
    _decrements = False
    """Whether "run now" takes back the retry that its push would count (Sidekiq does)."""

    @property
    def _key(self) -> bytes:
        return self._keys(self._name)

    @property
    def key(self) -> bytes:
        """Its key in Redis."""
        return self._key

    # --- looking -------------------------------------------------------------------------------------------

    def _size(self) -> Steps[int]:
        """Return how many entries there are."""
        (n,) = yield self._calls.read((self._key, "ZCARD"))
        return int(n)

    def _page(self, number: int = 0, size: int = PAGE, *, newest_first: bool = False) -> Steps[list[Entry]]:
        """Return one page by rank, the lowest time first; page 0 is the first. Empty: there are no more.

        Raises:
            BadArgument: `number` is below 0, or `size` not 1 to 10,000.
        """
        first, last = first_and_last(number, size, f"{type(self).__name__}.page")
        rev = ("REV",) if newest_first else ()
        (flat,) = yield self._calls.read((self._key, "ZRANGE", first, last, *rev, "WITHSCORES"))
        return _entries(flat)

    def _step(self, place: Place | None = None, size: int = PAGE) -> Steps[tuple[list[Entry], Place | None]]:
        """Return the entries behind a place, the lowest time first, and the place behind them (None: the end).

        Fewer than `size` if they are large. Entries that are there all the while are met once, whatever comes
        and goes between two steps.
        """
        score, raw = place or (-math.inf, b"")
        entries = _entries((yield self._calls.walk(self._key, score, raw, size)))
        return entries, Place(entries[-1].score, entries[-1].raw) if entries else None

    def _scan(self, text: str = "", cursor: int = 0) -> Steps[Found]:
        """Read about 1,000 entries on from `cursor` and return those that contain `text` (see `matches`).

        A whole search is a call for each cursor until it is 0 again. Entries that are there all the while are
        found, perhaps twice; others perhaps.
        """
        ((after, flat),) = yield self._calls.read((self._key, "ZSCAN", cursor, "COUNT", SCAN_STEP))
        pattern = Pattern(text)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        found = [Entry(raw, float(score)) for raw, score in pairs if not pattern.lacks(raw)]
        return Found([entry for entry in found if pattern.matches(entry)], int(after))

    def _find(self, jid: str, score: float | None = None) -> Steps[Entry | None]:
        """Return the entry of a job, or None. With its `score` at once; without, step by step."""
        if score is not None:
            return (yield from self._find_at(jid, score))
        cursor = 0
        while True:
            ((after, flat),) = yield self._calls.read((self._key, "ZSCAN", cursor, "COUNT", SCAN_STEP))
            if found := _with_id(flat, jid):
                return found
            cursor = int(after)
            if cursor == 0:
                return None

    def _find_at(self, jid: str, score: float) -> Steps[Entry | None]:
        """Look at what has this score only, step by step: it may be a million entries."""
        raw, last = b"", score
        while last == score:
            flat = yield self._calls.walk(self._key, score, raw, SCAN_STEP)
            if not flat:
                return None
            found = _with_id(flat, jid)
            if found:
                return found if found.score == score else None
            raw, last = flat[-2], float(flat[-1])
        return None

    # --- moving one ----------------------------------------------------------------------------------------

    def _retry(
        self,
        entry: Entry,
        *,
        args: list[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        queue: str | None = None,
    ) -> Steps[bool]:
        """Put an entry on its queue now; say whether it was still there.

        Args:
            entry: as it was read.
            args: other positional arguments, as JSON has them; default those it has.
            kwargs: other keyword arguments.
            queue: another queue.

        Raises:
            Malformed: its bytes are no job, so that no queue can have it. It can be deleted.
            BadArgument: the arguments are no JSON.
            BadOption: no queue can have this name.
            PayloadTooLarge: the job would have more bytes than `configure(max_payload=…)` allows.
        """
        shift = self._run_now(meant(entry, "retry"))
        given = {"args": args, "kwargs": kwargs, "queue": queue}
        if changes := {name: value for name, value in given.items() if value is not None}:
            shift = changed(shift, changes)
        moved: list[int] = yield self._calls.shift(self._key, self._now(), [shift])
        return bool(moved[0])

    def _delete(self, entry: Entry) -> Steps[bool]:
        """Delete an entry; say whether it was still there."""
        moved: list[int] = yield self._calls.shift(self._key, self._now(), [self._away(meant(entry, "delete"))])
        return bool(moved[0])

    # --- moving many ---------------------------------------------------------------------------------------

    def _sweep(
        self,
        verb: Move,
        wanted: Callable[[Entry], bool],
        began: float,
        rank: int = 0,
        at: float | None = None,
    ) -> Steps[Swept]:
        """Do one step of a bulk operation, on about 500 entries, for a caller who keeps where it stands.

        Goes from the highest time down, so that what falls due meanwhile shifts nothing.

        Args:
            verb: retry, delete, kill or reschedule.
            wanted: which entries are meant.
            began: epoch s of the whole operation's start; what came into the set later stays there.
            rank: 0, then what the step before returned.
            at: epoch s, for reschedule; the same in all steps.

        Raises:
            BadArgument: the set has no such verb, or there is no time.
        """
        make = self._maker(verb, at)
        (flat,) = yield self._calls.read((self._key, "ZRANGE", rank, rank + SWEEP_STEP - 1, "REV", "WITHSCORES"))
        entries, shifts, skipped = _entries(flat), [], 0
        for entry in entries:
            if entry.score == at or not wanted(entry) or self._came_after(entry, began):
                continue
            try:
                shifts.append(make(entry))
            except Malformed:
                skipped += 1
        moved = 0
        for part in _parts(shifts):
            there: list[int] = yield self._calls.shift(self._key, self._now(), part)
            moved += sum(there)
        is_above = (
            at is not None and entries and at >= entries[-1].score
        )  # what has moved counts in the rank still
        gone = len(shifts) - moved if is_above else len(shifts)
        go_on = rank + len(entries) - gone
        return Swept(moved, skipped, len(entries), go_on if len(entries) == SWEEP_STEP else None)

    def _move(
        self, verb: Move, entries: Sequence[Entry], *, began: float = math.inf, at: float | None = None
    ) -> Steps[Bulk]:
        """Do something to entries that were read, a script for about each 4 MiB of them.

        Args:
            verb: retry, delete, kill or reschedule.
            entries: as they were read; those that are not there any more are not counted.
            began: epoch s of the whole operation's start; what came into the set later stays there.
            at: epoch s, for reschedule.

        Raises:
            BadArgument: the set has no such verb, or there is no time.
        """
        make = self._maker(verb, at)
        shifts, skipped = [], 0
        for entry in entries:
            if self._came_after(entry, began):
                continue
            try:
                shifts.append(make(entry))
            except Malformed:
                skipped += 1
        moved = 0
        for part in _parts(shifts):
            there: list[int] = yield self._calls.shift(self._key, self._now(), part)
            moved += sum(there)
        return Bulk(moved, skipped)

    def _maker(self, verb: Move, at: float | None) -> Callable[[Entry], Shift]:
        """Return what makes of an entry where it goes.

        Raises:
            BadArgument: the set has no such verb, or `at` is missing, or is one too many.
        """
        if verb not in self.verbs() or (verb == "reschedule") != (at is not None):
            raise BadArgument(f"{type(self).__name__} cannot {shown(verb)} so; it can {', '.join(self.verbs())}")
        return self._verbs()[verb] if at is None else lambda entry: Shift(entry.raw, at=at)

    def _verbs(self) -> dict[str, Callable[[Entry], Shift]]:
        return {"retry": self._run_now, "delete": self._away}

    def verbs(self) -> list[str]:
        """Return what `move` can do here."""
        return list(self._verbs())

    def now(self) -> float:
        """Return the client's time, epoch s."""
        return self._now()

    def _retry_all(self, text: str = "", progress: Callable[[int], None] | None = None) -> Steps[Bulk]:
        """Put all entries, or all that contain `text`, on their queues now.

        Args:
            text: see `JobRecord.matches`; empty for all.
            progress: called after each round trip with the number of entries looked at so far.

        What enters the set meanwhile stays there.
        """
        return (yield from self._all(self._run_now, text, progress))

    def _delete_all(self, text: str = "", progress: Callable[[int], None] | None = None) -> Steps[Bulk]:
        """Delete all entries, or all that contain `text`; otherwise as `retry_all`."""
        return (yield from self._all(self._away, text, progress))

    def _all(
        self,
        make: Callable[[Entry], Shift],
        text: str,
        progress: Callable[[int], None] | None,
        at: float | None = None,
    ) -> Steps[Bulk]:
        """Move all that `make` moves; with `at`, to that time, and what is met there is not looked at again."""
        began, pattern = self._now(), Pattern(text)
        left = yield from self._size()
        place: Place | None = None
        looked = moved = skipped = 0
        while looked < left:
            entries, place = yield from self._step(place, min(1_000, left - looked))
            if place is None:
                break
            entries = [entry for entry in entries if entry.score != at]
            made = [self._made(make, entry, pattern, began) for entry in entries]
            for part in _parts([shift for shift in made if isinstance(shift, Shift)]):
                there: list[int] = yield self._calls.shift(self._key, self._now(), part)
                moved += sum(there)
            skipped += sum(one for one in made if isinstance(one, int))
            looked += len(entries)
            if progress:
                progress(looked)
        return Bulk(moved, skipped)

    def _made(self, make: Callable[[Entry], Shift], entry: Entry, pattern: Pattern, began: float) -> Shift | int:
        """Return how an entry moves; or 1 if it cannot, 0 if it is not meant."""
        if not pattern.matches(entry) or self._came_after(entry, began):
            return 0
        try:
            return make(entry)
        except Malformed:
            return 1

    def _came_after(self, entry: Entry, began: float) -> bool:
        """Say whether an entry came into the set after epoch s `began`, as far as it can be told."""
        raise NotImplementedError

    def _away(self, entry: JobRecord) -> Shift:
        return Shift(entry.raw, effects=endings(Ended(entry.payload, Event.DELETED, self._now())))

    def _to_dead(self, entry: JobRecord) -> Shift:
        return Shift(entry.raw, dead=True, effects=endings(Ended(entry.payload, Event.DIED, self._now())))

    def _run_now(self, entry: JobRecord) -> Shift:
        if entry.malformed:
            raise Malformed(f"the entry is not a job ({entry.malformed}); it can only be deleted")
        changes: dict[str, object] = {"enqueued_at": settings.stamp(self._now())}
        if self._decrements and entry.retry_count is not None:
            changes["retry_count"] = entry.retry_count - 1
        effects = endings(Ended(entry.payload, Event.SENT_BACK, self._now()))
        return Shift(entry.raw, edit(entry.raw, changes, drop=("at",)), queue=entry.queue, effects=effects)

    size, asize = blocking(_size), awaiting(_size)
    page, apage = blocking(_page), awaiting(_page)
    step, astep = blocking(_step), awaiting(_step)
    search, asearch = blocking(_scan), awaiting(_scan)
    find, afind = blocking(_find), awaiting(_find)
    retry, aretry = blocking(_retry), awaiting(_retry)
    delete, adelete = blocking(_delete), awaiting(_delete)
    move, amove = blocking(_move), awaiting(_move)
    sweep, asweep = blocking(_sweep), awaiting(_sweep)
    retry_all, aretry_all = blocking(_retry_all), awaiting(_retry_all)
    delete_all, adelete_all = blocking(_delete_all), awaiting(_delete_all)

    def scan(self, text: str = "") -> Iterator[Entry]:
        """Go through all entries that contain `text`, 1,000 looked at a time, in no order."""
        cursor = 0
        while True:
            found = run(self._client, self._scan(text, cursor))
            yield from found.entries
            cursor = found.cursor
            if cursor == 0:
                return

    async def ascan(self, text: str = "") -> AsyncIterator[Entry]:
        """`scan` for async code."""
        cursor = 0
        while True:
            found = await arun(self._client, self._scan(text, cursor))
            for entry in found.entries:
                yield entry
            cursor = found.cursor
            if cursor == 0:
                return

    def __iter__(self) -> Iterator[Entry]:
        """Go through all entries, the lowest time first, 100 at a time; they may be moved or deleted meanwhile."""
        place: Place | None = None
        while True:
            entries, place = run(self._client, self._step(place))
            if place is None:
                return
            yield from entries

    async def __aiter__(self) -> AsyncIterator[Entry]:
        """Go through all entries, as the blocking form does."""
        place: Place | None = None
        while True:
            entries, place = await arun(self._client, self._step(place))
            if place is None:
                return
            for entry in entries:
                yield entry


class _Timed(_Entries):
    """A set whose scores say when an entry is due."""

    def _reschedule(self, entry: Entry, when: float | dt.datetime) -> Steps[bool]:
        """Have an entry run at another time; say whether it was still there.

        Args:
            entry: as it was read.
            when: aware datetime or epoch seconds.

        Raises:
            BadOption: `when` is no time.
        """
        at = epoch_seconds(when, meant(entry, "reschedule").name or "reschedule")
        moved: list[int] = yield self._calls.shift(self._key, self._now(), [Shift(entry.raw, at=at)])
        return bool(moved[0])

    def _reschedule_all(
        self, when: float | dt.datetime, text: str = "", progress: Callable[[int], None] | None = None
    ) -> Steps[Bulk]:
        """Have all entries, or all that contain `text`, run at another time; otherwise as `retry_all`.

        Raises:
            BadOption: `when` is no time.
        """
        at = epoch_seconds(when, "reschedule_all")
        return (yield from self._all(lambda entry: Shift(entry.raw, at=at), text, progress, at))

    def _verbs(self) -> dict[str, Callable[[Entry], Shift]]:
        return {**super()._verbs(), "kill": self._to_dead}

    def verbs(self) -> list[str]:
        """Return what `move` can do here."""
        return [*self._verbs(), "reschedule"]

    def _kill(self, entry: Entry) -> Steps[bool]:
        """Send an entry to `dead` as it is, without its hooks; say whether it was still there."""
        moved: list[int] = yield self._calls.shift(self._key, self._now(), [self._to_dead(meant(entry, "kill"))])
        return bool(moved[0])

    def _kill_all(self, text: str = "", progress: Callable[[int], None] | None = None) -> Steps[Bulk]:
        """Send all entries, or all that contain `text`, to `dead`; otherwise as `retry_all`."""
        return (yield from self._all(self._to_dead, text, progress))

    reschedule, areschedule = blocking(_reschedule), awaiting(_reschedule)
    reschedule_all, areschedule_all = blocking(_reschedule_all), awaiting(_reschedule_all)
    kill, akill = blocking(_kill), awaiting(_kill)
    kill_all, akill_all = blocking(_kill_all), awaiting(_kill_all)


class ScheduledSet(_Timed):
    """Jobs that were enqueued for a later time. `retry` puts one on its queue now.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    _name = "schedule"

    def _came_after(self, entry: Entry, began: float) -> bool:
        made = epoch_s(entry.payload.get("created_at"))
        return made is not None and made > began


class RetrySet(_Timed):
    """Jobs that failed and are tried again.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    _name = "retry"
    _decrements = True

    def _came_after(self, entry: Entry, began: float) -> bool:
        failed = epoch_s(entry.payload.get("retried_at")) or epoch_s(entry.payload.get("failed_at"))
        return failed is not None and failed > began


class DeadSet(_Entries):
    """Jobs that will not run again by themselves: 10,000 of them at most, for six months at most.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    _name = "dead"
    _decrements = True

    def _came_after(self, entry: Entry, began: float) -> bool:
        return entry.score > began


def _entries(flat: list[bytes]) -> list[Entry]:
    return [Entry(raw, float(score)) for raw, score in zip(flat[::2], flat[1::2], strict=True)]


def _with_id(flat: list[bytes], jid: str) -> Entry | None:
    """Return the entry of a job among (bytes, score) pairs; bytes without its id are not even decoded."""
    wanted = jid.encode()
    for raw, score in zip(flat[::2], flat[1::2], strict=True):
        if wanted in raw and (entry := Entry(raw, float(score))).jid == jid:
            return entry
    return None


def _parts(shifts: list[Shift]) -> Iterator[list[Shift]]:
    """Cut a list so that no part has many more bytes than one script call should carry."""
    part: list[Shift] = []
    size = 0
    for shift in shifts:
        part.append(shift)
        size += len(shift.raw) + len(shift.new)
        if size > BULK_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
