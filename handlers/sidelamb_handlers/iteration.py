"""One execution of an iterable job: goes on where the last one stopped, and leaves its place for the next.

Between two items, and never within one, it writes its cursor down (every few seconds), sees that it was cancelled,
or stops because its time is nearly over. The state is removed by whoever has settled the job, not here: until then
the job may have to go on from it.

`begin`, `run` and `conclude` (or `keep`, after an error) run on the job's thread, and so do the job's callbacks;
`arun` runs on the event loop. `stop_before` is the watch's, from its own thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from sidelamb.control import JobTimeout
from sidelamb.errors import JobError, RedisError, RedisRefused
from sidelamb.iteration import tell
from sidelamb.payload import encode
from sidelamb.state import State
from sidelamb.values import are_plain, explain_field
from sidelamb_handlers.decision import cancelled, interrupted, returned

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from sidelamb.job import Job
    from sidelamb_handlers.attempt import Attempt
    from sidelamb_handlers.states import States

__all__ = ["Iteration"]

log = logging.getLogger("sidelamb.worker")

CHECKPOINT_S = 5.0
"""Between two checkpoints (Sidekiq's): what may be done twice after a crash."""

LEAD_MOST_S = 2.0
LEAD_LEAST_S = 0.4
LEAD_SHARE = 0.1
"""So long before it would be cut short, by its share of the time it has, an execution stops between two items."""

LEAD_ITEMS = 1.25
"""The same, in times of the longest item so far: the next may be as long."""

STALLED_MOST = 5
"""Executions in a row that may be interrupted without having moved the cursor."""

KEEP_WITHIN_S = 0.5
"""How long a job that failed waits for Redis: it may have been stopped, with little time left."""

AGAIN_S = 0.1
"""Between two tries to write the last checkpoint of an execution."""


class Iteration:
    """Drives one generator.

    Args:
        attempt: the attempt it belongs to. Its `decision` is set if the job is not through.
        job: the job, with its callbacks.
        states: the way to its state; None for a worker without Redis: it then runs through, or not at all.
        clock: epoch s.
    """

    def __init__(
        self, attempt: Attempt, job: Job[..., Any], states: States | None, clock: Callable[[], float]
    ) -> None:
        self._attempt = attempt
        self._job = job
        self._states = states if attempt.jid else None
        self._clock = clock
        self._jid = attempt.jid
        self._found = State()
        self._cursor = self._found.cursor
        self._began = self._item_began = clock()
        self._checkpoint_at = self._began + CHECKPOINT_S
        self._longest_s = 0.0
        self._must_stop = False
        self._stop_until = 0.0
        self._is_cancelled = False
        self._is_through = False
        self.items = 0
        """Items done by this execution."""

    @property
    def executions(self) -> int:
        """How often the job was started, this execution included."""
        return self._found.executions + 1

    @property
    def cursor(self) -> Any:
        """What the job has yielded last, over all executions."""
        return orjson.loads(self._cursor)

    # --- the watch's -------------------------------------------------------------------------------------

    def stop_before(self, limit: float, now: float) -> None:
        """Stop at the next item if `limit` is near: the epoch second at which the job will be cut short."""
        if self._states is None or self._must_stop:
            return
        has = limit - self._began
        lead = max(LEAD_LEAST_S, min(LEAD_MOST_S, LEAD_SHARE * has), LEAD_ITEMS * self._longest_s)
        if now >= limit - min(lead, has / 2):
            self._stop_until = limit - AGAIN_S
            self._must_stop = True

    # --- the job's thread --------------------------------------------------------------------------------

    def begin(self) -> dict[str, Any] | None:
        """Read the state; return the keyword arguments to go on with, or None if nothing is to be run.

        Raises:
            JobError: there is a state that cannot be understood. Starting from the beginning would be wrong.
        """
        if self._states is not None and not self._read(self._states):
            return None
        self._attempt.has_state = self._states is not None
        if self._found.cancelled:
            self._is_cancelled = True
            self.conclude()
            return None
        tell(self._job, "start" if self.executions == 1 else "resume", self._attempt)
        self._began = self._item_began = self._clock()
        return {} if self._cursor == b"null" else {"cursor": self.cursor}

    def conclude(self) -> None:
        """Say what the end of this execution means, after the generator has ended or was stopped.

        Raises:
            JobTimeout: it was interrupted again and again at the same cursor.
        """
        if self._is_cancelled:
            tell(self._job, "cancel", self._attempt)
            self._attempt.decision = cancelled(self._clock())
        elif self._is_through or self._states is None:
            tell(self._job, "complete", self._attempt)
        else:
            self._interrupt(self._states)

    def keep(self) -> None:
        """Write the cursor down after an error, so that a retry goes on from it."""
        if self._states is not None and self.items:
            try:
                self._states.write(self._jid, self._state(), KEEP_WITHIN_S)
            except RedisError as error:
                self._unwritten(error)

    # --- the generator -----------------------------------------------------------------------------------

    def run(self, items: Generator[Any, Any, Any]) -> None:
        """Run through the items, or until it is time to stop."""
        with closing(items):
            for cursor in items:
                if self._is_due(cursor) and self._checkpoint():
                    return
        self._is_through = True

    async def arun(self, items: AsyncGenerator[Any, Any]) -> None:
        """`run` for an async generator; the event loop does not wait for Redis."""
        async with aclosing(items):
            async for cursor in items:
                if self._is_due(cursor) and await asyncio.to_thread(self._checkpoint):
                    return
        self._is_through = True

    def _is_due(self, cursor: Any) -> bool:
        """Note that an item is done; say whether something is to be done before the next."""
        now = self._clock()
        self._longest_s = max(self._longest_s, now - self._item_began)
        self._item_began = now
        self.items += 1
        # Encoded at once: a list that the job goes on changing must not run ahead of the items.
        self._cursor = self._encoded(cursor)
        return self._must_stop or now >= self._checkpoint_at

    def _checkpoint(self) -> bool:
        """Write the cursor down unless the execution ends with that; say whether it is to stop."""
        if self._states is None:
            self._checkpoint_at = float("inf")
            return False
        if self._must_stop:
            return True
        try:
            self._is_cancelled = self._states.write(self._jid, self._state())
        except RedisError as error:
            self._unwritten(error)
        self._item_began = self._clock()
        self._checkpoint_at = self._item_began + CHECKPOINT_S
        return self._is_cancelled

    # --- the state ---------------------------------------------------------------------------------------

    def _read(self, states: States) -> bool:
        try:
            self._found = states.read(self._jid)
        except RedisRefused as error:
            raise JobError(f"{self._job.name}: the state it-{self._jid} cannot be read. {error}") from error
        except RedisError as error:
            self._attempt.decision = returned(f"its state could not be read: {error}")
            return False
        try:
            self._cursor = encode(orjson.loads(self._found.cursor))
        except ValueError:
            text = self._found.cursor[:100].decode(errors="replace")
            raise JobError(
                f"{self._job.name}: the cursor in it-{self._jid} is not JSON: {text!r}; "
                "delete that key to have the job start from the beginning"
            ) from None
        self._found = replace(self._found, cursor=self._cursor)
        return True

    def _state(self, stalled: int = 0) -> State:
        ran_s = self._found.runtime_s + self._clock() - self._began
        return State(self.executions, self._cursor, ran_s, stalled)

    def _interrupt(self, states: States) -> None:
        """End this execution so that the job goes on in another."""
        stalled = 0 if self._cursor != self._found.cursor else self._found.stalled + 1
        fails = stalled >= STALLED_MOST
        if self._write_last(states, self._state(0 if fails else stalled)):
            self._is_cancelled = True
            self.conclude()
            return
        if fails:
            raise JobTimeout(
                f"{self._job.name} made no progress in {stalled} executions: each was interrupted at the cursor "
                f"{self._cursor[:100].decode(errors='replace')}. Make its items smaller, or its timeout longer"
            )
        tell(self._job, "stop", self._attempt)
        self._attempt.decision = interrupted(
            self._attempt.payload, self._clock(), f"it goes on after {self.items} items"
        )

    def _write_last(self, states: States, state: State) -> bool:
        """Write the last checkpoint, again and again while there is time; say whether the job was cancelled."""
        while True:
            left = self._stop_until - self._clock()
            try:
                return states.write(self._jid, state, max(AGAIN_S, left))
            except RedisError as error:
                if left < 2 * AGAIN_S:
                    self._unwritten(error)
                    return False
            time.sleep(AGAIN_S)

    def _unwritten(self, error: RedisError) -> None:
        log.warning(
            "the cursor of %s %s could not be written down (%s); if it is not later, the items since the last "
            "checkpoint will be done again",
            self._job.name,
            self._jid,
            error,
        )

    def _encoded(self, cursor: Any) -> bytes:
        try:
            if are_plain((cursor,)):
                return encode(cursor)
        except TypeError:
            pass
        raise explain_field(self._job.name, "cursor", cursor)
