"""A way to Redis that is as far as another zone: `python -m bench.proxy PORT DELAY_S`.

Every byte of a reply comes so much later, without holding up those behind it. It counts round trips: how often
a client said something after it had been answered. A line on stdin is answered with what was counted, as JSON.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from typing import Any

from bench.helper import Helper, tell

__all__ = ["Proxy"]

HOST = "127.0.0.1"


class Counts:
    """What went through."""

    round_trips = 0
    up = 0
    down = 0

    def told(self) -> dict[str, int]:
        """Return it."""
        return {"round_trips": self.round_trips, "up": self.up, "down": self.down}


class Near(asyncio.Protocol):
    """A client's connection, and the one to Redis that belongs to it."""

    def __init__(self, port: int, delay_s: float, counts: Counts) -> None:
        self._port, self._delay_s, self._counts = port, delay_s, counts
        self._loop = asyncio.get_running_loop()
        self._near: Any = None
        self._far: Any = None
        self._early: list[bytes] = []
        self._asking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to Redis too."""
        self._near = transport
        self._loop.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        """Pass on what the client says."""
        if not self._asking:
            self._asking = True
            self._counts.round_trips += 1
        self._counts.up += len(data)
        if self._far is None:
            self._early.append(data)
        else:
            self._far.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Nobody is there any more."""
        if self._far is not None:
            self._far.close()

    def answered(self, data: bytes) -> None:
        """Pass on what Redis says, later."""
        self._asking = False
        self._counts.down += len(data)
        if self._delay_s:
            self._loop.call_later(self._delay_s, self._near.write, data)
        else:
            self._near.write(data)

    def ended(self) -> None:
        """Redis has ended the connection."""
        self._loop.call_later(self._delay_s, self._near.close)

    async def _connect(self) -> None:
        self._far, _ = await self._loop.create_connection(lambda: Far(self), HOST, self._port)
        for data in self._early:
            self._far.write(data)


class Far(asyncio.Protocol):
    """The connection to Redis."""

    def __init__(self, near: Near) -> None:
        self._near = near

    def data_received(self, data: bytes) -> None:
        """Redis answers."""
        self._near.answered(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Redis has ended it."""
        self._near.ended()


class Proxy(Helper):
    """The proxy as a process of its own, from outside."""

    def __init__(self, port: int, delay_s: float) -> None:
        super().__init__("bench.proxy", port, delay_s)


async def serve(port: int, delay_s: float) -> None:
    """Serve until killed."""
    loop, counts = asyncio.get_running_loop(), Counts()
    server = await loop.create_server(lambda: Near(port, delay_s, counts), HOST, 0)
    tell(server.sockets[0].getsockname()[1], counts.told)
    await asyncio.Event().wait()


def main() -> None:
    """Run as a process; select() waits to the microsecond, epoll as Python uses it only to the millisecond."""
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve(int(sys.argv[1]), float(sys.argv[2])))


if __name__ == "__main__":
    main()
