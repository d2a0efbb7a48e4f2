"""What an app wants to be told by its workers: every failure, and every death.

    @on_error
    def report(payload, error):
        sentry_sdk.capture_exception(error)

    @on_death
    def tell(payload, error):
        notify(f"{payload['class']} {payload['jid']} is dead: {error}")

Declared in one of the modules that SIDELAMB_JOBS names. They are called on the job's thread, after the job; one
that fails itself is logged and stops nobody.
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

__all__ = ["call_hooks", "death_hooks", "error_hooks", "on_death", "on_error"]

F = TypeVar("F", bound="Hook")

log = logging.getLogger("sidelamb.worker")

error_hooks: list[Hook] = []
death_hooks: list[Hook] = []


def on_error(hook: F) -> F:
    """Have `hook(payload, error)` called for every attempt that fails, and for bytes that are no job.

    Raises:
        ConfigError: it is an `async def`, which nobody would await.
    """
    return _added(error_hooks, hook)


def on_death(hook: F) -> F:
    """Have `hook(payload, error)` called for every job that dies or is dropped without having succeeded.

    Raises:
        ConfigError: it is an `async def`, which nobody would await.
    """
    return _added(death_hooks, hook)


def call_hooks(hooks: Iterable[Hook], payload: Mapping[str, Any], error: BaseException) -> None:
    """Call each hook with a copy of the payload; log what fails."""
    for hook in tuple(hooks):
        try:
            hook(dict(payload), error)
        except JobTimeout:
            raise
        except BaseException:  # an exit too: a hook must not take the lane with it
            log.exception("the hook %s failed", getattr(hook, "__qualname__", hook))


def _added(hooks: list[Hook], hook: F) -> F:
    if inspect.iscoroutinefunction(hook):
        raise ConfigError(f"the hook {hook.__qualname__} is async, and nobody would await it; write a plain def")
    if hook not in hooks:
        hooks.append(hook)
    return hook
