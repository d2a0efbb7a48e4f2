"""The locks of unique jobs: who keeps its equals out, and until when; given back by hand, or where nobody is left.

A lock goes with its job's end. Left over is one whose job has gone without an end of its own: deleted by a client
that knows nothing of locks, or forgotten by Redis in a failover. `release_lost` finds those; the scheduler calls
it once a minute.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - dataclasses show it
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidelamb.api.record import first_and_last, moment
from sidelamb.api.steps import Steps, View, arun, awaiting, blocking, run
from sidelamb.errors import BadArgument
from sidelamb.unique import lock_key, unlock
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sidelamb.job import Job

__all__ = ["Lock", "Locks"]

PAGE = 100
SEARCH_PAGE = 1_000

SWEEP_MOST = 1_000
"""Locks that one sweep looks at, drawn at random if there are more."""
LEASES_MOST = 500
NEW_LEASES_MOST = 20
"""With more leases made while it looked, a sweep waits for the next one."""


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock."""

    key: str
    """As it stands in its job's payload, field `lock`: `<name of the job>:<digest of what makes it unique>`."""
    jid: str
    """The job that holds it."""
    until: dt.datetime | None
    """When it ends by itself."""

    @property
    def name(self) -> str:
        """The name of its job."""
        return self.key.rpartition(":")[0]


