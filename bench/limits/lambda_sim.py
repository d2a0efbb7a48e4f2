"""A simulated Lambda: `python -m bench.limits.lambda_sim REDIS_URL MEAN_S` answers each Invoke after a drawn time.

With a Redis URL it does what a worker does: claims the lease, and settles it when the time is over. With "-" it
answers with nothing in it, for those who only send. It counts invocations, and how long they are in flight.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from bench.helper import tell
from sidelamb.alink import AsyncLink
from sidelamb.store import Store
from sidelamb_local.http1 import Server

if TYPE_CHECKING:
    from sidelamb_local.http1 import Connection, Request

HOST = "127.0.0.1"
LEAST, MOST = 0.5, 1.5
"""A time is drawn evenly between these shares of the mean."""


class Lambda:
    """Serves invocations.

    Args:
        url: of Redis, or "-".
        mean_s: of the drawn times; 0 answers at once.
    """

    def __init__(self, url: str, mean_s: float) -> None:
        self._link = None if url == "-" else AsyncLink(url)
        self._store = Store()
        self._mean_s = mean_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._invocations = 0
        self._flying = 0
        self._flown_s = 0.0
        self._looked = time.monotonic()

    def requested(self, request: Request) -> None:
        """See `http1.Handler`."""
        if not self._mean_s:
            self._invocations += 1
            request.answer(HTTPStatus.OK, b"{}")
            return
        task = asyncio.create_task(self._invoked(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def disconnected(self, _: Connection) -> None:
        """See `http1.Handler`."""

    def counts(self) -> dict[str, Any]:
        """Return invocations that have ended, and seconds in flight of all together."""
        self._count(0)
        return {"invocations": self._invocations, "flown_s": self._flown_s, "flying": self._flying}

    async def _invoked(self, request: Request) -> None:
        event = orjson.loads(request.body or b"{}")
        took_s = self._mean_s * random.uniform(LEAST, MOST)
        self._count(1)
        if self._link is not None:
            now = time.time()
            claim = self._store.claim(event["lease"], request_id="sim", now=now, deadline=event["deadline"])
            await self._link.run(claim)
        await asyncio.sleep(took_s)
        self._count(-1)
        if self._link is not None:
            done = self._store.settle(
                event["lease"], event["capsule"], now=time.time(), done=event["fields"], request_id="sim"
            )
            await self._link.run(done)
        answer = {"sidelamb": 1, "lease": event["lease"], "status": "settled", "ran": len(event["fields"])}
        self._invocations += 1
        request.answer(HTTPStatus.OK, orjson.dumps({**answer, "ms": took_s * 1000}))

    def _count(self, more: int) -> None:
        now = time.monotonic()
        self._flown_s += self._flying * (now - self._looked)
        self._looked = now
        self._flying += more


async def serve(url: str, mean_s: float) -> None:
    """Serve until killed."""
    simulated = Lambda(url, mean_s)
    tell(await Server(simulated).open(HOST), simulated.counts)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
