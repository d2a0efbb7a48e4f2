"""Limits that all processes share: how many at once, how many in a time, at which rate.

    api = Concurrent(5, name="api")

    @job(limit=api)                                         # a job over the limit is put off, uncounted
    def fetch(page: int) -> None: ...

    @job(limit=Window(100, per=60, by=lambda tenant, *rest: tenant))     # one for each tenant
    def send(tenant: str, address: str) -> None: ...

    with api:                                               # outside of jobs
        call()

The worker asks in the script that begins a run, so a limit is never exceeded, and a job that is put off keeps
nobody behind it waiting. A slot of `Concurrent` is given back in the script that ends the run, whatever ends it;
at the latest it goes with its invocation.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sidelamb import holding
from sidelamb.effects import Effect
from sidelamb.errors import BadOption
from sidelamb.holding import OverLimit
from sidelamb.lenient import epoch_s
from sidelamb.told import told_by
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from sidelamb.client import Client
    from sidelamb.effects import Ended
    from sidelamb.options import JobOptions

__all__ = ["Bucket", "Concurrent", "Limit", "OverLimit", "Window", "beginning", "ending", "marker", "starting"]

SLOT_WAIT_S = 1.0
"""After so long, and up to half as long again, a job that found no slot is tried again."""
SOONEST_S = 0.1
WAITED_SHARE = 0.1
"""One that waits since less than ten seconds is tried sooner, after this share of its time: so a burst of short
jobs is through sooner, and one behind long jobs is tried ten times more at most."""

MOST_KEY = 200
"""Characters of a key, a tenant's id, in the name of its limit."""

LIMITS = "sidelamb:limits"
"""All limits that are in use, scored with the epoch second at which nothing more is known of each."""

NUMBERS = "sidelamb:limit-numbers"
"""By limit, the numbers that the last who took of it had for it."""


class Limit(ABC):
    """A limit: what is under it shares it by its name.

    Args:
        name: a name for all that share it; None for the job's own, one that nobody else shares.
        by: takes a call's arguments and returns what has a limit of its own, a tenant's id.
    """

    KIND: str

    def __init__(self, name: str | None = None, by: Callable[..., object] | None = None) -> None:
        if name is not None and (type(name) is not str or not name or not name.isprintable() or "/" in name):
            raise BadOption(f"the name of a limit is {shown(name)}; expected a text without '/'")
        if by is not None and not callable(by):
            raise BadOption(f"by of a limit is {shown(by)}; expected a function of the job's arguments")
        self.name = name
        self.by = by
        self._holds = holding.Holds()

    def named(self, payload: Mapping[str, Any]) -> str:
        """Return the name that a call's limit has."""
        name = self.name or str(payload["class"])
        if self.by is None:
            return name
        return _joined(name, told_by(self.by, payload, f"by of the limit of {payload['class']}"))

    def named_for(self, key: object = None) -> str:
        """Return the name for what `by` would return.

        Raises:
            BadOption: it is a limit of one job, or one for each key and there is none.
        """
        if self.name is None:
            raise BadOption("a limit needs a name to be held outside of jobs: Concurrent(5, name='api')")
        if key is None and self.by is not None:
            raise BadOption(f"the limit {self.name!r} is one for each key; say which: hold(key=…)")
        return self.name if key is None else _joined(self.name, key)

    def key(self, name: str) -> str:
        """Return the name of its key."""
        return f"sidelamb:limit:{self.KIND}:{name}"

    def keys(self, name: str) -> tuple[str, str, str]:
        """Return its key, and those where all limits are noted."""
        return self.key(name), LIMITS, NUMBERS

    @abstractmethod
    def taking(self, name: str, who: str, now: float, until: float) -> Effect:
        """Return the effect that takes one, for `who`, until epoch s `until` at most."""

    def hold(
        self, *, wait: float = 0.0, at_most: float = 60.0, client: Client | None = None, key: object = None
    ) -> AbstractContextManager[None]:
        """Be under this limit in a `with`, outside of jobs or in the middle of one.

        A plain `with limit:` is the same, and waits five seconds.

        Args:
            wait: seconds to wait for it.
            at_most: seconds after which a slot of `Concurrent` is taken back, if this process dies.
            client: through which; None for the process's.
            key: what `by` would return.

        Raises:
            OverLimit: it was not free in that time. A job that lets it out is put off, uncounted.
            BadOption: the limit has no name, which code outside of jobs needs, or no key.
            RedisError: Redis is away.
        """
        return holding.hold(self, key, wait, at_most, client)

    def ahold(
        self, *, wait: float = 0.0, at_most: float = 60.0, client: Client | None = None, key: object = None
    ) -> AbstractAsyncContextManager[None]:
        """Be under this limit in an `async with`, as `hold`; a plain `async with limit:` waits five seconds."""
        return holding.ahold(self, key, wait, at_most, client)

    def __enter__(self) -> None:
        held = self.hold(wait=holding.WITH_WAIT_S)
        held.__enter__()
        self._holds.add(held)

    def __exit__(self, *error: object) -> None:
        self._holds.pop().__exit__(*error)

    async def __aenter__(self) -> None:
        held = self.ahold(wait=holding.WITH_WAIT_S)
        await held.__aenter__()
        self._holds.add(held)

    async def __aexit__(self, *error: object) -> None:
        await self._holds.pop().__aexit__(*error)

    def starting(self, payload: Mapping[str, Any], now: float, until: float) -> Effect:
        """Return the effect that takes one for a job's run."""
        return self.taking(str(payload["limit"]), _holder(payload), now, until)

    def freeing(self, name: str, who: str) -> Effect | None:  # noqa: ARG002 - what is passed is not given back
        """Return the effect that gives it back; None if that is not how it works."""
        return None


