"""One queue: how much waits, for how long, what it is, and a person's hands on it.

queue = Queue("mail")
queue.size(), queue.latency()
for record in queue: ...
queue.pause()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.api.record import JobRecord
from sidelamb.api.steps import Steps, View, arun, awaiting, blocking, run
from sidelamb.lenient import epoch_s
from sidelamb.names import queue_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sidelamb.client import Client

__all__ = ["Queue"]

PAGE = 100
SEARCH_PAGE = 1_000
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
        self.name = queue_name(name, "Queue")
        self._list, self._alone = self._keys.queue(self.name), self._keys.alone(self.name)

    def _size(self) -> Steps[int]:
        """Return how many jobs wait, those under suspicion included."""
        waiting, alone = yield self._calls.read((self._list, "LLEN"), (self._alone, "LLEN"))
        return int(waiting + alone)

    def _latency(self) -> Steps[float]:
        """Return seconds since the job that is next to run was enqueued; 0 for an empty queue."""
        (raw,) = yield self._calls.read((self._list, "LINDEX", -1))
        since = epoch_s(JobRecord(raw).payload.get("enqueued_at")) if raw else None
        return max(0.0, self._now() - since) if since is not None else 0.0

    def _page(self, number: int = 0, size: int = PAGE) -> Steps[list[JobRecord]]:
        """Return one page of jobs, newest first; page 0 is the first. Empty: there are no more."""
        first = number * size
        (raws,) = yield self._calls.read((self._list, "LRANGE", first, first + size - 1))
        return [JobRecord(raw, self.name) for raw in raws]

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
        for key in (self._list, self._alone):
            if (yield self._calls.unqueue(key, [record.raw])):
                return True
        return False

    def _clear(self) -> Steps[int]:
        """Delete all that waits, and return how many jobs that was. The queue comes back with its next job."""
        n: int = yield self._calls.clear(self.name)
        return n

    def _pause(self) -> Steps[bool]:
        """Start no more of its jobs, in any poller; say whether it was not paused before."""
        changed: bool = yield self._calls.pause(self.name, paused=True)
        return changed

    def _resume(self) -> Steps[bool]:
        """Let its jobs run again; say whether it was paused."""
        changed: bool = yield self._calls.pause(self.name, paused=False)
        return changed

    def _is_paused(self) -> Steps[bool]:
        """Say whether it is paused."""
        (paused,) = yield self._calls.read((self._keys.paused, "SISMEMBER", self.name))
        return bool(paused)

    size, asize = blocking(_size), awaiting(_size)
    latency, alatency = blocking(_latency), awaiting(_latency)
    page, apage = blocking(_page), awaiting(_page)
    find, afind = blocking(_find), awaiting(_find)
    delete, adelete = blocking(_delete), awaiting(_delete)
    clear, aclear = blocking(_clear), awaiting(_clear)
    pause, apause = blocking(_pause), awaiting(_pause)
    resume, aresume = blocking(_resume), awaiting(_resume)
    is_paused, ais_paused = blocking(_is_paused), awaiting(_is_paused)

    def __iter__(self) -> Iterator[JobRecord]:
        """Go through what waits, newest first, 100 jobs at a time.

        A queue moves while one looks: a job that runs meanwhile may be shown or not, none is shown twice unless
        more than a page of new ones comes in between two pages, and one that waits all the while is shown.
        """
        walk = _Walk(self)
        while records := run(self._client, walk.step()):
            yield from records

    async def __aiter__(self) -> AsyncIterator[JobRecord]:
        """Go through what waits, as the blocking form does."""
        walk = _Walk(self)
        while records := await arun(self._client, walk.step()):
            for record in records:
                yield record

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"


class _Walk:
    """A place in a queue that moves: jobs enter at the left, and leave mostly at the right.

    Each page begins with the last job that was shown: how far it and those before it have moved says how many
    came in. (The last one may have run meanwhile.)
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._at = 0
        self._shown: set[bytes] = set()

    def step(self) -> Steps[list[JobRecord]]:
        """Return the next page; empty at the end."""
        queue = self._queue
        while True:
            first = max(0, self._at - 1)
            (raws,) = yield queue._calls.read((queue._list, "LRANGE", first, first + PAGE))  # noqa: SLF001
            known = max((n + 1 for n, raw in enumerate(raws) if raw in self._shown), default=0)
            fresh = raws[known:]
            self._at = first + known + len(fresh)
            self._shown = set(fresh) or self._shown
            if fresh or len(raws) <= PAGE:
                return [JobRecord(raw, queue.name) for raw in fresh]
