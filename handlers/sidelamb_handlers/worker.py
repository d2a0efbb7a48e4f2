"""The Lambda function that runs jobs: `sidelamb_handlers.worker.handler`.

An invocation gets a lease with one or more jobs. The worker claims the lease in Redis (or runs nothing), runs
the jobs, and writes down what became of each. It waits for nobody's bookkeeping: when it answers, the lease is
usually gone.

Settings, from the environment:
    SIDELAMB_JOBS        modules with the app's jobs, comma-separated; imported at cold start. Required.
    SIDELAMB_REDIS_URL   the queue's Redis. Without it only detached capsules work.
    SIDELAMB_NAMESPACE   key prefix.
    SIDELAMB_TIMESTAMPS  how timestamps are written: float (seconds, the default) or ms (Sidekiq 8's own form).
    SIDELAMB_UNKNOWN_FOR seconds that a job of unknown name is put off before it counts as failed (3600).
    SIDELAMB_STACK       the stack's name: with it, metrics are written for CloudWatch.
    SIDELAMB_METRICS_BY_CLASS, SIDELAMB_LOG_SUCCESSES, SIDELAMB_LOG_ARGS, SIDELAMB_TRACER: see docs/observe.md.

A job runs only if it is registered by these modules; nothing is imported because a payload says so.
"""

from __future__ import annotations

import functools
import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from sidelamb import settings
from sidelamb.errors import ConfigError, RedisError
from sidelamb.hooks import invocation_ends, invocation_starts, sandbox_starts
from sidelamb.keys import source_of
from sidelamb.link import Link
from sidelamb.links import close_links
from sidelamb.registry import registry
from sidelamb.server import layers
from sidelamb.store import Claim, Store
from sidelamb_handlers.attempt import Attempt, Runner
from sidelamb_handlers.coldstart import once
from sidelamb_handlers.decision import cancelled
from sidelamb_handlers.ending import Ending
from sidelamb_handlers.event import Answer, Invocation, Status, read_event
from sidelamb_handlers.eventloop import KeptLoop
from sidelamb_handlers.figures import Figures
from sidelamb_handlers.gate import Gate
from sidelamb_handlers.joblog import JobLog, name_jobs
from sidelamb_handlers.leftovers import Leftovers
from sidelamb_handlers.metrics import Tally
from sidelamb_handlers.restored import when_restored
from sidelamb_handlers.settler import Settler
from sidelamb_handlers.states import States
from sidelamb_handlers.strays import Strays
from sidelamb_handlers.tracing import in_its_trace, telemetry_is_set_up, xray_layers
from sidelamb_handlers.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidelamb_handlers.decision import Decision

    _Read = list[tuple[Attempt, Callable[[], Decision] | None]]
    _Ended = tuple[Attempt, Decision]

__all__ = ["Worker", "handler"]

RETRY_S = 0.2
"""Between two tries to reach Redis at the end of an invocation."""

REDIS_TIMEOUTS = {"socket_connect_timeout": 0.5, "socket_timeout": 2.0}
"""Shorter than an app's: a worker has little time, and its claim and settle are safe to repeat."""


class Context(Protocol):
    """What the worker needs of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return milliseconds until Lambda ends the invocation."""


