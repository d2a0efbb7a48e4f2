"""Waits for a job without polling: a blocking look at the head of each queue.

`BLMOVE q q RIGHT RIGHT` moves a queue's last element onto its own place: it blocks while the queue is empty,
wakes within a millisecond of a push, and changes nothing. A queue is peeked at only while its capsule is
hungry, has nothing and has room.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidelamb.errors import RedisError

if TYPE_CHECKING:
    from sidelamb.keys import Keys
    from sidelamb_handlers.poller.capsule import Capsule
    from sidelamb_handlers.poller.patient import Patient

__all__ = ["Peek"]

BLOCK_S = 240
"""Redis answers nothing after this time; shorter than the 350 s after which a NAT drops a silent connection."""


class Peek:
    """Peeks at one queue for one capsule."""

    def __init__(self, capsule: Capsule, queue: str, keys: Keys, redis: Patient) -> None:
        self.queue = queue
        self._capsule = capsule
        self._key = keys.queue(queue)
        self._redis = redis
        self._looked = asyncio.Event()
        capsule.on_room.append(self._looked.set)
        self._peeking: asyncio.Task[bool] | None = None
        self._paused = False

    def looked(self, waiting: int | None) -> None:
        """Take the result of a look: how many jobs wait, None if the queue is paused.

        Jobs that wait while the peek is silent mean that its connection is dead: it is made anew.
        """
        self._paused = waiting is None
        if waiting and self._peeking is not None:
            self._peeking.cancel()
        self._looked.set()

    async def run(self) -> None:
        """Peek whenever the capsule is hungry, for ever."""
        while True:
            await self._capsule.hungry.wait()
            if self._paused or self.queue in self._capsule.held_back:
                await self._next_look()
                continue
            self._peeking = asyncio.create_task(self._peek())
            try:
                found = await asyncio.shield(self._peeking)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    self._peeking.cancel()
                    raise
                found = False  # it was the peek that was cancelled, to be made anew
            finally:
                self._peeking = None
            if found:
                self._capsule.wake()
                await asyncio.sleep(0)

    async def _peek(self) -> bool:
        """Return whether the queue has something; wait for the next look if Redis does not allow it."""
        key = self._key
        try:
            head = await self._redis.link.command(
                b"BLMOVE", key, key, b"RIGHT", b"RIGHT", BLOCK_S, timeout=BLOCK_S + 10.0
            )
        except RedisError:
            await self._next_look()  # full, away or broken: the look is the way to learn of jobs
            return False
        return head is not None

    async def _next_look(self) -> None:
        self._looked.clear()
        await self._looked.wait()
