"""What can be set for a job, checked where it is written down, and how it stands in a payload.

The Python names are ours (`max_retries`, `on_exhausted`), the wire's are Sidekiq's (`retry`, `dead`). A job's
own timeout stays here, in the registry of the worker; only one given for a single call travels.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from sidelamb.errors import BadOption, UnknownOption
from sidelamb.names import queue_name
from sidelamb.payload import DEFAULT_QUEUE
from sidelamb.wording import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidelamb.limits import Limit
    from sidelamb.template import Mark

__all__ = [
    "Backoff",
    "CallOptions",
    "DeclareOptions",
    "ExhaustedHook",
    "JobOptions",
    "OnExhausted",
    "UniqueUntil",
    "marks_of",
    "wire_head",
]

OnExhausted = Literal["dead", "discard"]

UniqueUntil = Literal["success", "start"]

Backoff = Callable[[int, BaseException], "float | dt.timedelta | None"]
"""Takes the number of the attempt that failed (1 is the first) and its error; returns seconds to the next, or None
for Sidekiq's formula."""

ExhaustedHook = Callable[[dict[str, Any], "BaseException | None"], "OnExhausted | None"]
"""Takes the payload and the last error when a job has used up its retries; "discard" drops it."""

DEFAULT_RETRIES = 25
"""Sidekiq's default, on the wire as `true`: about 20 days."""

MOST_RETRIES = 100_000
"""A bound for typing errors; the wait before retry n grows with n⁴."""

MOST_TIMEOUT_S = 900
"""The longest that a Lambda function may run."""


class CallOptions(TypedDict, total=False):
    """Options that a single call may set."""

    queue: str
    max_retries: int
    on_exhausted: OnExhausted
    timeout: float | dt.timedelta
    tags: Sequence[str]
    retry_for: float | dt.timedelta
    retry_queue: str
    backtrace: bool | int
    expires_in: float | dt.timedelta
    unique_for: float | dt.timedelta
    unique_until: UniqueUntil
    result_ttl: float | dt.timedelta
    encrypt: bool


class _DeclaredOnly(TypedDict, total=False):
    name: str
    aliases: Sequence[str]
    backoff: Backoff
    unique_by: Callable[..., Any]
    limit: Limit
    idempotent: bool | Callable[..., Any]
    idempotent_for: float | dt.timedelta


class DeclareOptions(_DeclaredOnly, total=False):
    """Options that a declaration may set."""

    queue: str
    max_retries: int
    on_exhausted: OnExhausted | ExhaustedHook
    timeout: float | dt.timedelta
    tags: Sequence[str]
    retry_for: float | dt.timedelta
    retry_queue: str
    backtrace: bool | int
    expires_in: float | dt.timedelta
    unique_for: float | dt.timedelta
    unique_until: UniqueUntil
    result_ttl: float | dt.timedelta
    encrypt: bool


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options that a job has."""

    queue: str = DEFAULT_QUEUE
    max_retries: int = DEFAULT_RETRIES
    """Runs after the first one; 0 sends a job to the dead set at its first failure."""
    on_exhausted: OnExhausted = "dead"
    """What becomes of a job when its retries are used up: `dead` keeps it for a person, `discard` drops it."""
    timeout_s: float | None = None
    """Seconds that one run may take; None for as long as its invocation may."""
    tags: tuple[str, ...] = ()
    """Labels, for people and for log queries."""
    retry_for_s: float | None = None
    """Seconds since the first failure in which to retry; max_retries does not count then."""
    retry_queue: str | None = None
    """The queue for retries; None for the job's own."""
    backtrace: bool | int = False
    """Whether to keep the error's backtrace in the payload: all of it, or its first lines."""
    expires_in_s: float | None = None
    """Seconds after its enqueue, or its scheduled time, in which the job may be started."""
    unique_for_s: float | None = None
    """Seconds, from the time it is to run, in which another one with the same key is not stored."""
    unique_until: UniqueUntil = "success"
    """When the lock goes before that."""
    unique_by: Callable[..., Any] | None = None
    """Of a call's arguments, what makes it the same as another; plain JSON. None for all of them."""
    limit: Limit | None = None
    """How many at once, or in a time, over all processes."""
    result_ttl_s: float | None = None
    """Seconds after its end in which status and result are kept; None to keep none."""
    idempotent: bool | Callable[..., Any] = False
    """Whether its effect is to happen once; a function: of the arguments, what makes an effect the same."""
    idempotent_for_s: float = 86_400.0
    """Seconds in which the effect is known to have happened."""
    encrypt: bool = False
    """Whether the arguments are sealed until the worker calls the function."""
    backoff: Backoff | None = None
    exhausted_hook: ExhaustedHook | None = None

    def with_(self, where: str, options: Mapping[str, Any], others: Sequence[str] = ()) -> JobOptions:
        """Return these options with some of them set as a user wrote them.

        Args:
            where: what is being declared or called, for messages.
            options: values by `CallOptions` name.
            others: names that the caller takes besides, to be named in an error.

        Raises:
            UnknownOption, BadOption: there is no such option, or its value cannot be.
        """
        return replace(self, **_checked(where, options, others)) if options else self

    def for_call(self, where: str, options: Mapping[str, Any]) -> JobOptions:
        """Return these options with some set for one call; raises as `with_`, and for functions, too."""
        for name, value in options.items():
            if callable(value) or name in _DECLARED:
                raise BadOption(f"{where}: {name} is code, which cannot travel; declare it with @job")
        return self.with_(where, options, others=("client", "on_commit", "outbox"))