class Worker:
    """The worker of one sandbox: built at cold start, used by every invocation.

    Args:
        environ: where the settings are.
        link: the way to Redis; default one to the environment's.
        clock: epoch s.
        exit_process: ends the sandbox.

    Raises:
        ConfigError: a setting is missing or wrong.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        link: Link | None = None,
        clock: Callable[[], float] = time.time,
        exit_process: Callable[[int], Any] = os._exit,
    ) -> None:
        modules = [name.strip() for name in environ.get("SIDELAMB_JOBS", "").split(",") if name.strip()]
        if not modules:
            raise ConfigError(
                "SIDELAMB_JOBS is not set; name the modules with your jobs, like SIDELAMB_JOBS=app.jobs"
            )
        settings.timestamps()  # says now if it is wrong
        registry.load(modules)
        url = environ.get("SIDELAMB_REDIS_URL", "")
        self._link = link or (Link(url, **REDIS_TIMEOUTS) if url else None)
        self._store = Store(environ.get("SIDELAMB_NAMESPACE", ""))
        self._states = States(self._link, self._store.keys) if self._link else None
        self._loop = KeptLoop()
        self._clock = clock
        self._exit = exit_process
        self._runner = Runner(
            registry,
            self._loop.run,
            (*xray_layers(environ), *layers()),
            clock=clock,
            random=random.SystemRandom().random,
            unknown_for_s=_seconds(environ, "SIDELAMB_UNKNOWN_FOR", 3_600.0),
            gate=Gate(self._link, self._store, clock=clock, random=random.random) if self._link else None,
        )
        self.log = JobLog(environ)
        self._stack = environ.get("SIDELAMB_STACK", "")
        self._by_class = environ.get("SIDELAMB_METRICS_BY_CLASS", "").lower() == "true"
        self._figures: Figures | None = None
        self._started = False
        self._spoiled = False
        when_restored(environ, close_links)
        name_jobs()

    def handle(self, event: Any, context: Context) -> dict[str, Any]:
        """Run one invocation and return its answer."""
        if self._spoiled:
            self._exit(1)
        invocation = read_event(event)
        self._before()
        began = self._clock()
        end = began + context.get_remaining_time_in_millis() / 1000
        # With something random: a repeated request is not a repeated call of the script.
        token = f"{context.aws_request_id}/{os.urandom(4).hex()}{'/careful' if invocation.careful else ''}"
        claim, read = Claim.YES, functools.cache(lambda: self._read(invocation, token))
        refusal = self._refusal(invocation, began, end)
        if not refusal and not invocation.detached:
            until = Ending.of(began, end).stop_at
            claim, refusal = self._claim(invocation, token, began, until, meanwhile=read)
        if refusal:
            self.log.refused(invocation.lease, context.aws_request_id, refusal)
            return Answer(invocation.lease, Status.REFUSED, refusal).to_wire()
        answer, spoiled = self._run(invocation, read(), token, began, end, look=claim is Claim.LOOK)
        self.log.invoked()
        settled = answer.status == Status.SETTLED
        self._after(settled=settled)
        if spoiled:
            self._recycle(spoiled, settled=settled)
        return answer.to_wire()

    def _before(self) -> None:
        """Call the app's hooks. What they raise fails the invocation, before anything is claimed or charged."""
        if not self._started:
            for hook in sandbox_starts:
                hook()
            name_jobs()  # a hook may have set logging up, and OpenTelemetry
            if telemetry_is_set_up():
                self._runner.surround(in_its_trace)
            if "sidelamb.timetable" in sys.modules and self._link:
                from sidelamb_handlers.declaring import ask_for_it  # noqa: PLC0415 - only who has periodic jobs

                ask_for_it(self._link, self._store)
            self._started = True
        for hook in invocation_starts:
            hook()

    def _after(self, *, settled: bool) -> None:
        """Write the metrics down and call the app's hooks; these only if there is nothing left to be answered."""
        figures, self._figures = self._figures, None
        if figures is not None:
            sys.stdout.write("".join(figures.lines(self._clock())))
        for hook in invocation_ends if settled else ():
            try:
                hook()
            except BaseException:
                self.log.logger.exception("the hook %s failed", getattr(hook, "__qualname__", hook))

    def _refusal(self, job: Invocation, now: float, end: float) -> str:
        """Return why nothing may be run, or nothing."""
        if now > job.start_by:
            return f"started {now - job.start_by:.1f} s after start_by"
        if end > job.deadline:
            return (
                f"this invocation may live {end - job.deadline:.1f} s longer than its lease; "
                "give the capsule the function's timeout"
            )
        return ""

    def _claim(
        self, job: Invocation, token: str, now: float, until: float, *, meanwhile: Callable[[], object]
    ) -> tuple[Claim, str]:
        """Claim the lease, by epoch s `until`; return the answer, and why nothing may be run, or nothing."""
        if self._link is None:
            raise ConfigError("SIDELAMB_REDIS_URL is not set for the worker, and its capsule is not detached")
        claim = self._store.claim(job.lease, request_id=token, now=now, deadline=job.deadline)
        try:
            answer = self._link.run(claim, within_s=until - now, meanwhile=meanwhile)
        except RedisError as error:
            return Claim.NO, f"the lease could not be claimed: {error}"
        return answer, "" if answer else "the lease is gone or claimed by another request"

    def _run(
        self, job: Invocation, read: _Read, token: str, began: float, end: float, *, look: bool
    ) -> tuple[Answer, str]:
        """Return the answer, and why the sandbox cannot be used again; empty if it can."""
        settler = Settler(
            None if job.detached else self._link,
            self._store,
            lease=job.lease,
            capsule=job.capsule,
            request_id=token,
            jobs=len(job.fields),
            capped=job.capped,
            clock=self._clock,
        )
        tally = Tally()
        self._figures = Figures(self._stack, by_class=self._by_class) if self._stack else None
        left = Leftovers(None if job.detached else self._states)
        if look:
            left.look(job.jobs)
        attempts = self._sorted(read, settler, left)
        ending = Ending.of(began, end)
        strays = Strays()
        watch = Watch(
            attempts,
            self._runner,
            self._loop,
            settler,
            threads=job.threads,
            careful=job.careful,
            ending=ending,
            on_end=lambda ended: self._ended(ended, tally, left),
            clock=self._clock,
        )
        watch.run()
        # Swept before settling: what is given back may run elsewhere at once, so nothing may linger here.
        spoiled = self._spoiled_by(watch, strays, ending.sweep_s)
        settled = self._settle(settler, ending.settle_by)
        if settled:
            left.clear()
        answer = Answer(
            job.lease,
            Status.SETTLED if settled else Status.UNSETTLED,
            ran=watch.started,
            ms=(self._clock() - began) * 1000,
            outcomes=settler.pending,
            claim="" if settled else token,
            metrics=tally.to_wire(),
        )
        return answer, spoiled

    def _spoiled_by(self, watch: Watch, strays: Strays, within_s: float) -> str:
        """Return what might live on in a later invocation although it had `within_s` to end; empty if nothing."""
        until = time.monotonic() + within_s
        if not self._loop.sweep(within_s) or watch.stuck or watch.interrupted:
            return "a job had to be stopped"
        left = strays.left(until - time.monotonic())
        return f"a job has left threads running ({', '.join(left)})" if left else ""

    def _read(self, job: Invocation, token: str) -> _Read:
        """Return an attempt at each job, if it will not run with what decides about it; none is ours yet."""
        of_all = (token.partition("/")[0], job.lease, None if job.detached else self._states, token, job.deadline)
        read: _Read = []
        for field, payload in zip(job.fields, job.jobs, strict=True):
            attempt = Attempt(field, source_of(field)[0], payload, *of_all)
            read.append((attempt, self._runner.decode(attempt)))
        return read

    def _sorted(self, read: _Read, settler: Settler, left: Leftovers) -> list[Attempt]:
        """Return the attempts to run; note what becomes of the others."""
        attempts, ended = [], []
        for attempt, decide in read:
            if left.marked and (
                left.is_in_a_marked_batch(attempt)
                or (left.is_marked(attempt) and not self._runner.is_iterable(attempt))
            ):
                decision = cancelled(self._clock())
            elif decide is None:  # an iterable job sees by itself that it is marked, and tells its callbacks
                attempts.append(attempt)
                continue
            else:
                decision = decide()
            settler.add(attempt.field, decision, attempt.payload)
            left.ended(attempt, decision)
            ended.append((attempt, decision))
        self._note(ended)
        return attempts

    def _settle(self, settler: Settler, until: float) -> bool:
        """Write down what is pending, again and again while Redis is away and there is time."""
        while not settler.flush(until):
            if settler.trouble is None or self._clock() + RETRY_S > until:
                return False
            time.sleep(RETRY_S)
        return True

    def _recycle(self, why: str, *, settled: bool) -> None:
        """End this sandbox, so that nothing of a job wakes up in a later invocation.

        Unsettled outcomes need the answer first; then the next invocation ends it before it claims anything.
        """
        self.log.logger.warning("%s; this sandbox ends and a new one takes its place", why)
        sys.stdout.flush()
        sys.stderr.flush()
        if settled:
            self._exit(1)
        self._spoiled = True

    def _ended(self, ended: list[_Ended], tally: Tally, left: Leftovers) -> None:
        for attempt, decision in ended:
            if attempt.has_state:
                left.ended(attempt, decision)
            if attempt.started_at and decision.counted:
                name = attempt.payload["class"] if attempt.is_plain else attempt.name
                tally.add(name, (attempt.ended_at - attempt.started_at) * 1000, failed=decision.failed)
        self._note(ended)

    def _note(self, ended: list[_Ended]) -> None:
        """Have the log and the metrics know how jobs ended."""
        if self._figures is not None:
            for attempt, decision in ended:
                self._figures.add(attempt, decision)
        self.log.ended(ended)


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(environ.get(name) or default)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _MOST_SECONDS:
        raise ConfigError(f"{name} is {environ[name]!r}; expected seconds, like {name}={default:g}")
    return value


_MOST_SECONDS = 30 * 86_400.0


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Lambda's entry point."""
    return _worker().handle(event, context)


_worker = once(Worker)
