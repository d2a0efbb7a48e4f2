"""`delay(function)(…)`: enqueue a job in the form of a plain call.

    delay(User.sync_images)(user_id)

The same as `User.sync_images.enqueue(user_id)`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ParamSpec

from sidelamb.errors import NotAJob
from sidelamb.job import Job
from sidelamb.registry import registry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["delay", "job_of"]

P = ParamSpec("P")


def delay(function: Callable[P, Any], /) -> Callable[P, str]:
    """Return the function that enqueues `function` and returns the job's id.

    Args:
        function: a job, or the plain function that a job was made of.

    Raises:
        NotAJob: it is neither; or it is a method of an object, whose state is never stored.
    """
    return job_of(function).enqueue


def job_of(function: Any) -> Job[..., Any]:
    """Return the job that `function` is or was made into; raises as `delay`."""
    found = function if isinstance(function, Job) else _found(function)
    if found is None:
        raise NotAJob(_why_not(function))
    return found


def _found(function: Any) -> Job[..., Any] | None:
    inner = getattr(function, "__func__", function)
    if isinstance(function, staticmethod | classmethod):
        return inner if isinstance(inner, Job) else registry.find_function(inner)
    if not inspect.ismethod(function):
        return registry.find_function(function)
    if not isinstance(function.__self__, type):
        return None
    found = inner if isinstance(inner, Job) else registry.find_function(inner)
    return found.seen_from(function.__self__) if found is not None else None


def _why_not(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or repr(function)
    if inspect.ismethod(function) and not isinstance(function.__self__, type):
        return (
            f"{name} is a method of an object, and an object's state is never stored with a job; make it a "
            "@staticmethod with @job that takes the object's id, and load the object inside the job"
        )
    return f"{name} is not a job; write @job above its def, in a module that the workers import"
