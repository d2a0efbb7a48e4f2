"""Limits that are in use: how much of each is taken, by whom and until when; slots given back by hand.

A limit is known from its first use until nothing of it is left. Its numbers are those of the code that used it
last.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - dataclasses show it
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from sidelamb.api.record import first_and_last, moment
from sidelamb.api.steps import Steps, View, arun, awaiting, blocking, run
from sidelamb.effects import Effect
from sidelamb.errors import BadArgument
from sidelamb.limits import LIMITS, NUMBERS
from sidelamb.limits import Limit as Declared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["Holder", "LimitState", "Limits"]

PAGE = 100
_SECONDS = rb" \d{1,12}(\.\d{1,20})?(e-?\d{1,3})?"
_PER = {b"concurrent": b"", b"window": _SECONDS, b"bucket": _SECONDS}
READ_MOST = 500
"""Limits that are read in one script: ElastiCache Serverless takes 3,999 arguments."""
Kind = Literal["concurrent", "window", "bucket"]


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit, as it was at one instant."""

    kind: Kind
    name: str
    """Its own, or its job's; with `/` and the key behind it, if it is one of many."""
    most: int
    """At once (concurrent), in a window, or in a bucket that is full."""
    per: float | None
    """Seconds: of a window, or in which one leaks out of a bucket; None for concurrent."""
    used: int
    until: dt.datetime | None
    """When the next place becomes free at the latest, if none is given back before; None: nothing is taken."""

    @property
    def free(self) -> int:
        """How many are free."""
        return max(0, self.most - self.used)


@dataclass(frozen=True, slots=True)
class Holder:
    """One who has a place."""

    who: str
    """A job's id, or `held:…` for code outside of jobs."""
    until: dt.datetime | None
    """When it is free again by itself."""
    member: str
    """As Redis has it."""