class Concurrent(Limit):
    """So many at once.

    Args:
        most: how many.
        name, by: see `Limit`.
    """

    KIND = "concurrent"

    def __init__(self, most: int, *, name: str | None = None, by: Callable[..., object] | None = None) -> None:
        super().__init__(name, by)
        self.most = _count(most, "Concurrent")

    def taking(self, name: str, who: str, now: float, until: float) -> Effect:
        """Take a slot."""
        return self._hold(name, who, now, until, SLOT_WAIT_S)

    def starting(self, payload: Mapping[str, Any], now: float, until: float) -> Effect:
        """Take a slot for a job; without one it waits the longer, the longer it has waited."""
        waited_s = now - (epoch_s(payload.get("created_at")) or 0.0)
        wait_s = min(SLOT_WAIT_S, max(SOONEST_S, waited_s * WAITED_SHARE))
        return self._hold(str(payload["limit"]), _holder(payload), now, until, wait_s)

    def _hold(self, name: str, who: str, now: float, until: float, wait_s: float) -> Effect:
        args = (who, now, until, self.most, wait_s, name, f"{self.KIND}:{name}", str(self.most))
        return Effect("hold", self.keys(name), args)

    def freeing(self, name: str, who: str) -> Effect:
        """Give the slot back."""
        return Effect("free", (self.key(name),), (who,))

    def __repr__(self) -> str:
        return f"Concurrent({self.most}, name={self.name!r})"


class Window(Limit):
    """So many starts in any stretch of time of this length.

    Args:
        most: how many.
        per: seconds, or a timedelta.
        name, by: see `Limit`.
    """

    KIND = "window"

    def __init__(
        self,
        most: int,
        *,
        per: float | timedelta,
        name: str | None = None,
        by: Callable[..., object] | None = None,
    ) -> None:
        super().__init__(name, by)
        self.most = _count(most, "Window")
        self.per_s = _seconds(per, "per of Window")

    def taking(self, name: str, who: str, now: float, until: float) -> Effect:  # noqa: ARG002 - as all have it
        """Pass; each run of a job does so anew."""
        numbers = f"{self.most} {self.per_s!r}"
        args = (f"{who}/{now!r}", now, self.most, self.per_s, name, f"{self.KIND}:{name}", numbers)
        return Effect("pass", self.keys(name), args)

    def __repr__(self) -> str:
        return f"Window({self.most}, per={self.per_s:g}, name={self.name!r})"


class Bucket(Limit):
    """A rate, evenly: `rate` a `per`, and after quiet times `burst` at once.

    Args:
        rate: how many.
        per: seconds, or a timedelta, in which the bucket leaks so many.
        burst: how many at once; default `rate`.
        name, by: see `Limit`.
    """

    KIND = "bucket"

    def __init__(
        self,
        rate: int,
        *,
        per: float | timedelta = 1.0,
        burst: int | None = None,
        name: str | None = None,
        by: Callable[..., object] | None = None,
    ) -> None:
        super().__init__(name, by)
        self.rate = _count(rate, "Bucket")
        self.per_s = _seconds(per, "per of Bucket")
        self.burst = self.rate if burst is None else _count(burst, "burst of Bucket")

    def taking(self, name: str, who: str, now: float, until: float) -> Effect:  # noqa: ARG002 - as all have it
        """Fill it by one."""
        takes_s = self.per_s / self.rate
        args = (now, takes_s, self.burst, name, f"{self.KIND}:{name}", f"{self.burst} {takes_s!r}")
        return Effect("fill", self.keys(name), args)

    def __repr__(self) -> str:
        return f"Bucket({self.rate}, per={self.per_s:g}, burst={self.burst}, name={self.name!r})"


def marker(limit: Limit) -> Callable[[dict[str, Any], float | None], None]:
    """Return what names the limit in the payloads of a job: whoever ends a run gives back by these names."""

    def mark(payload: dict[str, Any], _: float | None) -> None:
        payload["limit"] = limit.named(payload)

    return mark


def beginning(*_: object) -> tuple[Effect, ...]:
    """Nothing: a job may wait under any limit."""
    return ()


def starting(payload: Mapping[str, Any], now: float, until: float, options: JobOptions) -> Iterator[Effect]:
    """Take one of the limit that the worker's code declares; the payload says only under which name."""
    if options.limit is not None:
        yield options.limit.starting(payload, now, until)


def ending(ended: Ended) -> Iterator[Effect]:
    """Give a slot back, whatever has ended the run. Without a slot, or under another limit, it does nothing."""
    yield Effect("free", (f"sidelamb:limit:concurrent:{ended.payload['limit']}",), (_holder(ended.payload),))


def _holder(payload: Mapping[str, Any]) -> str:
    return str(payload.get("jid"))


def _joined(name: str, key: object) -> str:
    """Return the name of one of the limits of a name. A key that would be no name stands there as its digest."""
    text = str(key)
    if len(text) > MOST_KEY or not text.isprintable():
        text = "sha256-" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{name}/{text}"


def _count(value: Any, what: str) -> int:
    if type(value) is not int or value < 1:
        raise BadOption(f"{what} is {shown(value)}; expected a whole number from 1")
    return value


def _seconds(value: Any, what: str) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise BadOption(f"{what} is {shown(value)}; expected seconds or a timedelta, more than 0")
    return float(seconds)
