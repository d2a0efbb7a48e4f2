"""A way to Redis that is as far as another zone: `python -m bench.proxy PORT DELAY_S`.

Every byte of a reply comes so much later, without holding up those behind it. It counts round trips: how often
a client said something after it had been answered. A line on stdin is answered with what was counted, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

__all__ = ["Proxy"]

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent


class Counts:
    """What went through."""

    round_trips = 0
    up = 0
    down = 0


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


class Proxy:
    """The proxy as a process of its own, from outside."""

    def __init__(self, port: int, delay_s: float) -> None:
        words = [sys.executable, "-m", "bench.proxy", str(port), str(delay_s)]
        self._process = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.port = int(self._answer()["port"])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def counts(self) -> dict[str, int]:
        """Return round trips, bytes up and down."""
        if self._process.stdin is not None:
            self._process.stdin.write("?\n")
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def _answer(self) -> dict[str, int]:
        found: dict[str, int] = json.loads(self._process.stdout.readline() if self._process.stdout else "{}")
        return found


async def serve(port: int, delay_s: float) -> None:
    """Serve until killed."""
    loop, counts = asyncio.get_running_loop(), Counts()
    server = await loop.create_server(lambda: Near(port, delay_s, counts), HOST, 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    threading.Thread(target=_tell, args=(counts,), daemon=True).start()
    await asyncio.Event().wait()


def _tell(counts: Counts) -> None:
    for _ in sys.stdin:
        said = {"round_trips": counts.round_trips, "up": counts.up, "down": counts.down}
        print(json.dumps(said), flush=True)


def main() -> None:
    """Run as a process; select() waits to the microsecond, epoll as Python uses it only to the millisecond."""
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve(int(sys.argv[1]), float(sys.argv[2])))


if __name__ == "__main__":
    main()
