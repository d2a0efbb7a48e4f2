"""What is kept of a task beside a job's status and result: what it was, which workers ran it, its errors.

The field `django` marks a task's payload, always together with `result_ttl`: both write into the same hash,
`sidelamb:status:<id>`, in the script that stores, begins or ends the job, so the record never says what has not
happened. The hash goes when its status goes. This module knows no Django: scheduler and poller use it too.
"""

from __future__ import annotations

import builtins
import json
import traceback
from typing import TYPE_CHECKING, Any

from sidelamb.current import running
from sidelamb.effects import Effect, Event
from sidelamb.payload import encode
from sidelamb.results import status_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sidelamb.effects import Ended

__all__ = ["attempt_of", "beginning", "ending", "starting"]

ERRORS_KEPT = 20
"""So many of the last attempts' errors are kept."""

MOST_TRACEBACK = 10_000
"""Characters of a traceback that are kept, its last ones: they say what went wrong."""

_WORDS = {
    Event.FAILED: "it failed",
    Event.DIED: "a person has moved it to dead",
    Event.DISCARDED: "it was cancelled, or too late to be started",
    Event.DELETED: "a person has deleted it",
}
"""What is said of an end that no error says more about."""


def attempt_of(payload: Mapping[str, Any]) -> int:
    """Return the number of a payload's attempt, 1 for the first."""
    count = payload.get("retry_count")
    return count + 2 if isinstance(count, int) else 1


def beginning(payload: Mapping[str, Any], _: float, at: float | None) -> Iterator[Effect]:
    """Keep what the task was."""
    task = {
        "path": payload["class"],
        "backend": payload["django"],
        "queue": payload["queue"],
        "run_after": at,
        "args": payload["args"],
        "kwargs": payload.get("kwargs", {}),
    }
    yield _note(payload, {"task": encode(task).decode()})


def starting(payload: Mapping[str, Any], now: float, *_: Any) -> Iterator[Effect]:
    """Keep who runs it."""
    yield _note(payload, {f"worker:{attempt_of(payload)}": f"{now} {running.get().request_id}"})


def ending(ended: Ended) -> Iterator[Effect]:
    """Keep the error."""
    if ended.event in _WORDS and not _is_kept(ended):
        attempt = attempt_of(ended.payload)
        said = json.dumps(_error(ended))
        yield _note(ended.payload, {f"error:{attempt}": said, f"error:{attempt - ERRORS_KEPT}": ""})


def _is_kept(ended: Ended) -> bool:
    """Say whether a task only dies of what was kept when it failed: a person did it, or its sandbox was ended."""
    says_more = ended.error is not None or "error_class" in ended.changes
    return ended.event is Event.DIED and not says_more and "error_class" in ended.payload


def described(error: BaseException) -> list[str]:
    """Return an error as it is kept: the path of its class, and its traceback."""
    cls = type(error)
    return [f"{cls.__module__}.{cls.__qualname__}", "".join(traceback.format_exception(error))[-MOST_TRACEBACK:]]


def _error(ended: Ended) -> list[str]:
    if ended.error is not None:
        return described(ended.error)
    if "error_class" not in ended.changes:
        return ["sidelamb.control.Discard", f"{_WORDS[ended.event]}\n"]
    name = str(ended.changes["error_class"])  # of a sandbox that is gone: nobody has its traceback
    text = f"{name}: {ended.changes.get('error_message', '')}\n"
    if "." not in name:
        name = f"{'builtins' if hasattr(builtins, name) else 'sidelamb_handlers.judge'}.{name}"
    return [name, text]


def _note(payload: Mapping[str, Any], fields: Mapping[str, str]) -> Effect:
    pairs = [part for pair in fields.items() for part in pair]
    return Effect("note", (status_key(str(payload.get("jid"))),), tuple(pairs))
