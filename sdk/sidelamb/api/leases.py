"""Leases: the jobs that have left their queue and are on their way through an invocation."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - named tuples and dataclasses show it
import math
from typing import TYPE_CHECKING, NamedTuple

from sidelamb.api.record import JobRecord, first_and_last, moment
from sidelamb.api.steps import Steps, View, arun, awaiting, blocking, run
from sidelamb.keys import source_of
from sidelamb.lenient import epoch_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["LeaseRecord", "Leases"]

PAGE = 100
OWN_FIELDS = 3
"""capsule, poller, and one of open and claim."""


class LeaseRecord(NamedTuple):
    """One lease."""

    id: str
    capsule: str
    poller: str
    jobs: int
    """How many have not been settled yet."""
    expires_at: dt.datetime | None
    """When the scheduler gives its jobs back: unclaimed, its start_by; claimed, its deadline."""
    request_id: str
    """Lambda's id of the invocation that claimed it, or empty."""
    claimed_at: dt.datetime | None


class Leases(View):
    """All leases, over all capsules and pollers.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _size(self) -> Steps[int]:
        """Return how many there are."""
        (n,) = yield self._calls.read((self._keys.leases, "ZCARD"))
        return int(n)

    def _page(self, number: int = 0, size: int = PAGE) -> Steps[list[LeaseRecord]]:
        """Return one page, the first to expire first; page 0 is the first. Empty: there are no more.

        Raises:
            BadArgument: `number` is below 0, or `size` not 1 to 10,000.
        """
        first, last = first_and_last(number, size, "Leases.page")
        (flat,) = yield self._calls.read((self._keys.leases, "ZRANGE", first, last, "WITHSCORES"))
        return (yield from self._records(flat))

    def _find(self, lease_id: str) -> Steps[LeaseRecord | None]:
        """Return one by its id, or None."""
        (score,) = yield self._calls.read((self._keys.leases, "ZSCORE", lease_id))
        if score is None:
            return None
        return (yield from self._records([lease_id.encode(), score]))[0]

    def _records(self, flat: list[bytes]) -> Steps[list[LeaseRecord]]:
        k, names = self._keys, [name.decode(errors="replace") for name in flat[::2]]
        if not names:
            return []
        commands: list[tuple[bytes | str | int, ...]] = []
        for name in names:
            commands += [(k.lease(name), "HMGET", "capsule", "poller", "claim", "open"), (k.lease(name), "HLEN")]
        reply = yield self._calls.read(*commands)
        return [
            _lease(name, float(flat[2 * n + 1]), reply[2 * n], reply[2 * n + 1]) for n, name in enumerate(names)
        ]

    def _jobs(self, lease_id: str, cursor: int = 0) -> Steps[tuple[list[JobRecord], int]]:
        """Return about 100 jobs of a lease on from `cursor`, and the cursor to go on with (0: the end)."""
        key = self._keys.lease(lease_id)
        ((after, flat),) = yield self._calls.read((key, "HSCAN", cursor, "COUNT", PAGE))
        jobs = [
            JobRecord(raw, source_of(field.decode(errors="replace"))[0])
            for field, raw in zip(flat[::2], flat[1::2], strict=True)
            if field[:1].isdigit()
        ]
        return jobs, int(after)

    size, asize = blocking(_size), awaiting(_size)
    page, apage = blocking(_page), awaiting(_page)
    find, afind = blocking(_find), awaiting(_find)
    jobs, ajobs = blocking(_jobs), awaiting(_jobs)

    def _walk(self, score: float, name: bytes) -> Steps[tuple[list[LeaseRecord], float, bytes]]:
        """Return the leases behind one, and score and id of the last of them."""
        flat = yield self._calls.walk(self._keys.leases, score, name, PAGE)
        if not flat:
            return [], score, name
        return (yield from self._records(flat)), float(flat[-1]), flat[-2]

    def __iter__(self) -> Iterator[LeaseRecord]:
        """Go through all leases, 100 at a time, the first to expire first.

        Those that come and go meanwhile are shown or not; one that is claimed meanwhile may be shown again.
        """
        score, name = -math.inf, b""
        while True:
            page, score, name = run(self._client, self._walk(score, name))
            if not page:
                return
            yield from page

    async def __aiter__(self) -> AsyncIterator[LeaseRecord]:
        """Go through all leases, as the blocking form does."""
        score, name = -math.inf, b""
        while True:
            page, score, name = await arun(self._client, self._walk(score, name))
            if not page:
                return
            for lease in page:
                yield lease


def _lease(name: str, expires: float, fields: list[bytes | None], length: int) -> LeaseRecord:
    capsule, poller, claim, _ = (value.decode(errors="replace") if value else "" for value in fields)
    token, at, *_ = [*claim.split(" "), "", ""]
    jobs = max(0, length - OWN_FIELDS)
    claimed = moment(epoch_s(at)) if claim else None
    return LeaseRecord(name, capsule, poller, jobs, moment(expires), token.partition("/")[0], claimed)