def _checked(where: str, options: Mapping[str, Any], others: Sequence[str]) -> dict[str, Any]:
    fields = {}
    for name, value in options.items():
        check = _CHECKS.get(name)
        if check is None:
            known = [*others, *_CHECKS]
            listed = ", ".join(known)
            raise UnknownOption(f"{where}: there is no option {name!r}, only {listed}.{did_you_mean(name, known)}")
        field, checked = _SECONDS.get(name, name), check(value, where)
        if callable(checked) and name == "on_exhausted":
            field = "exhausted_hook"
        fields[field] = checked
    return fields


_DECLARED = {"limit", "backoff", "unique_by", "idempotent", "idempotent_for"}
"""Options that the worker reads from its own code."""

_SECONDS = {
    "timeout": "timeout_s",
    "retry_for": "retry_for_s",
    "expires_in": "expires_in_s",
    "unique_for": "unique_for_s",
    "result_ttl": "result_ttl_s",
    "idempotent_for": "idempotent_for_s",
}
"""Options that may be timedeltas, and the fields that hold their seconds."""


def marks_of(options: JobOptions, names: Sequence[str] = ()) -> list[Mark]:
    """Return what puts the features' fields into a payload that is complete otherwise.

    Args:
        options: the job's.
        names: of its function's arguments that may stand by position.
    """
    marks: list[Mark] = []
    if options.unique_for_s is not None:
        from sidelamb.unique import marker  # noqa: PLC0415 - only who uses it pays for it

        marks.append(marker(options, names))
    if options.limit is not None:
        from sidelamb.limits import marker as limit_marker  # noqa: PLC0415 - the same

        marks.append(limit_marker(options.limit))
    if options.encrypt:
        from sidelamb.seal import seal  # noqa: PLC0415 - the same

        marks.append(seal)  # the last one: the others see the arguments
    return marks


def wire_head(options: JobOptions, *, timeout_s: float | None = None) -> dict[str, Any]:
    """Return a payload's first fields, in Sidekiq's order.

    Args:
        options: the job's.
        timeout_s: one that was given for this call only.
    """
    head: dict[str, Any] = {
        "retry": options.max_retries if options.max_retries != DEFAULT_RETRIES else True,
        "queue": options.queue,
    }
    if options.on_exhausted == "discard":
        head["dead"] = False
    if options.tags:
        head["tags"] = list(options.tags)
    if options.retry_for_s is not None:
        head["retry_for"] = int(options.retry_for_s)
    if options.retry_queue is not None:
        head["retry_queue"] = options.retry_queue
    if options.backtrace:
        head["backtrace"] = options.backtrace
    if timeout_s is not None:
        head["timeout"] = int(timeout_s) if timeout_s.is_integer() else timeout_s
    if options.result_ttl_s is not None:
        head["result_ttl"] = options.result_ttl_s
    return head


def _wrong(where: str, option: str, value: object, expected: str) -> BadOption:
    return BadOption(f"{where}: {option} is {shown(value)}; expected {expected}")


def _queue(value: Any, where: str) -> str:
    return queue_name(value, where)


