"""Iterable jobs: long work done item by item, which goes on where it was when its invocation ends.

    @job
    def reindex(table: str, *, cursor: int | None = None) -> Iterator[int]:
        for row in rows(table, after=cursor):
            index(row)
            yield row.id

A job whose function is a generator (`def` or `async def`) yields its cursor, any JSON value, after each item. A
worker writes the cursor down every few seconds and before its invocation ends; the next execution is called with
it. After a crash the items since the last time it was written down are done again, so an item must bear that. A
generator that is stopped sees GeneratorExit at its `yield`.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sidelamb.control import JobTimeout
from sidelamb.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.current import CurrentJob

    Callback = Callable[[CurrentJob], "R"]

__all__ = ["Callbacks", "Moment", "is_iterable", "tell"]

R = TypeVar("R")

Moment = Literal["start", "resume", "stop", "cancel", "complete"]

log = logging.getLogger("sidelamb.worker")

_FORM = (
    "\n\n    @job\n    def reindex(table: str, *, cursor=None):\n        for row in rows(table, after=cursor):\n"
    "            index(row)\n            yield row.id\n"
)


class Callbacks:
    """The decorators of a job for moments in the life of an iterable job.

    Each takes a function of the running job (`CurrentJob`), called on the job's thread between its items; one that
    fails is logged and stops nothing. After a crash the same moment may come again.

    Attributes:
        is_iterable: whether the job is a generator that yields its cursor.
        name: the job's name.
    """

    is_iterable: bool
    name: str
    _callbacks: dict[Moment, list[Callback[Any]]]

    def on_start(self, callback: Callback[R]) -> Callback[R]:
        """Have `callback(job)` called before the first item of the first execution."""
        return self._added("start", callback)

    def on_resume(self, callback: Callback[R]) -> Callback[R]:
        """Have `callback(job)` called before the first item of every later execution."""
        return self._added("resume", callback)

    def on_stop(self, callback: Callback[R]) -> Callback[R]:
        """Have `callback(job)` called when an execution is interrupted, to go on in another."""
        return self._added("stop", callback)

    def on_cancel(self, callback: Callback[R]) -> Callback[R]:
        """Have `callback(job)` called when the job sees that it was cancelled, before its first item or later."""
        return self._added("cancel", callback)

    def on_complete(self, callback: Callback[R]) -> Callback[R]:
        """Have `callback(job)` called after the last item."""
        return self._added("complete", callback)

    def callbacks(self, moment: Moment) -> tuple[Callback[Any], ...]:
        """Return what is to be called at a moment."""
        return tuple(self._callbacks.get(moment, ()))

    def _added(self, moment: Moment, callback: Callback[R]) -> Callback[R]:
        if not self.is_iterable:
            raise JobError(f"{self.name} has no on_{moment}: it is not iterable. An iterable job looks so:{_FORM}")
        if inspect.iscoroutinefunction(callback):
            raise JobError(f"on_{moment} of {self.name} is async, and nobody would await it; write a plain def")
        known = self._callbacks.setdefault(moment, [])
        if callback not in known:
            known.append(callback)
        return callback


def is_iterable(function: Callable[..., Any], where: str) -> bool:
    """Say whether a function is an iterable job.

    Raises:
        JobError: it is a generator, but has no cursor to go on from.
    """
    if not inspect.isgeneratorfunction(function) and not inspect.isasyncgenfunction(function):
        return False
    if "cursor" not in (getattr(function, "__kwdefaults__", None) or {}):
        raise JobError(
            f"{where}: it is a generator, and so an iterable job, but takes no keyword cursor=None to go on from. "
            f"Write a plain def, or let it yield its cursor after each item:{_FORM}"
        )
    return True


def tell(job: Callbacks, moment: Moment, running: CurrentJob) -> None:
    """Call what is to be called at a moment; log what fails."""
    for callback in job.callbacks(moment):
        try:
            callback(running)
        except JobTimeout:
            raise
        except BaseException:  # an exit too
            log.exception("on_%s of %s failed", moment, job.name)
