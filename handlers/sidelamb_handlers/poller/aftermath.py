"""What to do with a lease once its invocation has answered, died, or been lost.

The lease is read before anyone is blamed: empty means done, unclaimed means nothing ran, whatever the answer
was. Only an answer that proves the sandbox gone leads to blame: a job that was alone is charged, several are
narrowed down. A claimed lease whose invocation may still live is left to its deadline.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING

from sidelamb.errors import RedisError
from sidelamb.keys import source_of
from sidelamb.store import keep
from sidelamb_handlers.decision import Decision, changed_fields, move, split
from sidelamb_handlers.event import Status
from sidelamb_handlers.failure import killed_raw
from sidelamb_handlers.givenup import tell
from sidelamb_handlers.poller.flight import START_WINDOW_S, Flight, new_lease_id
from sidelamb_handlers.poller.reply import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.store import Held, Store
    from sidelamb_handlers.config import CapsuleConfig
    from sidelamb_handlers.poller.patient import Patient
    from sidelamb_handlers.poller.releaser import Releaser
    from sidelamb_handlers.poller.reply import Reply

__all__ = ["Aftermath"]

log = logging.getLogger("sidelamb.poller")


class Aftermath:
    """Decides and writes what becomes of flights of one capsule.

    Args:
        config: its function, for messages, and which queues have a cap.
        poller: this poller's identity.
        store, redis, releaser: the ways to write.
        launch: starts a new flight.
        wake: says that there is work, where no peek would notice.
    """

    def __init__(
        self,
        config: CapsuleConfig,
        poller: str,
        *,
        store: Store,
        redis: Patient,
        releaser: Releaser,
        launch: Callable[[Flight], None],
        wake: Callable[[], None],
    ) -> None:
        self._function = config.function
        self._capped = config.capped
        self._poller = poller
        self._store = store
        self._redis = redis
        self._releaser = releaser
        self._launch = launch
        self._wake = wake

    async def after(self, flight: Flight, reply: Reply) -> bool:  # noqa: PLR0911 - a table of cases
        """Deal with a reply; say whether the invocation got as far as claiming its lease."""
        answer = reply.answer if reply.answer and reply.answer.lease == flight.lease.lease else None
        if answer is not None and answer.status == Status.SETTLED:
            return True
        if answer is not None and answer.status == Status.UNSETTLED:
            await self._settle_for(flight, answer.outcomes, flight.claimed_as or answer.claim)
            return True
        held = await self._redis.run(self._store.lease(flight.lease.lease))
        if not held.jobs:
            return True
        if not held.claim:
            await self._releaser.release(flight)
            return False
        if held.request_id in {reply.request_id, flight.claimed_as}:
            if answer is not None or (flight.claimed_as and reply.proves_nothing_ran):
                await self._give_back(held)
                return False
            if reply.kind is Kind.SANDBOX_GONE:
                await self._blame(held, reply, flight)
                return True
        log.warning(
            "%s: %s; lease %s is claimed and may be running, so it waits for its deadline",
            self._function,
            reply.message,
            held.lease,
        )
        return True

    async def bury(self, held: Held, decisions: dict[str, Decision]) -> None:
        """Write down decisions about jobs that cannot be sent at all."""
        await self._settle(held, decisions, "")

    async def _settle_for(self, flight: Flight, outcomes: dict[str, Decision], request_id: str) -> None:
        """Write down what a worker could not, until its lease's deadline."""
        held = flight.lease
        try:
            changed = changed_fields(outcomes)
            stored = await self._redis.run(self._store.payloads(held.lease, changed), until=flight.deadline)
            done, moves = split(outcomes, stored)
            call = self._store.settle(
                held.lease, held.capsule, now=time.time(), done=done, moves=moves, request_id=request_id
            )
            settled = await self._redis.run(call, until=flight.deadline)
            tell(log.error, held.lease, settled.given_up)
        except RedisError as error:
            log.error("outcomes of lease %s could not be written before its deadline: %s", held.lease, error)  # noqa: TRY400

    async def _give_back(self, held: Held, *, alone: bool = False) -> None:
        """Return the jobs of a lease uncharged, to be served alone if so."""
        moves = [keep(field, alone=alone) for field in reversed(held.jobs)]
        call = self._store.settle(held.lease, held.capsule, now=time.time(), moves=moves, request_id=held.token)
        await self._redis.run(call)

    async def _blame(self, held: Held, reply: Reply, flight: Flight) -> None:
        if len(held.jobs) > 1:
            await self._narrow(held, reply, flight)
            return
        field, raw = next(iter(held.jobs.items()))
        if not held.ran_alone:
            log.warning("%s: %s; the last of its jobs is run again alone", self._function, reply.message)
            await self._give_back(held, alone=True)
            self._wake()
            return
        message = (
            f"{reply.message}; request {reply.request_id} of {self._function}, "
            f"its log is in /aws/lambda/{self._function}"
        )
        queue = source_of(field)[0]
        decision = killed_raw(raw, message, queue=queue, now=time.time(), random=random.random)
        log.warning("%s", decision.reason)
        await self._settle(held, {field: decision}, held.token)
        self._wake()

    async def _narrow(self, held: Held, reply: Reply, flight: Flight) -> None:
        """Split a dead invocation's jobs into two leases, and send both, to be run with care.

        One that was run with care already has settled every job but the one that ended it, which comes first.
        """
        log.warning(
            "%s: %s; one of %d jobs ended the sandbox, looking for it (nobody is charged)",
            self._function,
            reply.message,
            len(held.jobs),
        )
        start_by = time.time() + START_WINDOW_S
        ids = (new_lease_id(held.capsule), new_lease_id(held.capsule))
        first = 1 if held.was_careful else (len(held.jobs) + 1) // 2
        call = self._store.narrow(
            held,
            ids,
            first=first,
            request_id=held.token,
            poller=self._poller,
            expires=start_by,
            capped=self._capped(held.jobs),
        )
        for half in await self._redis.run(call):
            self._launch(Flight(half, start_by, flight.timeout, careful=True))

    async def _settle(self, held: Held, decisions: dict[str, Decision], request_id: str) -> None:
        moves = [move(field, decision, held.jobs[field]) for field, decision in decisions.items()]
        call = self._store.settle(held.lease, held.capsule, now=time.time(), moves=moves, request_id=request_id)
        settled = await self._redis.run(call)
        tell(log.error, held.lease, settled.given_up)
