"""Puts leases back that were not run, together and in order, so that the queue's order survives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidelamb.store import Store
    from sidelamb_handlers.poller.flight import Flight
    from sidelamb_handlers.poller.patient import Patient

__all__ = ["Releaser"]

GATHER_S = 0.02
"""What comes within this time goes back in one script."""


class Releaser:
    """Collects flights of one capsule and releases them, the oldest to the very head of its queue."""

    def __init__(self, capsule: str, store: Store, redis: Patient) -> None:
        self._capsule = capsule
        self._store = store
        self._redis = redis
        self._waiting: list[tuple[Flight, asyncio.Future[int]]] = []
        self._task: asyncio.Task[None] | None = None

    async def release(self, flight: Flight) -> int:
        """Return how many jobs of a flight went back: 0 if it was claimed, or is gone."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((flight, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        await asyncio.sleep(GATHER_S)
        while self._waiting:
            batch = sorted(self._waiting, key=lambda pair: pair[0].order)
            self._waiting = []
            leases = [flight.lease for flight, _ in batch]
            counts = await self._redis.run(self._store.release(self._capsule, leases))
            for (_, future), count in zip(batch, counts, strict=True):
                if not future.done():
                    future.set_result(count)
