"""Being under a limit outside of jobs, or in the middle of one: `with api:` and `with api.hold(…):`."""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sidelamb.control import Snooze
from sidelamb.errors import SidelambError
from sidelamb.late import late_import
from sidelamb.store import Call, Numbered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sidelamb.client import Client
    from sidelamb.effects import Effect
    from sidelamb.keys import Keys
    from sidelamb.limits import Limit

__all__ = ["WITH_WAIT_S", "Holds", "OverLimit", "ahold", "hold", "take"]

LOOK_S = 0.05
"""Between two tries of who waits for a limit."""

WITH_WAIT_S = 5.0
"""How long a plain `with limit:` waits (as Sidekiq Enterprise's limiters do)."""


class OverLimit(Snooze, SidelambError):
    """The limit was not free in the time that was given.

    A job that lets it out is put off, uncounted, until there may be room.
    """

    def __init__(self, message: str, in_s: float = 1.0) -> None:
        super().__init__(in_s * random.uniform(1.0, 1.5), message)


class _Try:
    """One who wants to be under a limit."""

    def __init__(self, limit: Limit, key: object, wait: float, at_most: float, client: Client | None) -> None:
        self._limit, self._wait, self._at_most = limit, wait, at_most
        self._name = limit.named_for(key)
        self._who = f"held:{os.urandom(8).hex()}"
        self._end = time.monotonic() + wait
        self.client = client or _default_client()
        self._keys = self.client.store.keys

    def taking(self) -> Call[str]:
        now = time.time()
        return take(self._keys, self._limit.taking(self._name, self._who, now, now + self._at_most))

    def pause_s(self, answer: str) -> float:
        """Return for how long to wait before the next try; raises when the time is over."""
        left, in_s = self._end - time.monotonic(), float(answer.partition(" ")[0])
        if left <= 0:
            raise OverLimit(f"the limit {self._name!r} was not free within {self._wait:g} s", in_s)
        return min(left, LOOK_S, in_s)

    def freeing(self) -> Call[str] | None:
        effect = self._limit.freeing(self._name, self._who)
        return None if effect is None else take(self._keys, effect)


@contextmanager
def hold(limit: Limit, key: object, wait: float, at_most: float, client: Client | None) -> Iterator[None]:
    """Be under a limit; `Limit.hold` documents it."""
    mine = _Try(limit, key, wait, at_most, client)
    link = mine.client.link
    while answer := link.run(mine.taking()):
        time.sleep(mine.pause_s(answer))
    try:
        yield
    finally:
        free = mine.freeing()
        if free is not None:
            link.run(free)


@asynccontextmanager
async def ahold(
    limit: Limit, key: object, wait: float, at_most: float, client: Client | None
) -> AsyncIterator[None]:
    """Be under a limit, in async code."""
    mine = _Try(limit, key, wait, at_most, client)
    link = await mine.client.loop_link()
    while True:
        answer = await link.run(mine.taking())
        if not answer:
            break
        await asyncio.sleep(mine.pause_s(answer))
    try:
        yield
    finally:
        free = mine.freeing()
        if free is not None:
            await link.run(free)


class Holds:
    """What the threads and tasks that are within `with limit:` have to leave again, each its own."""

    def __init__(self) -> None:
        self._open: ContextVar[tuple[Any, ...]] = ContextVar("sidelamb.holds", default=())

    def add(self, held: Any) -> None:
        """Note one that was entered."""
        self._open.set((*self._open.get(), held))

    def pop(self) -> Any:
        """Return the one that was entered last."""
        *rest, last = self._open.get()
        self._open.set(tuple(rest))
        return last


def take(keys: Keys, effect: Effect) -> Call[str]:
    """Return the call that has one effect done outside of a job's life; reads what it refuses with, or nothing."""
    places = Numbered(keys, [])
    return Call("take", places.keys, places.effects("1", [effect]), lambda reply: reply.decode(errors="replace"))


def _default_client() -> Client:
    with late_import:
        from sidelamb.settings import default_client  # noqa: PLC0415 - settings import the client

    return default_client()
