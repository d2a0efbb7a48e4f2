"""One way to write what is done both from blocking and from async code.

An operation is a generator that yields what it asks of Redis and is sent the answers. `blocking` and `awaiting`
make of it the method for each world:

    def _size(self) -> Steps[int]:
        (n,) = yield self._calls.read((key, "LLEN"))
        return n

    size, asize = blocking(_size), awaiting(_size)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from sidelamb.api.calls import Calls
from sidelamb.settings import default_client
from sidelamb.store import Call

if TYPE_CHECKING:
    from sidelamb.client import Client
    from sidelamb.link import Link

__all__ = ["Has", "Steps", "View", "awaiting", "blocking"]

T = TypeVar("T")
P = ParamSpec("P")
V = TypeVar("V", bound="Has")
Step = Call[Any] | tuple[bytes | str | int, ...]
"""A script, or one plain command."""
Steps = Generator[Step, Any, T]


class Has(Protocol):
    """What goes through a client."""

    @property
    def _client(self) -> Client: ...


class Linked(Protocol):
    """What has a blocking way to Redis: a client, or what a worker has."""

    @property
    def link(self) -> Link: ...


class View:
    """What looks at one part of Redis through a client.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def __init__(self, client: Client | None = None) -> None:
        self._client = client or default_client()
        self._keys = self._client.store.keys
        self._calls = Calls(self._keys)

    def _now(self) -> float:
        return self._client.now()


def run(client: Linked, steps: Steps[T]) -> T:
    """Carry out an operation from blocking code."""
    try:
        step = next(steps)
        while True:
            answer = client.link.run(step) if isinstance(step, Call) else client.link.command(*step)
            step = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def arun(client: Client, steps: Steps[T]) -> T:
    """Carry out an operation from async code."""
    link = (await client._loop_links.here()).link  # noqa: SLF001 - the client's own, as its async verbs use it
    try:
        step = next(steps)
        while True:
            answer = await (link.run(step) if isinstance(step, Call) else link.command(*step))
            step = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


def blocking(steps: Callable[Concatenate[V, P], Steps[T]]) -> Callable[Concatenate[V, P], T]:
    """Return the blocking method of an operation."""

    @functools.wraps(steps)
    def method(self: V, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(self._client, steps(self, *args, **kwargs))

    return method


def awaiting(
    steps: Callable[Concatenate[V, P], Steps[T]],
) -> Callable[Concatenate[V, P], Coroutine[Any, Any, T]]:
    """Return the async method of an operation."""

    @functools.wraps(steps)
    async def method(self: V, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await arun(self._client, steps(self, *args, **kwargs))

    return method