class Locks(View):
    """All locks that are held.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _size(self) -> Steps[int]:
        """Return how many there are."""
        (n,) = yield self._calls.read((self._keys.locks, "ZCOUNT", f"({self._now()}", "+inf"))
        return int(n)

    def _page(self, number: int = 0, size: int = PAGE) -> Steps[list[Lock]]:
        """Return one page, the first to end by itself first; page 0 is the first. Empty: there are no more.

        Raises:
            BadArgument: `number` is below 0, or `size` not 1 to 10,000.
        """
        first, _ = first_and_last(number, size, "Locks.page")
        wanted = (f"({self._now()}", "+inf", "BYSCORE", "LIMIT", first, size, "WITHSCORES")
        (flat,) = yield self._calls.read((self._keys.locks, "ZRANGE", *wanted))
        return (yield from self._held(flat))

    def _held(self, flat: list[bytes]) -> Steps[list[Lock]]:
        """Return the locks of these names and times; one that was given back meanwhile is left out."""
        names = [name.decode(errors="replace") for name in flat[::2]]
        holders: list[bytes | None] = []
        for at in range(0, len(names), SEARCH_PAGE):
            part = names[at : at + SEARCH_PAGE]
            holders += yield self._calls.read(*((self._keys(lock_key(name)), "GET") for name in part))
        return [
            Lock(name, holder.decode(errors="replace"), moment(float(score)))
            for name, score, holder in zip(names, flat[1::2], holders, strict=True)
            if holder
        ]

    def _get(self, key: str) -> Steps[Lock | None]:
        """Return the lock of this key, or None: nobody holds it."""
        (score,) = yield self._calls.read((self._keys.locks, "ZSCORE", key))
        found = yield from self._held([key.encode(), score or b"inf"])
        return found[0] if found else None

    def _of(self, job: Job[..., Any], /, *args: Any, **kwargs: Any) -> Steps[Lock | None]:
        """Return the lock that keeps this call out, or None: it would be stored.

        Raises:
            BadArgument: the job is not a unique one.
        """
        payload = job.template.payload(args, kwargs, "", self._now())
        if "lock" not in payload:
            raise BadArgument(f"{job.name} has no locks: it is declared without unique_for")
        for key in (payload["lock"], *payload.get("lock_also", ())):
            found = yield from self._get(key)
            if found is not None:
                return found
        return None

    def _find(self, jid: str) -> Steps[Lock | None]:
        """Return a lock that this job holds, or None. Reads all locks page by page: for a person's search."""
        score, name = -math.inf, b""
        while True:
            page, score, name = yield from self._walk(score, name, SEARCH_PAGE)
            for lock in page:
                if lock.jid == jid:
                    return lock
            if math.isinf(score) and score > 0:
                return None

    def _release(self, lock: Lock | str) -> Steps[bool]:
        """Give a lock back by hand; say whether somebody held it. Its job runs on, and so may another one now.

        Args:
            lock: one that was listed, given back only if the same job holds it still; or its key, whoever does.

        Raises:
            BadArgument: it is neither.
        """
        if isinstance(lock, str):
            found = yield from self._get(lock)
            return found is not None and (yield from self._release(found))
        if not isinstance(lock, Lock):
            raise BadArgument(f"Locks.release takes a Lock or its key, not {shown(lock)}")
        key = self._keys(lock_key(lock.key))
        (before,) = yield self._calls.read((key, "GET"))
        yield self._calls.take([unlock(lock.key, lock.jid)])
        return bool(before == lock.jid.encode())

    def _release_lost(self) -> Steps[list[Lock]]:
        """Give back locks whose jobs are provably gone, and return them.

        Proof is one look, at one instant, into every queue, the schedule, retry and all leases: the job is in none
        of them. A dead job holds no lock. While a batch is being staged, or where that look would be long (5,000
        jobs, 4 MB, 500 leases), nothing is proven, nor of a job id that JSON might write in several ways. At most
        1,000 locks a call, drawn at random.
        """
        yield from self._forget_ended()
        locks, queues, leases = yield self._calls.read(
            (self._keys.locks, "ZRANDMEMBER", SWEEP_MOST, "WITHSCORES"),
            (self._keys.queues, "SMEMBERS"),
            (self._keys.leases, "ZRANGE", 0, LEASES_MOST),
        )
        held = yield from self._held(locks)
        plain = [lock for lock in held if lock.jid.isascii() and lock.jid.isalnum()]
        if not plain or len(leases) > LEASES_MOST or not _are_texts(*queues, *leases):
            return []
        answer = yield self._calls.lost(sorted({lock.jid for lock in plain}), queues, leases, self._now())
        if answer is None:
            return []
        lost, unseen = {jid.decode() for jid in answer[0]}, answer[1]
        if not lost or len(unseen) > NEW_LEASES_MOST:
            return []
        for lease in unseen:
            fields = yield ("HGETALL", self._keys.lease(lease.decode()))
            jobs = _jobs_of_new(fields)
            if jobs is None:
                return []
            lost = {jid for jid in lost if not any(jid.encode() in raw for raw in jobs)}
        gone = [lock for lock in plain if lock.jid in lost]
        if gone:
            yield self._calls.take([unlock(lock.key, lock.jid) for lock in gone])
        return gone

    def _forget_ended(self) -> Steps[None]:
        """Take names of locks that have ended by themselves off the list, about as many as one sweep looks at."""
        now = self._now()
        among = ("-inf", now, "BYSCORE", "LIMIT", SWEEP_MOST, 1, "WITHSCORES")
        (behind,) = yield self._calls.read((self._keys.locks, "ZRANGE", *among))
        yield ("ZREMRANGEBYSCORE", self._keys.locks, "-inf", behind[1] if behind else repr(now))

    size, asize = blocking(_size), awaiting(_size)
    page, apage = blocking(_page), awaiting(_page)
    get, aget = blocking(_get), awaiting(_get)
    of, aof = blocking(_of), awaiting(_of)
    find, afind = blocking(_find), awaiting(_find)
    release, arelease = blocking(_release), awaiting(_release)
    release_lost, arelease_lost = blocking(_release_lost), awaiting(_release_lost)

    def _walk(self, score: float, name: bytes, size: int = PAGE) -> Steps[tuple[list[Lock], float, bytes]]:
        """Return the locks behind one, and time and name of the last of them; at the end the time is +inf."""
        page: list[Lock] = []
        while not page:
            flat = yield self._calls.walk(self._keys.locks, score, name, size)
            if not flat:
                return [], math.inf, b""
            page = yield from self._held(flat)
            score, name = float(flat[-1]), flat[-2]
        return page, score, name

    def __iter__(self) -> Iterator[Lock]:
        """Go through all locks, 100 at a time, the first to end first; they may come and go meanwhile."""
        score, name = -math.inf, b""
        while not (math.isinf(score) and score > 0):
            page, score, name = run(self._client, self._walk(score, name))
            yield from page

    async def __aiter__(self) -> AsyncIterator[Lock]:
        """Go through all locks, as the blocking form does."""
        score, name = -math.inf, b""
        while not (math.isinf(score) and score > 0):
            page, score, name = await arun(self._client, self._walk(score, name))
            for lock in page:
                yield lock


def _are_texts(*names: bytes) -> bool:
    """Whether these can be our names: what others keep there under odd ones cannot be looked into."""
    try:
        return all(name.decode() for name in names)
    except UnicodeDecodeError:
        return False


def _jobs_of_new(flat: list[bytes]) -> list[bytes] | None:
    """Return the jobs of a lease, None if not all of those that it was made with are there."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    jobs = [raw for field, raw in fields.items() if field[:1].isdigit()]
    made_with = fields.get(b"open") or fields.get(b"claim", b"").rpartition(b" ")[2]
    return jobs if made_with == b"%d" % len(jobs) else None
