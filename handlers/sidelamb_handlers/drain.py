"""Runs what waits in Redis in this process, for tests: `sidelamb.testing.drain`.

Reserve, claim, run, settle and the scheduler's pass are the real ones. What is missing is Lambda and its limits:
one job at a time, each alone in its lease, no sandbox that could be killed. Nothing is logged; what came of each
job is returned.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.control import Control
from sidelamb.errors import SidelambError
from sidelamb.testing.report import Drained, Ran
from sidelamb.times import epoch_seconds
from sidelamb_handlers.event import Status, write_event
from sidelamb_handlers.scheduler import Scheduler
from sidelamb_handlers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sidelamb.client import Client
    from sidelamb.store import Held
    from sidelamb_handlers.attempt import Attempt
    from sidelamb_handlers.decision import Decision

__all__ = ["drain"]

CAPSULE = "drain"
INVOCATION_S = 900.0
"""The longest that Lambda gives."""
MARGIN_S = 60.0
"""So much longer does the lease last."""

_ENVIRON = {"SIDELAMB_STACK": "", "SIDELAMB_REDIS_URL": "", "SIDELAMB_TRACER": "", "SIDELAMB_UNKNOWN_FOR": "0"}
"""No metrics, no traces, and no deploy is waited for that would bring a job of unknown name."""


def drain(
    *,
    queues: Iterable[str] | None,
    scheduled: bool,
    until: float | dt.datetime | dt.timedelta | None,
    raise_errors: bool,
    most: int,
    client: Client | None,
) -> Drained:
    """Run what waits; `sidelamb.testing.drain` documents it."""
    last = math.inf if scheduled and until is None else _epoch(until)
    draining = _Draining(client or settings.default_client(), queues)
    try:
        for count, _ in enumerate(draining.runs(last), 1):
            if count > most:
                raise SidelambError(
                    f"drain() has run {count} jobs and goes no further; the last: {draining.ran[-1]}. A job "
                    "that enqueues or puts off itself never ends: bound it with until=…, or allow more with most=…"
                )
    finally:
        draining.close()
    drained = Drained(tuple(draining.ran))
    if raise_errors:
        _raise_first(drained)
    return drained


class _Clock:
    """The time, gone forward to whatever is scheduled next."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s

    def forward(self, at: float) -> None:
        self.ahead_s = max(self.ahead_s, at - time.time())


class _Noting(Worker):
    """A worker that notes what came of its jobs, and writes no line about it."""

    def __init__(self, client: Client, clock: _Clock, noted: list[Ran]) -> None:
        self.ended = False
        self._noted = noted
        named = {
            "SIDELAMB_JOBS": os.environ.get("SIDELAMB_JOBS") or "sidelamb"
        }  # or only what is imported already
        environ = {**os.environ, **_ENVIRON, **named, "SIDELAMB_NAMESPACE": client.store.keys.namespace}
        super().__init__(environ, link=client.link, clock=clock, exit_process=self._end)

    def close(self) -> None:
        """End what the jobs ran on."""
        self._loop.close()

    def _end(self, _status: int) -> None:
        self.ended = True

    def _note(self, ended: list[tuple[Attempt, Decision]]) -> None:
        self._noted += [_ran(attempt, decision) for attempt, decision in ended]


class _Context:
    """Lambda's context object: all the time there is."""

    def __init__(self) -> None:
        self.aws_request_id = f"drain-{os.urandom(4).hex()}"

    def get_remaining_time_in_millis(self) -> int:
        return int(INVOCATION_S * 1000)


