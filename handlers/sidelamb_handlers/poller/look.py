"""The one look a second: what falls due, which lease expires, what waits.

It is the alarm clock of the scheduler function, which EventBridge cannot wake more often than once a minute,
and the backstop of the peeks. Several pollers agree in Redis on who wakes the scheduler. Who did looks again once
the scheduler is done: what falls due next, within this second, has its own time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from sidelamb.errors import RedisError
from sidelamb_handlers.poller.outage import Outage
from sidelamb_handlers.poller.reply import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidelamb.store import Look, Store
    from sidelamb_handlers.poller.capsule import Capsule
    from sidelamb_handlers.poller.invoker import Invoker
    from sidelamb_handlers.poller.patient import Patient
    from sidelamb_handlers.poller.peek import Peek

__all__ = ["Lookout"]

log = logging.getLogger("sidelamb.poller")

EVERY_S = 1.0
LEAST_S = 0.05
"""Between the end of a look and the next, if it took a second itself."""
WAKE_CLAIM_MS = 400
"""One wake of the scheduler in this time, whoever sends it."""
SURELY_MS = 10
"""So much later it is over for Redis too, which counts whole milliseconds: a wake refused is a second lost."""
BACKOFF_MOST_S = 30.0
"""Between wakes while the head of the line does not move."""
SCHEDULER_TIMEOUT_S = 70.0
SCHEDULER_EVENT = b'{"source":"sidelamb.poller"}'


class Lookout:
    """Looks once a second, tells capsules and peeks, and wakes the scheduler in time.

    Args:
        scheduler: the scheduler function's name, empty to leave it to its timer.
        queues: every queue that any capsule serves.
        capsules, peeks: whom to tell.
        store, redis, invoker: the ways out.
    """

    def __init__(
        self,
        scheduler: str,
        queues: Sequence[str],
        capsules: Sequence[Capsule],
        peeks: Sequence[Peek],
        *,
        store: Store,
        redis: Patient,
        invoker: Invoker,
    ) -> None:
        self._scheduler = scheduler
        self._queues = queues
        self._capsules = capsules
        self._peeks = peeks
        self._store = store
        self._redis = redis
        self._invoker = invoker
        self._waking: asyncio.Task[None] | None = None
        self._woken_for: float | None = None
        self._foreign: frozenset[str] = frozenset()
        self._not_before = 0.0
        self._claimed_until = 0.0
        self._backoff = EVERY_S
        self._done = asyncio.Event()
        """The scheduler has made the pass that it was woken for."""
        self._trouble = Outage(f"the scheduler function {scheduler}")
        self.looked_at = time.monotonic()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            began = time.monotonic()
            self._done.clear()
            look = await self._redis.run(self._store.look(self._queues))
            self.looked_at = time.monotonic()
            self._tell(look)
            self._mind(look)
            with contextlib.suppress(TimeoutError):
                left = EVERY_S - (time.monotonic() - began)
                await asyncio.wait_for(self._done.wait(), max(LEAST_S, left))

    def _tell(self, look: Look) -> None:
        for queue in sorted(look.foreign - self._foreign):
            key = self._store.keys.queue(queue).decode()
            log.warning("%s is no list, so its jobs do not run: another program uses it; rename or delete it", key)
        self._foreign = look.foreign
        for peek in self._peeks:
            peek.looked(look.waiting.get(peek.queue))
        for capsule in self._capsules:
            if any(look.waiting.get(queue) for queue in capsule.config.queues):
                capsule.wake()

    def _mind(self, look: Look) -> None:
        """Wake the scheduler for what is due before the next look, or expired."""
        alarms = [at for at in (look.due, look.expires, look.tick) if at is not None]
        if not self._scheduler or not alarms or (self._waking is not None and not self._waking.done()):
            return
        at, now = min(alarms), time.time()
        if at > now + EVERY_S:
            return
        if at == self._woken_for:
            self._backoff = min(BACKOFF_MOST_S, self._backoff * 2)
        else:
            self._woken_for, self._backoff = at, EVERY_S / 2
            self._not_before = 0.0
        if now < self._not_before:
            return
        self._not_before = now + self._backoff
        self._waking = asyncio.create_task(self._wake(max(0.0, at - now, self._claimed_until - now)))

    async def _wake(self, in_s: float) -> None:
        await asyncio.sleep(in_s)
        try:
            mine = await self._redis.link.command(b"SET", self._store.keys.wake, b"1", b"NX", b"PX", WAKE_CLAIM_MS)
        except RedisError:
            return  # the look itself says that Redis is away
        if not mine:
            return
        self._claimed_until = time.time() + (WAKE_CLAIM_MS + SURELY_MS) / 1000
        reply = await self._invoker.invoke(self._scheduler, SCHEDULER_EVENT, timeout=SCHEDULER_TIMEOUT_S)
        if reply.kind is Kind.ANSWERED or (reply.kind is Kind.UNKNOWN and "not a worker" in reply.message):
            self._trouble.worked()
            self._done.set()
        else:
            self._trouble.failed(RuntimeError(reply.message))
