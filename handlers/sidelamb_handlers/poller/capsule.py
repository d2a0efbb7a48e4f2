"""A capsule at work: takes jobs off its queues into leases, and flies each lease to the function.

One loop reserves for all free slots at once; each lease is then a task of its own until its aftermath is done.
When nothing waits the loop sleeps until a peek, a look, or a freed slot wakes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from typing import TYPE_CHECKING

import orjson

from sidelamb.errors import Malformed
from sidelamb.keys import source_of
from sidelamb.payload import decode
from sidelamb_handlers.decision import Decision, Outcome, with_effects
from sidelamb_handlers.event import MOST_BYTES, extra_bytes, write_event
from sidelamb_handlers.metrics import Tally
from sidelamb_handlers.poller.aftermath import Aftermath
from sidelamb_handlers.poller.circuit import Circuit
from sidelamb_handlers.poller.flight import START_WINDOW_S, Flight, new_lease_id
from sidelamb_handlers.poller.limit import Limit
from sidelamb_handlers.poller.order import queue_order
from sidelamb_handlers.poller.pack import Pack
from sidelamb_handlers.poller.releaser import Releaser
from sidelamb_handlers.poller.reply import Kind, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.store import Call, Claim, Held, Reserved, Store
    from sidelamb_handlers.config import CapsuleConfig
    from sidelamb_handlers.poller.invoker import Invoker
    from sidelamb_handlers.poller.patient import Patient

__all__ = ["Capsule"]

log = logging.getLogger("sidelamb.poller")

RESERVE_MOST = 500
"""Leases that one script call makes at most."""

DEEP = 300
"""So many brackets may be so many levels."""

NOT_JSON_MOST = 1_000
"""Bytes of a payload that is not JSON that a worker is shown; the whole of it stays in Redis."""

RETRY_FIRST_S = 0.1
RETRY_MOST_S = 3.0

_NOT_RUN = {Kind.THROTTLED, Kind.RATE_LIMITED, Kind.NOT_READY}


class Capsule:
    """Serves one capsule's queues.

    Args:
        config: function, queues and numbers.
        poller: this poller's identity.
        store, redis, invoker: the ways out.
    """

    def __init__(
        self, config: CapsuleConfig, poller: str, *, store: Store, redis: Patient, invoker: Invoker
    ) -> None:
        self.config = config
        self.metrics = Tally()
        """Attempts by class since the last heartbeat."""
        self._poller = poller
        self._store = store
        self._redis = redis
        self._invoker = invoker
        self.limit = Limit(config.in_flight)
        self.circuit = Circuit()
        self._pack = Pack(config.most_jobs, config.threads)
        self._aftermath = Aftermath(
            config,
            poller,
            store=store,
            redis=redis,
            releaser=Releaser(config.name, store, redis),
            launch=self._launch,
            wake=self.wake,
        )
        self.flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self.hungry = asyncio.Event()
        """Set while nothing waits and slots are free: the time to peek."""
        self._short = False
        """More waits than there is room for: a freed slot is news."""
        self._ids: list[str] = []
        """Lease ids of a reserve that is not answered yet."""
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self.held_back: tuple[str, ...] = ()
        """Queues with jobs that the last reserve found paused, or at their cap: no use to peek at them."""
        self.on_room: list[Callable[[], None]] = []
        """Called when a queue is not held back any more."""
        self._extra_bytes = extra_bytes(config.queues)

    # --- what others say -----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Say that there may be work."""
        self.hungry.clear()
        self._wake.set()

    def quiet(self) -> None:
        """Take no more jobs; what flies goes on."""
        self._stopping.set()
        self.wake()

    async def landed(self, within_s: float) -> bool:
        """Wait until nothing is being reserved and no flight is left; say whether that was so in time."""
        until = time.monotonic() + within_s
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), within_s)
        while self._tasks:
            left = until - time.monotonic()
            if left <= 0:
                return False
            await asyncio.wait(set(self._tasks), timeout=left)
        return True

    # --- the loop ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until told to be quiet."""
        self._ended.clear()
        try:
            await self._serve()
        finally:
            self._ended.set()

    async def _serve(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            room = self._room()
            if room > 0:
                reserved = await self._reserve(room)
                there_are_slots = reserved.waiting > 0 and reserved.in_use < self.config.in_flight
                if reserved.leases and (len(reserved.leases) >= room or there_are_slots):
                    continue
                self._short = reserved.waiting > 0
                self._hold_back(reserved.held_back)
                if not self._short and not self._wake.is_set():
                    self.hungry.set()
            else:
                self._short = True
            await self._sleep()

    async def _sleep(self) -> None:
        """Wait for news; while the circuit is open, at most until its next probe."""
        probe = self.circuit.wait_s(time.monotonic())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), probe if probe > 0 else None)

    def _hold_back(self, queues: tuple[str, ...]) -> None:
        had, self.held_back = self.held_back, queues
        if not set(had) <= set(queues):
            for call in self.on_room:
                call()

    def _room(self) -> int:
        if self.circuit.wait_s(time.monotonic()) > 0:
            return 0
        flying = len(self.flights)
        return min(RESERVE_MOST, self.circuit.room(self.limit.value - flying, flying))

    async def _reserve(self, room: int) -> Reserved:
        self._ids = self._ids or [new_lease_id(self.config.name) for _ in range(room)]
        start_by = 0.0

        def call() -> Call[Reserved]:
            nonlocal start_by
            start_by = time.time() + START_WINDOW_S  # anew for each try: an outage may be longer
            return self._store.reserve(
                self._ids,
                queue_order(self.config.queues, self.config.weights, random.random),
                capsule=self.config.name,
                poller=self._poller,
                expires=start_by,
                cap=self.config.in_flight,
                most_jobs=1 if self.circuit.is_open else self._pack.size,
                most_bytes=MOST_BYTES,
                extra_bytes=self._extra_bytes,
                caps=self.config.caps,
            )

        reserved = await self._redis.run(call)
        self._ids = []
        for held in reserved.leases:
            self._launch(Flight(held, start_by, self.config.timeout))
        return reserved

    # --- a flight ------------------------------------------------------------------------------------------

    def _launch(self, flight: Flight) -> None:
        self.flights[flight.lease.lease] = flight
        task = asyncio.create_task(self._fly(flight))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fly(self, flight: Flight) -> None:
        try:
            await self._bury_unsendable(flight.lease)
            if flight.lease.jobs:
                reply = await self._invoke(flight)
                self._learn(flight, reply, claimed=await self._aftermath.after(flight, reply))
        except Exception:
            log.exception("lease %s: its jobs come back at its deadline", flight.lease.lease)
        finally:
            del self.flights[flight.lease.lease]
            if self._short or not self.config.caps.keys().isdisjoint(self.held_back):
                self._wake.set()

    async def _bury_unsendable(self, held: Held) -> None:
        """Send to dead what does not fit into an event even alone."""
        if sum(map(len, held.jobs.values())) <= MOST_BYTES - self._extra_bytes * len(held.jobs):
            return
        buried = {}
        for field, raw in held.jobs.items():
            queue = source_of(field)[0]
            decision = _unsendable(raw, self._extra_bytes, queue)
            if decision is not None:
                buried[field] = decision
                log.error("queue %s: %s; the job goes to dead", queue, decision.reason)
        if buried:
            await self._aftermath.bury(held, buried)
            for field in buried:
                del held.jobs[field]

    async def _invoke(self, flight: Flight) -> Reply:
        """Invoke, again while Lambda says that nothing was run and there is time to start."""
        event = write_event(
            {field: _json(raw) for field, raw in flight.lease.jobs.items()},
            lease=flight.lease.lease,
            capsule=self.config.name,
            start_by=flight.start_by,
            deadline=flight.deadline,
            threads=self.config.threads,
            detached=self.config.detached,
            careful=flight.careful,
            capped=self.config.capped(flight.lease.jobs),
        )
        flight.invoked_at = time.time()
        if self.config.detached and not await self._claim_for(flight):
            return Reply(Kind.UNKNOWN, message="its lease could not be claimed")
        pause = RETRY_FIRST_S
        while True:
            reply = await self._invoker.invoke(self.config.function, event, timeout=flight.deadline - time.time())
            if reply.kind not in _NOT_RUN:
                return reply
            if reply.kind is not Kind.NOT_READY:
                self.limit.throttled(time.monotonic(), len(self.flights))
            if time.time() + pause > flight.start_by or self._stopping.is_set():
                return reply
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(RETRY_MOST_S, pause * 2)

    async def _claim_for(self, flight: Flight) -> bool:
        """Claim a lease for a worker that has no Redis; say whether it is ours."""
        flight.claimed_as = f"poller-{flight.lease.lease}"
        call = self._store.claim(
            flight.lease.lease, request_id=flight.claimed_as, now=time.time(), deadline=flight.deadline
        )
        claim: Claim = await self._redis.run(call)
        return bool(claim)

    def _learn(self, flight: Flight, reply: Reply, *, claimed: bool) -> None:
        """Adjust limit, pack and circuit to what an invocation has shown."""
        if reply.kind in _NOT_RUN:
            return
        if claimed:
            self.limit.answered()
            if reply.answer is not None:
                self._pack.ran(reply.answer.ran, reply.answer.ms)
                self.metrics.merge(reply.answer.metrics)
            now = time.monotonic()
            if self.circuit.closed_by_success(now - (time.time() - flight.invoked_at)):
                log.warning("capsule %s: its function works again", self.config.name)
                self._wake.set()
        elif self.circuit.failed(time.monotonic(), reply.message):
            log.error(
                "capsule %s: its function %s fails before it claims a job: %s; no job is charged, "
                "one at a time probes it until it works",
                self.config.name,
                self.config.function,
                reply.message,
            )


def _json(raw: bytes) -> bytes:
    """Return a payload as it is, or bytes that are not JSON as a JSON string: the worker buries them and tells."""
    try:
        orjson.loads(raw)
        if raw.count(b"[") + raw.count(b"{") > DEEP:
            json.loads(raw)  # Lambda's runtime reads with this one, which gives up much earlier
    except (ValueError, RecursionError):
        return orjson.dumps(raw[:NOT_JSON_MOST].decode(errors="replace"))
    return raw


def _unsendable(raw: bytes, extra: int, queue: str) -> Decision | None:
    """Return the decision for a payload that cannot be sent, None for one that can."""
    now = time.time()
    if len(raw) + extra <= MOST_BYTES:
        return None
    message = (
        f"its payload of {len(raw):,} bytes is over Lambda's limit of {MOST_BYTES:,}; "
        "store the data and send its id"
    )
    said = {"error_class": "PayloadTooLarge", "error_message": message, "failed_at": now, "retry_count": 0}
    changes = {"queue": queue, **said}
    decision = Decision(Outcome.DEAD, now, changes, failed=True, reason=message)
    try:
        return with_effects(decision, decode(raw), now)
    except Malformed:
        return decision
