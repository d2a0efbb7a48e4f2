"""Client middleware: code around every enqueue, that may change a payload or stop the job.

    def with_tenant(payload, call_next):
        payload["tenant"] = current_tenant()
        return call_next(payload)

The first in the list is the outermost. A middleware returns what `call_next` returned; returning None without
it stops the job, which is then not stored. Payloads are checked after the last one, so whatever it adds must be
plain JSON. A payload that is scheduled has its time in `at`, epoch seconds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from sidelamb.errors import ConfigError, JobError
from sidelamb.wording import shown

__all__ = ["CallNext", "Middleware", "Payload", "compose"]

Payload = dict[str, Any]
CallNext = Callable[[Payload], Payload | None]
Middleware = Callable[[Payload, CallNext], Payload | None]


def compose(chain: Sequence[Middleware]) -> CallNext | None:
    """Return the whole chain as one function, or None for an empty one.

    Raises:
        ConfigError: something in it is no middleware.
    """
    call: CallNext | None = None
    for middleware in reversed(chain):
        call = _layer(_valid(middleware), call or _end)
    return call


def _valid(middleware: Any) -> Middleware:
    if not callable(middleware) or inspect.isclass(middleware):
        raise ConfigError(f"middleware takes functions (payload, call_next), not {shown(middleware)}")
    if inspect.iscoroutinefunction(middleware):
        raise ConfigError(
            f"middleware {_name(middleware)} is async; it runs inside enqueue and must be a plain def"
        )
    valid: Middleware = middleware
    return valid


def _layer(middleware: Middleware, call_next: CallNext) -> CallNext:
    def call(payload: Payload) -> Payload | None:
        result = middleware(payload, call_next)
        if result is not None and type(result) is not dict:
            raise JobError(
                f"middleware {_name(middleware)} returned {type(result).__name__}; "
                "return the payload (a dict) that call_next returned, or None to stop the job"
            )
        return result

    return call


def _end(payload: Payload) -> Payload:
    return payload


def _name(middleware: object) -> str:
    return getattr(middleware, "__qualname__", None) or repr(middleware)
