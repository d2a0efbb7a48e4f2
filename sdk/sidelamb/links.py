"""The links of this process: one for each Redis URL, and for each running event loop its own async one.

A process with many clients of one Redis has one pool of connections. Links connect when they are first used,
so that sharing them across a fork is harmless.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from sidelamb.late import late_import
from sidelamb.link import Link
from sidelamb.target import Target, target_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sidelamb.alink import AsyncLink
    from sidelamb.target import RedisTarget

__all__ = ["LoopLink", "LoopLinks", "close_links", "link_to", "loop_links_to"]

_links: dict[str, Link] = {}
_loop_links: dict[str, LoopLinks] = {}


def link_to(target: RedisTarget | Target) -> Link:
    """Return the link to a Redis URL, the same for the same URL; or a new one like a redis-py client.

    Raises:
        ConfigError: `target` is neither.
    """
    if isinstance(target, str):
        found = _links.get(target)
        return found or _links.setdefault(target, Link(target))
    return Link(target)


def close_links() -> None:
    """Close the connections of all shared blocking links; the next calls open new ones."""
    for link in list(_links.values()):
        link.close()


def loop_links_to(target: RedisTarget | Target) -> LoopLinks:
    """Return the async links to a target, the same for the same URL."""
    if isinstance(target, str):
        return _loop_links.get(target) or _loop_links.setdefault(target, LoopLinks(target_of(target)))
    return LoopLinks(target_of(target))


class LoopLink(NamedTuple):
    """What one event loop has."""

    link: AsyncLink
    life: AsyncGenerator[None, None]
    """Closes the link when it is closed itself."""


class LoopLinks:
    """Async links to one Redis, one for each event loop that is running.

    A loop's link is closed when the loop ends: asyncio closes async generators then, and each link is held by
    one. Of a loop that was closed without that, the link is only forgotten.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._links: dict[asyncio.AbstractEventLoop, LoopLink] = {}

    async def here(self) -> LoopLink:
        """Return the link of the running loop."""
        loop = asyncio.get_running_loop()
        return self._links.get(loop) or await self._open(loop)

    async def close(self) -> None:
        """Close the link of the running loop; the next call opens a new one."""
        found = self._links.get(asyncio.get_running_loop())
        if found:
            await found.life.aclose()

    async def _open(self, loop: asyncio.AbstractEventLoop) -> LoopLink:
        with late_import:
            from sidelamb.alink import AsyncLink  # noqa: PLC0415 - only async code needs it

        link = AsyncLink(self._target)
        opened = LoopLink(link, self._life(loop, link))
        for other in [other for other in list(self._links) if other.is_closed()]:
            self._links.pop(other, None)
        self._links[loop] = opened
        await anext(opened.life)
        return opened

    async def _life(self, loop: asyncio.AbstractEventLoop, link: AsyncLink) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._links.pop(loop, None)
            await link.close()
