"""Says what becomes of a job that failed, or that will not run, and tells the app's hooks.

A job's own word comes first (`Retry`, `Snooze`, `Discard`, `Kill`), then its declaration (`backoff`,
`on_exhausted`), then Sidekiq's rules. What an app's own code does wrong here is logged and stops nothing.
"""

from __future__ import annotations

import logging
import traceback
from concurrent.futures import CancelledError
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sidelamb.control import Control, Discard, JobTimeout, Kill, Retry, Snooze
from sidelamb.errors import Malformed, SidelambError
from sidelamb.hooks import call_hooks, death_hooks, error_hooks
from sidelamb.lenient import number
from sidelamb.payload import queue_of
from sidelamb.wording import did_you_mean
from sidelamb_handlers.decision import Decision, Outcome
from sidelamb_handlers.failure import DEFAULT_RETRIES, Failure, message_of, on_failure, remembering
from sidelamb_handlers.foreign import mended

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidelamb.registry import Registry
    from sidelamb_handlers.attempt import Attempt

__all__ = ["Judge", "SandboxKilled", "UnknownJob"]

log = logging.getLogger("sidelamb.worker")

UNKNOWN_AGAIN_S = 10.0
"""Seconds until a job of unknown name is looked at again."""

MOST_BACKOFF_S = 365 * 86_400.0
"""A backoff beyond a year is a mistake."""

_NONE: Mapping[str, Any] = MappingProxyType({})


class UnknownJob(SidelambError):
    """No job of this name was registered for as long as one waits for a deploy."""


class SandboxKilled(SidelambError):
    """The job ended its sandbox, again and again."""


