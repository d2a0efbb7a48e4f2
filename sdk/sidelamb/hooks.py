"""What an app wants to be told by its workers: every failure and death, and the life of a sandbox.

    @on_error
    def report(payload, error):
        sentry_sdk.capture_exception(error)

    @on_death
    def tell(payload, error):
        notify(f"{payload['class']} {payload['jid']} is dead: {error}")

Declared in one of the modules that SIDELAMB_JOBS names. These two are called on the job's thread, after the job;
one that fails itself is logged and stops nobody.

    @on_sandbox_start
    def connect(): ...          # once, before the sandbox's first invocation

    @before_invocation
    def look(): ...             # before each lease is claimed

    @after_invocation
    def flush(): ...            # when all is settled, before Lambda freezes the sandbox

These take no arguments and are called on the worker's own thread. While one of the first two fails, no job of its
sandbox runs or is charged: jobs wait, and the poller says why. One of the third that fails is logged.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from sidelamb.control import JobTimeout
from sidelamb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Hook = Callable[[dict[str, Any], BaseException], Any]
    Moment = Callable[[], Any]

__all__ = [
    "after_invocation",
    "before_invocation",
    "call_hooks",
    "death_hooks",
    "error_hooks",
    "invocation_ends",
    "invocation_starts",
    "on_death",
    "on_error",
    "on_sandbox_start",
    "sandbox_starts",
]

F = TypeVar("F", bound="Hook")
M = TypeVar("M", bound="Moment")
A = TypeVar("A", bound="Callable[..., Any]")

log = logging.getLogger("sidelamb.worker")

error_hooks: list[Hook] = []
death_hooks: list[Hook] = []
sandbox_starts: list[Moment] = []
invocation_starts: list[Moment] = []
invocation_ends: list[Moment] = []


def on_error(hook: F) -> F:
    """Have `hook(payload, error)` called for every attempt that fails, and for bytes that are no job.

    Raises:
        ConfigError: it is an `async def`, which nobody would await.
    """
    return _added(error_hooks, hook)


def on_death(hook: F) -> F:
    """Have `hook(payload, error)` called for every job that has failed for good: that goes to dead, or is dropped.

    The payload of one that is dropped has `discarded_at`, in milliseconds. A job that ends by `Discard`, is
    cancelled or expires has not failed; nobody is told of it.

    Raises:
        ConfigError: it is an `async def`, which nobody would await.
    """
    return _added(death_hooks, hook)


def on_sandbox_start(hook: M) -> M:
    """Have `hook()` called once in each sandbox, before its first invocation runs anything.

    With SnapStart that is after the snapshot was restored: the place to open connections. If it fails, nothing
    runs, nobody is charged, and the next invocation calls it again.

    Raises:
        ConfigError: it is an `async def`, which nobody would await.
    """
    return _added(sandbox_starts, hook)


def before_invocation(hook: M) -> M:
    """Have `hook()` called before each invocation takes its jobs. If it fails, they are run by a later one.

    Raises:
        ConfigError: it is an `async def`, which nobody would await.
    """
    return _added(invocation_starts, hook)


def after_invocation(hook: M) -> M:
    """Have `hook()` called after each invocation has settled its jobs: the place to flush what is sent in batches.

    The sandbox is frozen after it. Keep it short: it is billed, and cut off at the function's timeout.

    Raises:
        ConfigError: it is an `async def`, which nobody would await.
    """
    return _added(invocation_ends, hook)


def call_hooks(hooks: Iterable[Hook], payload: Mapping[str, Any], error: BaseException) -> None:
    """Call each hook with a copy of the payload; log what fails."""
    for hook in tuple(hooks):
        try:
            hook(dict(payload), error)
        except JobTimeout:
            raise
        except BaseException:  # an exit too: a hook must not take the lane with it
            log.exception("the hook %s failed", getattr(hook, "__qualname__", hook))


def _added(hooks: list[Any], hook: A) -> A:
    if inspect.iscoroutinefunction(hook):
        raise ConfigError(f"the hook {hook.__qualname__} is async, and nobody would await it; write a plain def")
    if hook not in hooks:
        hooks.append(hook)
    return hook
