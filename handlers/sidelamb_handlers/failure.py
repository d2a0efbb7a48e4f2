"""What Sidekiq decides when a job fails: retry, die or vanish, and the fields it writes.

The rules are Sidekiq's own, field by field, so that its Web UI reads our entries: 25 retries by default,
count⁴ + 15 seconds apart plus jitter, about 20 days in all; `retry: 0` straight to dead, `retry: false`
nowhere. Beside them one rule of ours: three sandboxes killed, and the job is dead.

Pure: clock and randomness are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sidelamb.errors import Malformed
from sidelamb.late import late_import
from sidelamb.lenient import epoch_s, number, whole
from sidelamb.payload import decode
from sidelamb_handlers.backtrace import compressed
from sidelamb_handlers.decision import Decision, Outcome, with_effects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "KILLS_MOST",
    "Failure",
    "killed",
    "killed_raw",
    "message_of",
    "on_failure",
    "remembering",
    "retry_delay",
    "retry_limit",
]

DEFAULT_RETRIES = 25
"""Sidekiq's default; the 26th failure is the last."""

ERROR_MESSAGE_MOST = 10_000
"""Characters of an error message that are kept (Sidekiq's limit)."""

KILLS_MOST = 3
"""A job that ended its sandbox so many times is dead, whatever its retries."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is written into a payload."""

    error_class: str
    message: str
    backtrace: tuple[str, ...] = ()


def on_failure(
    payload: Mapping[str, Any],
    failure: Failure,
    *,
    queue: str,
    now: float,
    random: Callable[[], float],
    default_retries: int = DEFAULT_RETRIES,
    default_dead: bool = True,
    delay_s: float | None = None,
) -> Decision:
    """Return what becomes of a job whose attempt failed. One whose `dead` is false has changes for hooks to see.

    Args:
        payload: as it came off the queue.
        failure: what went wrong.
        queue: the queue it came from.
        now: epoch s.
        random: returns a float in [0, 1).
        default_retries: for a payload without a usable `retry`.
        default_dead: for a payload without `dead`.
        delay_s: seconds to the next attempt, None for Sidekiq's formula.
    """
    changes = _fields(payload, failure, queue, now)
    limit = retry_limit(payload.get("retry"), default_retries)
    if limit is None:
        return Decision(Outcome.DISCARDED, now, failed=True, reason="retry is false")
    if _exhausted(payload, changes, limit, now):
        keeps = payload["dead"] if isinstance(payload.get("dead"), bool) else default_dead
        if not keeps:
            why = "retries exhausted, dead is false"
            return Decision(Outcome.DISCARDED, now, changes, failed=True, reason=why)
        return Decision(Outcome.DEAD, now, changes, failed=True)
    if delay_s is None:
        delay_s = retry_delay(changes["retry_count"], random)
    return Decision(Outcome.RETRY, now + delay_s, changes, failed=True)


def remembering(decision: Decision, payload: Mapping[str, Any], now: float, ms: float | None = None) -> Decision:
    """Return the decision about a job that failed, with the row of this run in its `failures`.

    Args:
        decision: as Sidekiq's rules have it.
        payload: as it came off the queue.
        now: epoch s.
        ms: milliseconds that it ran, None if nobody knows.
    """
    changes = decision.changes
    if "error_class" not in changes:  # nobody stores it
        return decision
    with late_import:
        from sidelamb.failures import FIELD, added  # noqa: PLC0415 - only for jobs that fail

    attempt = changes["retry_count"] + 1
    kept = added(payload.get(FIELD), attempt, now, ms, changes["error_class"])
    return decision if kept is None else replace(decision, changes={**changes, FIELD: kept})


def message_of(error: BaseException) -> str:
    """Return an error's message, whatever an app's own exception does when it is asked for it."""
    try:
        return str(error)
    except Exception:
        return "(its message could not be made)"


