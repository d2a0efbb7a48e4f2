"""The status and the result of jobs that ask for it with `result_ttl`: how they are kept.

    @job(result_ttl=3600)
    def add(a: int, b: int) -> int: ...

One hash a job, written in the script that stores, begins or ends it, so it never says what has not happened. It
goes `result_ttl` seconds after the job's end. Who waits for the end waits for an element of a list, the *bell*.
`handle.py` is the reader.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sidelamb.effects import Effect, Event
from sidelamb.lenient import number
from sidelamb.store import Call
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sidelamb.effects import Ended
    from sidelamb.keys import Keys

__all__ = ["OVER", "beginning", "bell_key", "ending", "kept", "progress", "starting", "status_key"]

OPEN_FOR_S = 30 * 86_400.0
"""The status of a job that does not come to an end goes so long after its last news, or the time it is due."""

MOST_RESULT = 256 * 1024
"""Bytes of a result as JSON. Larger things belong into a store of their own, and their name into the result."""

_STATES = {
    Event.SUCCEEDED: "succeeded",
    Event.FAILED: "retrying",
    Event.DIED: "dead",
    Event.DISCARDED: "discarded",
    Event.DELETED: "deleted",
    Event.PUT_OFF: "queued",
    Event.SENT_BACK: "queued",
}
OVER = frozenset({"succeeded", "dead", "discarded", "deleted"})
"""The states of a job that does not run any more."""


def status_key(jid: str) -> str:
    """Return the name of a job's status."""
    return f"sidelamb:status:{jid}"


def bell_key(jid: str) -> str:
    """Return the name of the list that has an element once the job is over."""
    return f"sidelamb:bell:{jid}"


def beginning(payload: Mapping[str, Any], now: float, at: float | None) -> Iterator[Effect]:
    """Open the status of a job."""
    fields = {"state": "queued" if at is None else "scheduled", "name": payload["class"], "enqueued_at": now}
    due = {} if at is None else {"due_at": at}
    yield _effect("status", payload, OPEN_FOR_S + max(0.0, (at or now) - now), fields | due)


def starting(payload: Mapping[str, Any], now: float, *_: object) -> Iterator[Effect]:
    """Say that a run begins."""
    attempt = 1 if payload.get("retry_count") is None else int(payload["retry_count"]) + 2
    yield _effect("status", payload, OPEN_FOR_S, {"state": "running", "started_at": now, "attempt": attempt})


def ending(ended: Ended) -> Iterator[Effect]:
    """Say how it ended, and what it returned."""
    state = _STATES[ended.event]
    fields: dict[str, Any] = {"state": state}
    for name in ("error_class", "error_message"):
        if name in ended.changes:
            fields[name] = ended.changes[name]
    if state not in OVER:
        yield _effect("status", ended.payload, OPEN_FOR_S, fields)
        return
    fields["finished_at"] = ended.now
    if state == "succeeded":
        fields |= kept(ended.result)
        if ended.payload.get("sealed") is not None:
            fields["sealed"] = 1  # for who shows it: the payload that said so is gone
    yield _effect("result", ended.payload, number(ended.payload.get("result_ttl")) or 0.0, fields)


def progress(keys: Keys, jid: str, done: float, total: float | None, note: str) -> Call[bool]:
    """Return the call that writes how far a job is; reads whether its status is kept."""
    said = json.dumps([done, total, str(note)], allow_nan=False, ensure_ascii=False)
    return Call("progress", [keys(status_key(jid))], [said], bool)


def kept(value: Any) -> dict[str, str]:
    """Return the fields of a result; one that JSON does not have is said to be none, and costs the job nothing."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        return {"unkept": f"it returned {shown(value)}, which JSON does not have: {error}"}
    if size > MOST_RESULT:
        return {"unkept": f"it returned {size:,} bytes of JSON, the limit is {MOST_RESULT:,}"}
    return {"result": text}


def _effect(verb: str, payload: Mapping[str, Any], ttl_s: float, fields: Mapping[str, Any]) -> Effect:
    jid = str(payload.get("jid"))
    pairs = [part for name, value in fields.items() for part in (name, value)]
    return Effect(verb, (status_key(jid), bell_key(jid)), (max(1, int(ttl_s * 1000)), *pairs))
