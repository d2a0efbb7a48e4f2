"""From a payload to bytes that can be stored: middleware, checks, timestamps, encoding. No I/O.

The time, the source of job ids and the set of known queues are handed in.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from sidelamb.carry import carried, carrying
from sidelamb.collecting import collecting
from sidelamb.effects import FIELDS, beginnings
from sidelamb.errors import BadOption, JobError, PayloadTooLarge
from sidelamb.handle import bare
from sidelamb.names import check_queue, is_job_name, is_queue_name, job_name, queue_name
from sidelamb.options import MOST_TIMEOUT_S
from sidelamb.payload import encode, stamp_enqueued
from sidelamb.registry import registry
from sidelamb.tracing import traceparent
from sidelamb.values import are_plain, explain, explain_field
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sidelamb.effects import Effect
    from sidelamb.middleware import CallNext, Payload
    from sidelamb.template import Frame, Template

__all__ = ["Packed", "Packer", "new_jid"]

_DEFAULTS: Payload = {"retry": True, "queue": "default"}
"""What Sidekiq fills in for a job whose class it does not know."""

_LEAST_MS = 100_000_000_000
"""From here on a whole number is milliseconds (of 1973); as seconds it would be the year 5138."""

_MOST_WINDOW_S = 1e9
"""32 years. A longer window of retries is a point in time by mistake, as in Sidekiq."""


class Packed(NamedTuple):
    """A job that is ready to be stored."""

    jid: str
    name: str
    queue: str
    at: float | None
    """Epoch s to be scheduled for, or None to be pushed now."""
    raw: bytes
    effects: tuple[Effect, ...] = ()
    """What its features have done when it is stored."""


def new_jid() -> str:
    """Return a new job id: 24 hexadecimal digits, of 96 random bits."""
    return os.urandom(12).hex()


class Packer:
    """Makes payloads ready.

    Args:
        middleware: the composed chain, or None.
        max_payload: most bytes of one payload.
        queues: returns the known queues, or None for any.
        ms: whether timestamps are written as whole milliseconds.
    """

    def __init__(
        self,
        middleware: CallNext | None,
        max_payload: int,
        queues: Callable[[], Collection[str] | None],
        *,
        ms: bool = False,
    ) -> None:
        self._middleware = middleware
        self.max_payload = max_payload
        self._queues = queues
        self.ms = ms

    def frame(self, template: Template, now: float) -> Frame | None:
        """Return what is around the arguments of many plain calls made now; None if middleware sees each of them.

        Raises:
            UnknownQueue: there is no such queue.
        """
        if self._middleware is not None or template.uses_features or collecting.get() is not None:
            return None
        known = self._queues()
        if known is not None:
            check_queue(template.head["queue"], known, template.name)
        return template.frame(now, _around() | {"enqueued_at": self._stamp(now)}, ms=self.ms)

    def pack(self, payload: Payload, now: float, at: float | None = None) -> Packed | None:
        """Return a payload of our own making ready to be stored, or None if middleware stopped it.

        Args:
            payload: complete but for `enqueued_at`; it is changed.
            now: epoch s.
            at: when to run it, epoch s; None, or a time in the past, for now.
        """
        if self._middleware is None:
            return self._finish(payload, now, at)
        if at is not None:
            payload["at"] = at
        changed = self._middleware(payload)
        return None if changed is None else self._pack_foreign(changed, now)

    def pack_payload(self, payload: Payload, now: float, jid: Callable[[], str]) -> Packed | None:
        """Return a payload from outside ready to be stored, what it lacks filled in; it is not changed."""
        if type(payload) is not dict:
            raise JobError(f"a payload is a dict, not {type(payload).__name__}")
        full = {**_DEFAULTS, **payload}
        if "jid" not in full:
            full["jid"] = jid()
        if "created_at" not in full:
            full["created_at"] = self._stamp(now)
        full.pop("enqueued_at", None)
        changed = full if self._middleware is None else self._middleware(full)
        return None if changed is None else self._pack_foreign(changed, now)

    def anew(self, job: Packed, now: float) -> Packed:
        """Return a job that was packed some time ago as it enters its queue, or the schedule, now."""
        if job.at is not None and job.at > now:
            return job
        return job._replace(at=None, raw=stamp_enqueued(job.raw, self._stamp(now)))

    def _stamp(self, now: float) -> float:
        return round(now * 1000) if self.ms else now

    def _pack_foreign(self, payload: Payload, now: float) -> Packed:
        _check_fields(payload)
        at = payload.pop("at", None)
        if "retry_for" in payload:
            payload["retry_for"] = int(payload["retry_for"])
        payload.pop("enqueued_at", None)
        return self._finish(payload, now, None if at is None else float(at))

    def _finish(self, payload: Payload, now: float, at: float | None) -> Packed:
        name, queue, kwargs = payload["class"], payload["queue"], payload.get("kwargs")
        for field, value in _around().items():
            payload.setdefault(field, value)
        if not _are_plain(payload):
            payload = {**payload, "args": bare(payload["args"])}
            if kwargs is not None:
                payload["kwargs"] = bare(kwargs)
            if not _are_plain(payload):
                raise _explained(payload)
        known = self._queues()
        if known is not None:
            check_queue(queue, known, name)
        if at is not None and at <= now:
            at = None
        if at is None:
            payload["enqueued_at"] = self._stamp(now)
        try:
            raw = encode(payload)
        except TypeError:
            raise _explained(payload) from None
        if len(raw) > self.max_payload:
            raise _too_large(name, len(raw), self.max_payload)
        effects = () if FIELDS.isdisjoint(payload) else beginnings(payload, now, at)
        return Packed(payload["jid"], name, queue, at, raw, effects)


def _around() -> Payload:
    """Return the fields for what is around an enqueue: its trace, what is to be carried, its batch."""
    trace = traceparent()
    around: Payload = {"traceparent": trace} if trace else {}
    context = carried() if carrying else None
    if context:
        around["carried"] = context
    batch = collecting.get()
    if batch is not None:
        around |= batch.fields
    return around


def _are_plain(payload: Payload) -> bool:
    kwargs = payload.get("kwargs")
    return are_plain(payload["args"]) and (kwargs is None or are_plain(kwargs.values()))


def _explained(payload: Payload) -> JobError:
    """Return the error for a payload that is not plain JSON: which field, or which argument."""
    name = payload["class"]
    for field, value in payload.items():
        if field not in {"args", "kwargs"} and not _is_encodable({field: value}):
            return explain_field(name, field, value)
    job = registry.find(name)
    shape = job.template.shape if job is not None else None
    names, hints = (shape.names, shape.hints) if shape else ((), {})
    return explain(name, payload["args"], payload.get("kwargs"), names, hints)


def _is_encodable(value: Any) -> bool:
    try:
        encode(value)
    except TypeError:
        return False
    return True


def _too_large(name: str, size: int, limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"{name}: the payload has {size:,} bytes, the limit is {limit:,} (SIDELAMB_MAX_PAYLOAD); "
        "store the data elsewhere, in S3 or a database, and send its id"
    )


def _check_fields(payload: Payload) -> None:
    """Raise unless every field that has a meaning has one that can be (WIRE: job payload)."""
    name = job_name(payload.get("class"), "payload", "class")
    queue_name(payload.get("queue"), name)
    for field, (is_valid, expected) in _FIELDS.items():
        if field in payload and not is_valid(payload[field]):
            raise BadOption(f"{name}: field {field!r} is {shown(payload[field])}; expected {expected}")
    for field in ("args", "jid", "created_at", "retry"):
        if field not in payload:
            raise BadOption(f"{name}: the payload has no {field!r}")
    for field, value in payload.items():
        if type(field) is not str:
            raise BadOption(f"{name}: the field name {shown(field)} is not a text")
        if field not in _FIELDS and not are_plain((value,)):
            raise explain_field(name, field, value)


def _is_time(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]


def _is_stamp(value: object) -> bool:
    """A float is seconds; an int is milliseconds to Sidekiq 8, so that small ones are seconds by mistake."""
    return _is_time(value) and (type(value) is float or value >= _LEAST_MS)  # type: ignore[operator]


def _is_retry(value: object) -> bool:
    return type(value) is bool or (type(value) is int and value >= 0)


def _is_window(value: object) -> bool:
    return _is_time(value) and 0 <= value <= _MOST_WINDOW_S  # type: ignore[operator]


def _is_backtrace(value: object) -> bool:
    return type(value) is bool or (type(value) is int and value >= 0)


def _is_timeout(value: object) -> bool:
    return _is_time(value) and 0 < value <= MOST_TIMEOUT_S  # type: ignore[operator]


def _is_texts(value: object) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "class": (is_job_name, "a job name"),
    "args": (lambda value: type(value) is list, "a list"),
    "kwargs": (lambda value: type(value) is dict, "a dict"),
    "jid": (is_job_name, "a text without white space and without | < > / $"),
    "retry": (_is_retry, "true, false or an int from 0"),
    "dead": (lambda value: type(value) is bool, "true or false"),
    "tags": (_is_texts, "a list of texts"),
    "retry_for": (_is_window, "seconds, at most 1e9"),
    "retry_queue": (is_queue_name, "a queue's name"),
    "backtrace": (_is_backtrace, "true, false or a number of lines"),
    "timeout": (_is_timeout, f"seconds, more than 0 and at most {MOST_TIMEOUT_S}"),
    "expiry": (_is_time, "epoch seconds"),
    "created_at": (_is_stamp, "epoch seconds as a float, or milliseconds as an int"),
    "at": (_is_time, "epoch seconds"),
}