def killed(
    payload: Mapping[str, Any],
    message: str,
    *,
    queue: str,
    now: float,
    random: Callable[[], float],
) -> Decision:
    """Return what becomes of a job that ended its sandbox. It is charged with a failed attempt.

    The first time it runs again at once, alone; the second time it waits as after any failure. After the third,
    or when its retries are used up, it is *doomed*: the next worker does not run it but lays it to rest, with the
    app's own hooks, which only a worker has.
    """
    count = 1 + (whole(payload.get("kills")) or 0)
    failure = Failure("SandboxKilled", f"{message} (kill {count} of {KILLS_MOST})")
    decision = on_failure(payload, failure, queue=queue, now=now, random=random)
    changes = {**_fields(payload, failure, queue, now), "kills": count}
    who = f"{payload.get('class', '?')} {payload.get('jid', '?')} ended its sandbox"
    if payload.get("doomed") is True:  # even laying it to rest ends the sandbox: no hook can be asked
        if decision.outcome is Outcome.DISCARDED:
            return replace(decision, changes={})
        return Decision(Outcome.DEAD, now, changes | {"doomed": False}, failed=True, reason=f"{who}, doomed")
    if decision.outcome is not Outcome.RETRY or count >= KILLS_MOST:
        return _back(changes | {"doomed": True}, f"{who} and goes to dead: {failure.message}")
    if count == 1:
        return _back(changes, f"{who}, it runs again at once: {failure.message}")
    return Decision(Outcome.RETRY, decision.at, changes, failed=True, reason=f"{who}: {failure.message}")


def _back(changes: Mapping[str, Any], reason: str) -> Decision:
    return Decision(Outcome.RETURNED, 0.0, changes, failed=True, alone=True, reason=reason)


def killed_raw(raw: bytes, message: str, *, queue: str, now: float, random: Callable[[], float]) -> Decision:
    """Return what becomes of stored bytes that ended their sandbox; what cannot be read goes to dead as it is."""
    try:
        payload = decode(raw)
    except Malformed as error:
        return Decision(Outcome.DEAD, now, counted=False, reason=str(error))
    decision = killed(payload, message, queue=queue, now=now, random=random)
    return with_effects(remembering(decision, payload, now), payload, now)


def retry_limit(retry: Any, default: int = DEFAULT_RETRIES) -> int | None:
    """Return how many retries `retry` allows, None for no retry and no dead set."""
    value = default if retry is None or not isinstance(retry, bool | int) else retry
    if isinstance(value, bool):
        return DEFAULT_RETRIES if value else None
    return value


def retry_delay(count: int, random: Callable[[], float]) -> float:
    """Return seconds until retry number `count` (from 0): count⁴ + 15 + a whole number below 10 (count + 1)."""
    return float(count**4 + 15 + int(random() * 10 * (count + 1)))


def _fields(payload: Mapping[str, Any], failure: Failure, queue: str, now: float) -> dict[str, Any]:
    retry_queue = payload.get("retry_queue")
    changes: dict[str, Any] = {
        "queue": retry_queue if isinstance(retry_queue, str) and retry_queue else queue,
        "error_message": _text(failure.message)[:ERROR_MESSAGE_MOST],
        "error_class": _text(failure.error_class),
    }
    count = whole(payload.get("retry_count"))
    if count is not None:
        changes |= {"retried_at": now, "retry_count": count + 1}
        if epoch_s(payload.get("failed_at")) is None:
            changes["failed_at"] = now
    else:
        changes |= {"failed_at": now, "retry_count": 0}
    lines = _backtrace(payload.get("backtrace"), failure.backtrace)
    if lines:
        changes["error_backtrace"] = compressed(lines)
    return changes


def _text(value: str) -> str:
    return value.encode("utf-8", "replace").decode()


def _exhausted(payload: Mapping[str, Any], changes: Mapping[str, Any], limit: int, now: float) -> bool:
    window = number(payload.get("retry_for"))
    if window is not None:
        since = epoch_s(changes.get("failed_at", payload.get("failed_at")))
        return since is not None and since + window < now
    return bool(changes["retry_count"] >= limit)


def _backtrace(wanted: Any, lines: tuple[str, ...]) -> tuple[str, ...]:
    if wanted is True:
        return lines
    return lines[: max(0, whole(wanted) or 0)]