class Judge:
    """Decides, for one sandbox.

    Args:
        registry: the jobs this worker knows.
        clock: epoch s.
        random: in [0, 1).
        unknown_for_s: how long a job whose name nobody knows is put off.
    """

    def __init__(
        self, registry: Registry, *, clock: Callable[[], float], random: Callable[[], float], unknown_for_s: float
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._random = random
        self._unknown_for_s = unknown_for_s

    # --- jobs that failed --------------------------------------------------------------------------------

    def decide(self, a: Attempt, error: BaseException) -> Decision:
        """Return what an error means for a job."""
        try:
            return self._decide(a, error)
        except Exception as broken:  # an app's own exception that breaks when it is looked at
            return self._failed(a, broken)

    def _decide(self, a: Attempt, error: BaseException) -> Decision:
        match error := _word_in(error):
            case Snooze():
                return self._put_off(a, self._clock() + error.in_s, message_of(error))
            case Discard():
                return Decision(Outcome.DISCARDED, self._clock(), reason=message_of(error))
            case Kill():
                return self._failed(a, error, payload={**a.payload, "retry": 0, "retry_for": None})
            case Retry():
                return self._failed(a, error, delay_s=error.in_s)
            case CancelledError():
                return self._failed(a, JobTimeout("the job was cancelled"))
            case _:
                return self._failed(a, error, delay_s=self._backoff(a, error))

    def _failed(
        self, a: Attempt, error: BaseException, *, delay_s: float | None = None, payload: Any = None
    ) -> Decision:
        call_hooks(error_hooks, a.payload, error)
        options, now = a.job.options if a.job else None, self._clock()
        decision = on_failure(
            payload or a.payload,
            _failure(error, wanted=bool(a.payload.get("backtrace"))),
            queue=a.queue,
            now=now,
            random=self._random,
            default_retries=options.max_retries if options else DEFAULT_RETRIES,
            default_dead=options.on_exhausted == "dead" if options else True,
            delay_s=delay_s,
        )
        decision = remembering(decision, a.payload, now, _ran_ms(a, now))
        if decision.outcome is Outcome.RETRY:
            return replace(decision, changes={**decision.changes, **_known_again(a)})
        return self._buried(a, error, decision)

    def _backoff(self, a: Attempt, error: BaseException) -> float | None:
        """Return the seconds that the job's own backoff says, None for Sidekiq's formula."""
        own = a.job.options.backoff if a.job else None
        if own is None:
            return None
        try:
            said = own(a.attempt, error)
        except JobTimeout:
            raise
        except BaseException:
            log.exception("the backoff of %s failed; Sidekiq's formula takes its place", a.name)
            return None
        seconds = number(said.total_seconds() if isinstance(said, timedelta) else said)
        if said is None or (seconds is not None and 0 <= seconds <= MOST_BACKOFF_S):
            return seconds
        log.error("the backoff of %s returned %r; Sidekiq's formula takes its place", a.name, said)
        return None

    def _buried(self, a: Attempt, error: BaseException, decision: Decision) -> Decision:
        """Ask the job's own hook whether to keep a dead job, and tell all who want to know of its death."""
        hook = a.job.options.exhausted_hook if a.job else None
        payload = {**a.payload, **decision.changes}
        has_used_up = decision.outcome is Outcome.DEAD or a.payload.get("retry") is not False
        if hook is not None and has_used_up:
            try:
                if hook(dict(payload), error) == "discard" and decision.outcome is Outcome.DEAD:
                    decision = Decision(
                        Outcome.DISCARDED, self._clock(), failed=True, reason="on_exhausted said so"
                    )
            except JobTimeout:
                raise
            except BaseException:
                log.exception("on_exhausted of %s failed; its job ends as if it had said nothing", a.name)
        if decision.outcome is Outcome.DISCARDED:
            payload["discarded_at"] = round(self._clock() * 1000)
            decision = replace(decision, changes={})  # nobody stores it
        call_hooks(death_hooks, payload, error)
        return decision

    # --- jobs that will not run --------------------------------------------------------------------------

    def malformed(self, a: Attempt, why: str) -> Decision:
        """Return the decision for what is no job: to dead, as it is or with fields that the dead page needs."""
        payload = a.payload if isinstance(a.payload, dict) else {"raw": a.payload}
        error = Malformed(f"not a job: {why}")
        call_hooks(error_hooks, payload, error)
        now = self._clock()
        if not isinstance(a.payload, dict):
            return Decision(Outcome.DEAD, now, counted=False, reason=str(error))
        if not isinstance(a.payload.get("class"), str):
            return Decision(
                Outcome.DEAD, now, _mending(a, queue_of(a.payload, a.queue)), counted=False, reason=str(error)
            )
        changes = {
            "queue": a.queue,
            "error_class": "Malformed",
            "error_message": f"{why}; not run",
            "failed_at": now,
        }
        call_hooks(death_hooks, {**payload, **changes}, error)
        return Decision(Outcome.DEAD, now, changes, failed=True, reason=str(error))

    def laid_to_rest(self, a: Attempt) -> Decision:
        """Return the decision for a job that ended its sandbox too often: its failure is written down already."""
        now = self._clock()
        error = SandboxKilled(str(a.payload.get("error_message", "")) or None)
        keeps = a.payload["dead"] if isinstance(a.payload.get("dead"), bool) else self._keeps_dead(a)
        if a.payload.get("retry") is False or not keeps:
            decision = Decision(Outcome.DISCARDED, now, counted=False, reason=str(error))
        else:
            decision = Decision(Outcome.DEAD, now, {"doomed": False}, counted=False, reason=str(error))
        call_hooks(error_hooks, a.payload, error)
        return self._buried(a, error, decision)

    def expired(self) -> Decision:
        """Return the decision for a job whose time is over: counted, logged, not run and not retried."""
        return Decision(Outcome.DISCARDED, self._clock(), reason="expired before it was started")

    def unknown(self, a: Attempt) -> Decision:
        """Return the decision for a name that nobody here knows: most often a deploy is under way."""
        now = self._clock()
        since = min(now, number(a.payload.get("unknown_since")) or now)
        who = self._who(a.name)
        if now - since < self._unknown_for_s:
            return self._put_off(a, now + UNKNOWN_AGAIN_S, who, {"unknown_since": since})
        retry = 0 if a.payload.get("retry") is False else a.payload.get("retry")
        return self._failed(a, UnknownJob(who), payload={**a.payload, "retry": retry, "dead": True})

    def _keeps_dead(self, a: Attempt) -> bool:
        return a.job is None or a.job.options.on_exhausted == "dead"

    def _put_off(self, a: Attempt, at: float, reason: str, changes: Mapping[str, Any] = _NONE) -> Decision:
        """Return the decision to look at a job again at `at`, in the queue it came from."""
        home = {"queue": a.queue} if a.payload.get("queue") != a.queue else _mending(a, a.queue)
        changes = {**_known_again(a), **home, **changes}
        return Decision(Outcome.SNOOZED, at, changes, counted=False, reason=reason)

    def _who(self, name: str) -> str:
        modules = ", ".join(self._registry.modules()) or "none"
        near = did_you_mean(name, self._registry.names())
        return f"no job is named {name!r} here (modules loaded: {modules}).{near}"


def _word_in(error: BaseException) -> BaseException:
    """Return the job's word if it was raised in a task group, which wraps it; else the error as it is."""
    inner = error
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner if isinstance(inner, Control) else error


def _known_again(a: Attempt) -> dict[str, Any]:
    """Return a change that forgets that a job was unknown once: it may be so for as long again."""
    return {"unknown_since": None} if a.job and a.payload.get("unknown_since") is not None else {}


def _ran_ms(a: Attempt, now: float) -> float | None:
    """Return for how long an attempt has run; None for one that did not start."""
    return ((a.ended_at or now) - a.started_at) * 1000 if a.started_at else None


def _mending(a: Attempt, queue: str) -> dict[str, Any]:
    """Return a change that has the payload written anew, and so made clean, if it must be; else none."""
    return {"queue": queue} if mended(a.payload) else {}


def _failure(error: BaseException, *, wanted: bool) -> Failure:
    cls = type(error)
    module = "" if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}."
    lines: tuple[str, ...] = ()
    if wanted:
        frames = traceback.extract_tb(error.__traceback__)
        lines = tuple(f"{f.filename}:{f.lineno}:in {f.name}".replace("<", "(").replace(">", ")") for f in frames)
    return Failure(f"{module}{cls.__qualname__}".replace("<locals>.", ""), message_of(error), lines)
