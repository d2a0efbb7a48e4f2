"""Writes the outcomes of one lease's jobs down in Redis, as a group commit.

Outcomes are collected and written in one or two round trips: one for successes alone, which need no names if they
are all that is left in the lease; one more to read the bytes of the jobs whose payload changes. If Redis is away
nothing is dropped: they stay pending, and are either written by a later flush or handed to the poller in the
answer.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sidelamb.effects import Effect
from sidelamb.errors import RedisError
from sidelamb.keys import source_of
from sidelamb_handlers.decision import SUCCEEDED, changed_fields, split, with_effects
from sidelamb_handlers.givenup import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sidelamb.link import Link
    from sidelamb.store import Store
    from sidelamb_handlers.decision import Decision

__all__ = ["Settler"]

log = logging.getLogger("sidelamb.worker")


class Settler:
    """Collects decisions for one lease and flushes them.

    Args:
        link: the way to Redis, None for a worker without one (everything stays pending).
        store: the transitions.
        lease, capsule, request_id: whose outcomes these are.
        jobs: how many are in the lease.
        capped: queues with a cap, whose jobs each make room when they leave it.
        clock: epoch s.
    """

    def __init__(
        self,
        link: Link | None,
        store: Store,
        *,
        lease: str,
        capsule: str,
        request_id: str,
        jobs: int = 0,
        capped: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._link = link
        self._store = store
        self._lease = lease
        self._capsule = capsule
        self._request_id = request_id
        self._jobs = jobs
        self._capped = capped
        self._clock = clock
        self._names: dict[str, str] = {}
        self.pending: dict[str, Decision] = {}
        self.trouble: RedisError | None = None
        """Why the last flush failed; None if it did not."""

    def add(
        self,
        field: str,
        decision: Decision,
        payload: Any = None,
        result: Any = None,
        error: BaseException | None = None,
    ) -> None:
        """Note what became of a job; with its payload, what it returned or its error, also for its features."""
        if payload is not None:
            decision = with_effects(decision, payload, self._clock(), result, error)
            if decision.effects:
                self._names[field] = f"{payload.get('class')} {payload.get('jid')}"
        if self._capped and (queue := source_of(field)[0]) in self._capped:
            leave = Effect("leave", (f"sidelamb:in-flight:{queue}",), (self._lease,))
            decision = replace(decision, effects=(*decision.effects, leave))
        self.pending[field] = decision

    def flush(self, until: float) -> bool:
        """Try once to write all pending decisions down; say whether nothing is pending any more.

        Args:
            until: epoch s after which no reply is waited for.
        """
        if not self.pending:
            return True
        if self._link is None:
            return False
        batch = dict(self.pending)
        try:
            self._write(self._link, batch, until)
        except RedisError as error:
            self.trouble = error
            return False
        self.trouble = None
        for field in batch:
            del self.pending[field]
        self._jobs -= len(batch)
        return True

    def _write(self, link: Link, batch: dict[str, Decision], until: float) -> None:
        if len(batch) == self._jobs and all(decision is SUCCEEDED for decision in batch.values()):
            finish = self._store.finish(
                self._lease, self._capsule, now=self._clock(), jobs=len(batch), request_id=self._request_id
            )
            if link.run(finish, within_s=until - self._clock()):
                return
        changed = changed_fields(batch)
        stored = {}
        if changed:
            call = self._store.payloads(self._lease, changed)
            stored = link.run(call, within_s=until - self._clock())
        done, moves = split(batch, stored)
        settle = self._store.settle(
            self._lease,
            self._capsule,
            now=self._clock(),
            done=done,
            moves=moves,
            request_id=self._request_id,
        )
        settled = link.run(settle, within_s=until - self._clock())
        if settled.given_up:
            tell(log.error, self._lease, settled.given_up, self._names)
