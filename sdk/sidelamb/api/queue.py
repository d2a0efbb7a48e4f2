"""One queue: how much waits, for how long, what it is, and a person's hands on it.

queue = Queue("mail")
queue.size(), queue.latency()
for record in queue: ...
queue.pause()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.api.pattern import Pattern
from sidelamb.api.record import JobRecord, first_and_last, meant
from sidelamb.api.steps import Steps, View, arun, awaiting, blocking, run
from sidelamb.effects import Ended, Event, endings
from sidelamb.lenient import epoch_s
from sidelamb.names import queue_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sidelamb.client import Client

__all__ = ["Queue"]

PAGE = 100
SEARCH_PAGE = 1_000
DROP_MOST = 100
"""Jobs that `clear` deletes in one script: each may bring several keys, and Serverless takes 3,999 arguments."""
MISSES_MOST = 100
"""So often `clear` finds that the jobs at the end of the queue have run meanwhile, before it gives up."""
MOST_AT_ONCE = 1_000


class Queue(View):
    """A queue. It need not exist: one that does not is empty.

    Args:
        name: as jobs are enqueued to it.
        client: whose Redis and namespace; default the process's own client.

    Raises:
        BadOption: `name` can be no queue's.
    """

    def __init__(self, name: str = "default", client: Client | None = None) -> None:
        super().__init__(client)
        self._be(queue_name(name, "Queue").encode())

    @classmethod
    def listed(cls, raw: bytes, client: Client | None = None) -> Queue:
        """Return a queue whatever other clients have called it, to look into it and to clear it.

        Args:
            raw: the name's bytes, as `Stats.listed` has them.
            client: as for any queue.
        """
        queue = cls(client=client)
        queue._be(raw)
        return queue

    def _be(self, raw: bytes) -> None:
        self.raw, self.name = raw, raw.decode(errors="backslashreplace")
        self._list, self._alone = self._keys.queue(raw), self._keys.alone(raw)

    def _size(self) -> Steps[int]:
        """Return how many jobs wait, those under suspicion included."""
        waiting, alone = yield self._calls.read((self._list, "LLEN"), (self._alone, "LLEN"))
        return int(waiting + alone)

    def _foreign_key(self) -> Steps[str]:
        """Return its key that is no list, because another program uses it; empty if there is none."""
        (waiting,) = yield self._calls.waiting([self.raw])
        return str(waiting.foreign_key)

    def _latency(self) -> Steps[float]:
        """Return seconds since the job that is next to run was enqueued; 0 for an empty queue."""
        waiting, alone = yield self._calls.read((self._list, "LINDEX", -1), (self._alone, "LINDEX", -1))
        raw = alone or waiting
        since = epoch_s(JobRecord(raw).payload.get("enqueued_at")) if raw else None
        return max(0.0, self._now() - since) if since is not None else 0.0

    def _page(self, number: int = 0, size: int = PAGE) -> Steps[list[JobRecord]]:
        """Return one page of jobs, newest first; page 0 is the first. Empty: there are no more.

        Jobs under suspicion run before all others, and so stand last.

        Raises:
            BadArgument: `number` is below 0, or `size` not 1 to 10,000.
        """
        first, _ = first_and_last(number, size, "Queue.page")
        raws = yield from self._raws(first, size)
        return [JobRecord(raw, self.name) for raw in raws]

    def _raws(self, first: int, size: int) -> Steps[list[bytes]]:
        """Return the bytes of so many jobs on from a place, counted from the newest."""
        raws: list[bytes]
        waiting, raws = yield self._calls.read(
            (self._list, "LLEN"), (self._list, "LRANGE", first, first + size - 1)
        )
        if len(raws) < size:
            start, more = max(0, first - int(waiting)), size - len(raws)
            (alone,) = yield self._calls.read((self._alone, "LRANGE", start, start + more - 1))
            raws += alone
        return raws

    def _search(self, text: str = "", cursor: int = 0) -> Steps[tuple[list[tuple[int, JobRecord]], int]]:
        """Read 1,000 jobs on from `cursor`, and return those that contain `text` (see `JobRecord.matches`).

        Each with its place, counted from the newest, and the cursor to go on with (0: the end). Goes from the
        newest to the next to run: a job that waits all the while is found, perhaps twice.
        """
        raws, pattern = (yield from self._raws(cursor, SEARCH_PAGE)), Pattern(text)
        some = [(cursor + n, JobRecord(raw, self.name)) for n, raw in enumerate(raws) if not pattern.lacks(raw)]
        found = [(place, record) for place, record in some if pattern.matches(record)]
        return found, cursor + SEARCH_PAGE if len(raws) == SEARCH_PAGE else 0

    def _find(self, jid: str) -> Steps[JobRecord | None]:
        """Return the job with this id, or None. Reads the queue page by page: meant for a person's search."""
        for key in (self._alone, self._list):
            number = 0
            while True:
                first = number * SEARCH_PAGE
                (raws,) = yield self._calls.read((key, "LRANGE", first, first + SEARCH_PAGE - 1))
                for raw in raws:
                    if jid.encode() in raw and (found := JobRecord(raw, self.name)).jid == jid:
                        return found
                if len(raws) < SEARCH_PAGE:
                    break
                number += 1
        return None

    def _delete(self, record: JobRecord) -> Steps[bool]:
        """Delete one job; say whether it was still there. One that a worker has already is not stopped."""
        raw = meant(record, "Queue.delete").raw
        effects = endings(Ended(record.payload, Event.DELETED, self._now()))
        for key in (self._list, self._alone):
            if (yield self._calls.unqueue(key, raw, effects)):
                return True
        return False

    def _clear(self) -> Steps[int]:
        """Delete all that waits, and return how many jobs that was. The queue comes back with its next job.

        While there are unique jobs or batches it goes through the queue, 100 jobs at a time, gives locks back and
        tells batches.
        """
        locks, batches = yield self._calls.read((self._keys.locks, "ZCARD"), (self._keys.batches, "ZCARD"))
        if not locks and not batches:
            n: int = yield self._calls.clear(self.raw)
            return n
        waiting, alone = yield self._calls.read((self._list, "LLEN"), (self._alone, "LLEN"))
        dropped = yield from self._drop(self._alone, alone)
        dropped += yield from self._drop(self._list, waiting)
        return dropped

    def _drop(self, key: bytes, most: int) -> Steps[int]:
        """Delete the next `most` jobs to run of one list, with what their features have done then."""
        left, misses = most, 0
        while left > 0 and misses < MISSES_MOST:
            (raws,) = yield self._calls.read((key, "LRANGE", -min(left, DROP_MOST), -1))
            if not raws:
                break
            now = self._now()
            effects = [endings(Ended(JobRecord(raw).payload, Event.DELETED, now)) for raw in raws]
            gone = yield self._calls.drop(self.raw, key, raws, effects)
            left, misses = left - gone, 0 if gone else misses + 1
        return most - left

    def _pause(self) -> Steps[bool]:
        """Start no more of its jobs, in any poller; say whether it was not paused before."""
        changed: bool = yield self._calls.pause(self.raw, paused=True)
        return changed

    def _resume(self) -> Steps[bool]:
        """Let its jobs run again; say whether it was paused."""
        changed: bool = yield self._calls.pause(self.raw, paused=False)
        return changed

    def _is_paused(self) -> Steps[bool]:
        """Say whether it is paused."""
        (paused,) = yield self._calls.read((self._keys.paused, "SISMEMBER", self.raw))
        return bool(paused)

    size, asize = blocking(_size), awaiting(_size)
    foreign_key, aforeign_key = blocking(_foreign_key), awaiting(_foreign_key)
    latency, alatency = blocking(_latency), awaiting(_latency)
    page, apage = blocking(_page), awaiting(_page)
    search, asearch = blocking(_search), awaiting(_search)
    find, afind = blocking(_find), awaiting(_find)
    delete, adelete = blocking(_delete), awaiting(_delete)
    clear, aclear = blocking(_clear), awaiting(_clear)
    pause, apause = blocking(_pause), awaiting(_pause)
    resume, aresume = blocking(_resume), awaiting(_resume)
    is_paused, ais_paused = blocking(_is_paused), awaiting(_is_paused)

    def __iter__(self) -> Iterator[JobRecord]:
        """Go through what waits, newest first, 100 jobs at a time; they may be deleted meanwhile.

        A queue moves while one looks: a job that runs or comes meanwhile may be shown or not, and one that waits
        all the while is shown once.
        """
        for key in (self._list, self._alone):
            walk = _Walk(self, key)
            while records := run(self._client, walk.step()):
                yield from records

    async def __aiter__(self) -> AsyncIterator[JobRecord]:
        """Go through what waits, as the blocking form does."""
        for key in (self._list, self._alone):
            walk = _Walk(self, key)
            while records := await arun(self._client, walk.step()):
                for record in records:
                    yield record

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"


