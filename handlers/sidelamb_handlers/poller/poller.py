"""The poller: a small process that is always there, moves jobs, and runs none.

It puts capsules, peeks, the lookout and the heartbeat together on one event loop, and stops as Sidekiq does:
TSTP takes no more jobs, TERM waits a while for what flies and leaves the rest to its workers and leases. A
restart loses and repeats nothing. Several pollers may run at once; nothing needs a leader.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from sidelamb.alink import AsyncLink
from sidelamb.store import Store
from sidelamb_handlers.poller.capsule import Capsule
from sidelamb_handlers.poller.figures import Figures
from sidelamb_handlers.poller.heartbeat import Heartbeat, new_identity
from sidelamb_handlers.poller.look import Lookout
from sidelamb_handlers.poller.patient import REPLY_TIMEOUT_S, Patient
from sidelamb_handlers.poller.peek import Peek
from sidelamb_handlers.poller.startup import check, recount

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sidelamb_handlers.config import Config
    from sidelamb_handlers.poller.invoker import Invoker

__all__ = ["Poller"]

log = logging.getLogger("sidelamb.poller")


class Poller:
    """One poller.

    Args:
        config: what to serve.
        invoker: the way to Lambda.
    """

    def __init__(self, config: Config, invoker: Invoker) -> None:
        self.config = config
        self.identity = new_identity()
        self._store = Store(config.namespace)
        self._link = AsyncLink(config.redis, socket_timeout=REPLY_TIMEOUT_S)
        self._redis = Patient(self._link)
        self.capsules = [
            Capsule(c, self.identity, store=self._store, redis=self._redis, invoker=invoker)
            for c in config.capsules
        ]
        peeks = [Peek(c, q, self._store.keys, self._redis) for c in self.capsules for q in c.config.queues]
        self._lookout = Lookout(
            config.scheduler,
            config.queues,
            self.capsules,
            peeks,
            store=self._store,
            redis=self._redis,
            invoker=invoker,
        )
        self._heartbeat = Heartbeat(
            self.identity, self.capsules, store=self._store, redis=self._redis, on_signal=self.signal
        )
        self._figures = Figures(os.environ.get("SIDELAMB_STACK", ""), self.capsules)
        self._background = [
            *(p.run for p in peeks),
            self._lookout.run,
            self._heartbeat.run,
            self._figures.run,
        ]
        self._stop = asyncio.Event()

    def signal(self, name: str) -> None:
        """Obey a signal: TSTP quiets, TERM and INT stop, others are ignored."""
        if name in {"TSTP", "TERM", "INT"} and not self._heartbeat.is_quiet:
            log.warning("%s: taking no more jobs", name)
            self._heartbeat.is_quiet = True
            for capsule in self.capsules:
                capsule.quiet()
        if name in {"TERM", "INT"}:
            self._stop.set()

    async def run(self) -> None:
        """Serve until TERM or INT; then wait for what flies, up to `stop_timeout`."""
        self._listen()
        self._report()
        checked = asyncio.create_task(self._check())
        every = [*self._background, *(capsule.run for capsule in self.capsules)]
        tasks = [checked, *(asyncio.create_task(_after(checked, run)) for run in every)]
        watch = asyncio.create_task(_first_failure(tasks))
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({watch, stop}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()
            await self._land()
        finally:
            await _end({*tasks, watch, stop})
            self._figures.write()
            await self._heartbeat.gone()
            await self._link.close()

    async def _check(self) -> None:
        await check(self._redis, self._store)
        await recount(self._redis, self._store, {q for c in self.config.capsules for q in c.caps})

    async def _land(self) -> None:
        until = time.monotonic() + self.config.stop_timeout
        for capsule in self.capsules:
            await capsule.landed(max(0.0, until - time.monotonic()))
        left = sum(len(capsule.flights) for capsule in self.capsules)
        if left:
            log.warning("%d invocations are still running; their workers settle them", left)
        log.warning("stopped")

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP):
            loop.add_signal_handler(number, self.signal, number.name.removeprefix("SIG"))

    def _report(self) -> None:
        """Say what is served."""
        for capsule in self.config.capsules:
            log.info(
                "capsule %s: %s → %s, %d in flight, %d jobs each, %d at once",
                capsule.name,
                ", ".join(capsule.queues),
                capsule.function,
                capsule.in_flight,
                capsule.most_jobs,
                capsule.threads,
            )
        caps = {queue: cap for capsule in self.config.capsules for queue, cap in capsule.caps.items()}
        for queue, cap in caps.items():
            log.info("queue %s: at most %d jobs in flight", queue, cap)


async def _after(checked: asyncio.Task[None], run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run once Redis has been checked; not at all if nothing can work on it."""
    await asyncio.wait([checked])
    if not checked.cancelled() and checked.exception() is None:
        await run()


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended: before Python 3.12 wait_for may swallow a cancellation."""
    left = tasks
    for _ in range(10):
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)
        if not left:
            break
    for task in tasks - left:
        if not task.cancelled():
            task.exception()  # looked at, so that nobody complains


async def _first_failure(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for the first task that fails, and raise its error; ends when all have ended well."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
    await asyncio.Event().wait()