class _Draining:
    """One run through all that waits."""

    def __init__(self, client: Client, queues: Iterable[str] | None) -> None:
        self._client = client
        self._queues = None if queues is None else list(queues)
        self._clock = _Clock()
        self._scheduler = Scheduler(client.link, client.store, clock=self._clock)
        if "sidelamb.timetable" in sys.modules:
            _declare(client, self._clock())
        self.ran: list[Ran] = []
        self._worker: _Noting | None = None

    def runs(self, last: float | None) -> Iterator[None]:
        """Run job after job, up to epoch s `last`, None for what is due now; gives None after each."""
        while True:
            made = self._scheduler.make_pass(self._clock() + INVOCATION_S)
            moved = made.promoted + made.to_dead + made.reaped + made.ticked + made.planned
            while self._run_next():
                moved += 1
                yield
            due = self._due(last)
            if due is None or due > (self._clock() if last is None else last):
                return
            if not moved and due <= self._clock():
                return  # what cannot be promoted stays
            self._clock.forward(due)

    def _due(self, last: float | None) -> float | None:
        """Return when the next entry is due, or, up to a time, for they go on for ever, the next periodic job."""
        look = self._client.link.run(self._client.store.look(()))
        times = [look.due, None if last == math.inf or (look.tick or 0) < 0 else look.tick]
        return min((at for at in times if at is not None), default=None)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()

    def _run_next(self) -> bool:
        """Run the next job; say whether there was one."""
        client, now = self._client, self._clock()
        reserve = client.store.reserve(
            (f"{CAPSULE}:{os.urandom(6).hex()}",),
            self._names(),
            capsule=CAPSULE,
            poller=CAPSULE,
            expires=now + INVOCATION_S + MARGIN_S,
            cap=1,
            most_jobs=1,
            most_bytes=settings.LARGEST_MAX_PAYLOAD,
        )
        leases = client.link.run(reserve).leases
        for held in leases:
            self._invoke(held, now)
        return bool(leases)

    def _names(self) -> list[str]:
        if self._queues is not None:
            return self._queues
        names = self._client.link.command("SMEMBERS", self._client.store.keys.queues)
        return sorted(name.decode(errors="replace") for name in names)

    def _invoke(self, held: Held, now: float) -> None:
        if self._worker is None or self._worker.ended:
            self.close()
            self._worker = _Noting(self._client, self._clock, self.ran)
        deadline = now + INVOCATION_S + MARGIN_S
        event = write_event(
            held.jobs, lease=held.lease, capsule=CAPSULE, start_by=now + MARGIN_S, deadline=deadline
        )
        answer = self._worker.handle(json.loads(event), _Context())
        if answer["status"] != Status.SETTLED:
            raise SidelambError(
                f"drain() could not settle a job: {answer.get('reason') or 'Redis was away'}; "
                f"it is in the lease {held.lease} still"
            )


def _declare(client: Client, now: float) -> None:
    """Write down what this process declares as periodic."""
    from sidelamb.timetable import declared, records_of  # noqa: PLC0415 - only where something is periodic
    from sidelamb.timetable_calls import TimetableCalls  # noqa: PLC0415 - the same

    if declared:
        client.link.run(TimetableCalls(client.store.keys).sync(records_of("app", declared.values()), now))


def _epoch(until: float | dt.datetime | dt.timedelta | None) -> float | None:
    if isinstance(until, dt.timedelta):
        return time.time() + until.total_seconds()
    return None if until is None else epoch_seconds(until, "drain(until=…)")


def _ran(a: Attempt, decision: Decision) -> Ran:
    payload: dict[str, Any] = a.payload if isinstance(a.payload, dict) else {}
    error = a.error
    if error is None and decision.failed:
        error = SidelambError(str(decision.changes.get("error_message") or decision.reason))
    return Ran(
        name=a.name,
        jid=a.jid,
        queue=a.queue,
        attempt=a.attempt if payload else 1,
        outcome=decision.outcome.value,
        failed=decision.failed,
        error=error,
        args=payload.get("args", ()) if payload.get("sealed") is None else ("[encrypted]",),
        kwargs=payload.get("kwargs", {}),
    )


def _raise_first(drained: Drained) -> None:
    wrong = [run for run in drained if run.failed and run.error and not isinstance(run.error, Control)]
    if not wrong:
        return
    first = wrong[0]
    assert first.error is not None  # noqa: S101 - chosen for it
    more = f", and {len(wrong) - 1} more runs failed" if len(wrong) > 1 else ""
    first.error.add_note(
        f"raised by the job {first.name} ({first.jid}), attempt {first.attempt}, outcome {first.outcome}{more}; "
        "drain(raise_errors=False) returns it instead"
    )
    raise first.error