class _Walk:
    """A place in a list that moves: jobs enter at the left, run from the right, and are deleted anywhere.

    The place is kept as the next job, and how far from the right end it stood: that changes only when jobs run or
    come back from a lease. What is read begins there, so mostly with that job; else it is searched for. If it
    is gone, so is about all that stood right of it.
    """

    def __init__(self, queue: Queue, key: bytes) -> None:
        self._queue, self._key = queue, key
        self._left: int | None = None
        """How many jobs stand from the next one to the right end; None at the beginning."""
        self._next: bytes | None = None
        self._shown: frozenset[bytes] = frozenset()

    def step(self) -> Steps[list[JobRecord]]:
        """Return the next page; empty at the end."""
        while self._left is None or self._left > 0:
            first = 0 if self._left is None else -self._left
            fresh = yield from self._read(first)
            if fresh:
                return [JobRecord(raw, self._queue.name) for raw in fresh]
        return []

    def _read(self, first: int) -> Steps[list[bytes]]:
        """Return the next page on from index `first`, and remember where it ended."""
        calls, key = self._queue._calls, self._key  # noqa: SLF001
        last = first + 2 * PAGE - 1
        command = (key, "LRANGE", first, last if first == 0 or last < 0 else -1)
        length, raws = yield calls.read((key, "LLEN"), command)
        at = max(0, length + first) if first < 0 else 0
        if self._next is not None and self._next not in raws:
            (found,) = yield calls.read((key, "LPOS", self._next))
            if found is not None:
                length, raws = yield calls.read((key, "LLEN"), (key, "LRANGE", found, found + 2 * PAGE - 1))
                at = found
        if self._next in raws:
            skip = raws.index(self._next)
        else:
            skip = max((n + 1 for n, raw in enumerate(raws) if raw in self._shown), default=0)
        fresh: list[bytes] = raws[skip : skip + PAGE]
        rest = raws[skip + PAGE :]
        self._left = length - at - skip - len(fresh)
        self._next, self._shown = rest[0] if rest else None, frozenset(fresh) or self._shown
        return fresh
