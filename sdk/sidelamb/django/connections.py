"""Database connections, around each job, as Django has them around a request.

The jobs of an invocation run on threads that end with it, so a connection that outlived its job would end with its
thread, unclosed. Each job gives back what it opened, to the pool if there is one. What was broken while the
sandbox was frozen is noticed before. A transaction that was open when the job began is somebody else's, a test's,
and left alone.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from asgiref.sync import SyncToAsync
from django.db import close_old_connections, connections

from sidelamb.registry import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["own_connections", "with_own_connections"]


@contextmanager
def own_connections() -> Iterator[None]:
    """Look at this thread's connections before, and close after what was opened within."""
    close_old_connections()
    others = {id(each) for each in connections.all(initialized_only=True) if each.in_atomic_block}
    try:
        yield
    finally:
        _close(others)


def with_own_connections(attempt: Any, call: Callable[[], Any]) -> Any:
    """Do so around a job: the server middleware."""
    with own_connections():
        try:
            return call()
        finally:
            job = registry.find(attempt.name)
            if job is not None and inspect.iscoroutinefunction(job.function):
                # An async job's queries run on asgiref's one thread for that, with connections of its own.
                SyncToAsync.single_thread_executor.submit(_close, set()).result()


def _close(others: set[int]) -> None:
    for connection in connections.all(initialized_only=True):
        if id(connection) not in others:
            connection.close()