class Limits(View):
    """All limits that are in use.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _size(self) -> Steps[int]:
        """Return how many there are."""
        (n,) = yield self._calls.read((self._keys(LIMITS), "ZCOUNT", f"({self._now()}", "+inf"))
        return int(n)

    def _page(self, number: int = 0, size: int = PAGE) -> Steps[list[LimitState]]:
        """Return one page, that which is unused first, first; page 0 is the first. Empty: there are no more.

        Raises:
            BadArgument: `number` is below 0, or `size` not 1 to 10,000.
        """
        first, _ = first_and_last(number, size, "Limits.page")
        wanted = (f"({self._now()}", "+inf", "BYSCORE", "LIMIT", first, size)
        (names,) = yield self._calls.read((self._keys(LIMITS), "ZRANGE", *wanted))
        return (yield from self._states(names))

    def _get(self, limit: Declared, *, key: object = None) -> Steps[LimitState | None]:
        """Return how a limit that the code declares stands, or None: nothing of it is taken.

        Args:
            limit: one with a name.
            key: what its `by` would return.

        Raises:
            BadOption: it has no name, or needs a key.
        """
        found = yield from self._states([f"{limit.KIND}:{limit.named_for(key)}".encode()])
        return found[0] if found else None

    def _find(self, member: str) -> Steps[LimitState | None]:
        """Return a limit by its kind and name, as in `concurrent:api`, or None: nothing of it is taken."""
        found = yield from self._states([member.encode()])
        return found[0] if found else None

    def _states(self, names: list[bytes]) -> Steps[list[LimitState]]:
        """Return the limits of these names that are known."""
        found: list[LimitState] = []
        for at in range(0, len(names), READ_MOST):
            found += yield from self._some_states(names[at : at + READ_MOST])
        return found

    def _some_states(self, names: list[bytes]) -> Steps[list[LimitState]]:
        now = self._now()
        (numbers,) = yield self._calls.read((self._keys(NUMBERS), "HMGET", *names))
        known = [
            (name.decode(errors="replace"), text)
            for name, text in zip(names, numbers, strict=True)
            if text and _is_ours(name, text)
        ]
        commands: list[tuple[Any, ...]] = []
        for name, text in known:
            key, (kind, _, per) = _key(name), _read(name, text)
            if kind == "bucket":
                commands += [(self._keys(key), "GET"), (self._keys(key), "EXISTS")]
            else:
                since = ("(" if kind == "concurrent" else "") + repr(now - (per or 0.0))
                commands += [
                    (self._keys(key), "ZCOUNT", since, "+inf"),
                    (self._keys(key), "ZRANGE", since, "+inf", "BYSCORE", "LIMIT", 0, 1, "WITHSCORES"),
                ]
        reply = (yield self._calls.read(*commands)) if commands else []
        return [_state(name, text, reply[2 * n], reply[2 * n + 1], now) for n, (name, text) in enumerate(known)]

    def _holders(self, limit: LimitState, number: int = 0, size: int = PAGE) -> Steps[list[Holder]]:
        """Return one page of those who have a place, the first to be free first. Nobody knows that of a bucket.

        Raises:
            BadArgument: `number` is below 0, or `size` not 1 to 10,000.
        """
        first, _ = first_and_last(number, size, "Limits.holders")
        if limit.kind == "bucket":
            return []
        per = limit.per or 0.0
        wanted = (repr(self._now() - per), "+inf", "BYSCORE", "LIMIT", first, size, "WITHSCORES")
        (flat,) = yield self._calls.read((self._keys(_key(_member(limit))), "ZRANGE", *wanted))
        members = [member.decode(errors="replace") for member in flat[::2]]
        return [
            Holder(member.partition("/")[0], moment(float(at) + per), member)
            for member, at in zip(members, flat[1::2], strict=True)
        ]

    def _release(self, limit: LimitState, holder: Holder | str) -> Steps[bool]:
        """Give a place back by hand, and say whether it was held. Who held it runs on, and so may another one now.

        Args:
            limit: as it was listed; not a bucket.
            holder: as it was listed, or a job's id for a concurrent one.

        Raises:
            BadArgument: a bucket keeps no places.
        """
        if limit.kind == "bucket":
            raise BadArgument(f"the bucket {limit.name!r} knows nobody who has filled it; reset it instead")
        member, key = holder if isinstance(holder, str) else holder.member, _key(_member(limit))
        (before,) = yield self._calls.read((self._keys(key), "ZSCORE", member))
        yield self._calls.take([Effect("free", (key,), (member,))])
        return before is not None

    def _reset(self, limit: LimitState) -> Steps[None]:
        """Forget all that is taken of a limit. Jobs that hold a place run on."""
        name = _member(limit)
        yield self._calls.take([Effect("reset", (_key(name), LIMITS, NUMBERS), (name,))])

    size, asize = blocking(_size), awaiting(_size)
    page, apage = blocking(_page), awaiting(_page)
    get, aget = blocking(_get), awaiting(_get)
    find, afind = blocking(_find), awaiting(_find)
    holders, aholders = blocking(_holders), awaiting(_holders)
    release, arelease = blocking(_release), awaiting(_release)
    reset, areset = blocking(_reset), awaiting(_reset)

    def _walk(self, score: float, name: bytes) -> Steps[tuple[list[LimitState], float, bytes]]:
        """Return the limits behind one, and time and name of the last of them; at the end the time is +inf."""
        flat = yield self._calls.walk(self._keys(LIMITS), score, name, PAGE)
        if not flat:
            return [], math.inf, b""
        return (yield from self._states(flat[::2])), float(flat[-1]), flat[-2]

    def __iter__(self) -> Iterator[LimitState]:
        """Go through all limits, 100 at a time, that which is unused first, first."""
        score, name = self._now(), b""
        while score < math.inf:
            page, score, name = run(self._client, self._walk(score, name))
            yield from page

    async def __aiter__(self) -> AsyncIterator[LimitState]:
        """Go through all limits, as the blocking form does."""
        score, name = self._now(), b""
        while score < math.inf:
            page, score, name = await arun(self._client, self._walk(score, name))
            for limit in page:
                yield limit


def _key(member: str) -> str:
    return f"sidelamb:limit:{member}"


def _member(limit: LimitState) -> str:
    return f"{limit.kind}:{limit.name}"


def _is_ours(member: bytes, numbers: bytes) -> bool:
    """Whether it can be read: what others have written there is no limit."""
    kind, _, name = member.partition(b":")
    per = _PER.get(kind)
    return bool(name and per is not None and re.fullmatch(rb"\d{1,9}" + per, numbers))


def _read(member: str, numbers: bytes) -> tuple[Kind, int, float | None]:
    """Return kind, most, and seconds of a limit."""
    most, _, per = numbers.decode().partition(" ")
    return cast("Kind", member.partition(":")[0]), int(most), float(per) if per else None


def _state(member: str, numbers: bytes, one: Any, other: Any, now: float) -> LimitState:
    kind, most, per = _read(member, numbers)
    name = member.partition(":")[2]
    if kind != "bucket":
        until = float(other[1]) + (per or 0.0) if other else None
        return LimitState(kind, name, most, per, int(one), None if until is None else moment(until))
    left, takes = float(one or 0.0) - now, per or 1.0
    used = max(0, math.ceil(left / takes - 0.01))
    freed = now + left - (used - 1) * takes if used else None
    return LimitState(kind, name, most, per, used, None if freed is None else moment(freed))