def _max_retries(value: Any, where: str) -> int:
    if type(value) is not int or not 0 <= value <= MOST_RETRIES:
        raise _wrong(where, "max_retries", value, f"an int from 0 to {MOST_RETRIES}")
    return value


def _on_exhausted(value: Any, where: str) -> Any:
    if callable(value):
        return value
    if type(value) is not str or value not in {"dead", "discard"}:
        raise _wrong(where, "on_exhausted", value, "'dead' or 'discard', or a function of payload and error")
    return value


def _backoff(value: Any, where: str) -> Any:
    if not callable(value):
        raise _wrong(where, "backoff", value, "a function (attempt, error) -> seconds or None")
    return value


def _backtrace(value: Any, where: str) -> bool | int:
    if type(value) is not bool and (type(value) is not int or value < 1):
        raise _wrong(where, "backtrace", value, "True, False, or a number of lines")
    return value


def _retry_queue(value: Any, where: str) -> str:
    return queue_name(value, where)


def _retry_for(value: Any, where: str) -> float:
    return _duration(value, where, "retry_for", 1, 1e9)


def _expires_in(value: Any, where: str) -> float:
    return _duration(value, where, "expires_in", 0, 1e9)


def _unique_for(value: Any, where: str) -> float:
    return _duration(value, where, "unique_for", 1, 1e9)


def _result_ttl(value: Any, where: str) -> float:
    return _duration(value, where, "result_ttl", 1, 1e9)


def _limit(value: Any, where: str) -> Any:
    from sidelamb.limits import Limit  # noqa: PLC0415 - who has one has imported it

    if not isinstance(value, Limit):
        raise _wrong(where, "limit", value, "Concurrent(5), Window(100, per=60) or Bucket(10)")
    return value


def _unique_until(value: Any, where: str) -> str:
    if type(value) is not str or value not in {"success", "start"}:
        raise _wrong(where, "unique_until", value, "'success' or 'start'")
    return value


def _encrypt(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise _wrong(where, "encrypt", value, "True or False")
    return value


def _idempotent(value: Any, where: str) -> Any:
    if type(value) is not bool and not callable(value):
        raise _wrong(where, "idempotent", value, "True, or a function of the job's arguments")
    return value


def _idempotent_for(value: Any, where: str) -> float:
    return _duration(value, where, "idempotent_for", 1, 1e9)


def _unique_by(value: Any, where: str) -> Any:
    if not callable(value):
        raise _wrong(where, "unique_by", value, "a function of the job's arguments")
    return value


def _duration(value: Any, where: str, option: str, least: float, most: float) -> float:
    """Return seconds of a duration; beyond 1e9 (32 years) it is a point in time by mistake, as in Sidekiq."""
    number = value.total_seconds() if isinstance(value, dt.timedelta) else value
    usable = isinstance(number, int | float) and not isinstance(number, bool)
    if not usable or not math.isfinite(number) or not least <= number <= most:
        raise _wrong(where, option, value, f"seconds or a timedelta, from {least:g} to {most:g}")
    return float(number)


def _timeout(value: Any, where: str) -> float:
    expected = f"seconds or a timedelta, more than 0 and at most {MOST_TIMEOUT_S} (Lambda's own limit)"
    number = value.total_seconds() if isinstance(value, dt.timedelta) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise _wrong(where, "timeout", value, expected)
    if not math.isfinite(number) or not 0 < number <= MOST_TIMEOUT_S:
        raise _wrong(where, "timeout", value, expected)
    return float(number)


def _tags(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(_is_tag(tag) for tag in value):
        raise _wrong(where, "tags", value, "a list of texts that are not empty, like ['billing']")
    return tuple(value)


def _is_tag(value: object) -> bool:
    return type(value) is str and value != "" and value.isprintable()


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "queue": _queue,
    "max_retries": _max_retries,
    "on_exhausted": _on_exhausted,
    "timeout": _timeout,
    "tags": _tags,
    "retry_for": _retry_for,
    "retry_queue": _retry_queue,
    "backtrace": _backtrace,
    "expires_in": _expires_in,
    "backoff": _backoff,
    "unique_for": _unique_for,
    "unique_until": _unique_until,
    "unique_by": _unique_by,
    "result_ttl": _result_ttl,
    "limit": _limit,
    "encrypt": _encrypt,
    "idempotent": _idempotent,
    "idempotent_for": _idempotent_for,
}
