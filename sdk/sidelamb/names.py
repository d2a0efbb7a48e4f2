"""Names that travel: of jobs and of queues. What each may hold, and where a job's own name comes from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sidelamb.errors import BadOption, JobError, UnknownQueue
from sidelamb.wording import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["check_queue", "default_name", "is_job_name", "is_queue_name", "job_name", "queue_name"]

# Not in a job's name: what web pages, routes and log queries take for something else, and lone surrogates.
_JOB_NAME = re.compile(r"[^\s|<>/$\x00-\x1f\x7f\ud800-\udfff]+\Z")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_.:-]+\Z")


def is_job_name(value: object) -> bool:
    """Say whether `value` can be the name of a job (or its id: the same rules hold)."""
    return isinstance(value, str) and _JOB_NAME.match(value) is not None


def is_queue_name(value: object) -> bool:
    """Say whether `value` can be the name of a queue."""
    return isinstance(value, str) and _QUEUE_NAME.match(value) is not None


def job_name(value: Any, where: str, option: str = "name") -> str:
    """Return `value` if it can be the name of a job.

    Raises:
        BadOption: it cannot.
    """
    if not is_job_name(value):
        raise BadOption(
            f"{where}: {option} is {shown(value)}; expected a text without white space and without | < > / $"
        )
    return str(value)


def queue_name(value: Any, where: str) -> str:
    """Return `value` if it can be the name of a queue.

    Raises:
        BadOption: it cannot.
    """
    if not is_queue_name(value):
        raise BadOption(
            f"{where}: queue is {shown(value)}; expected a text of letters, digits and _ - . : (and not empty)"
        )
    return str(value)


def default_name(function: Callable[..., Any]) -> str:
    """Return the wire name of a function that was given none: `module.qualname`.

    Raises:
        JobError: a worker could never find it, because it is a lambda or local to another function.
    """
    name = f"{function.__module__}.{function.__qualname__}"
    if "<lambda>" in name:
        raise JobError(f"{name}: a lambda has no name that a worker could look up; write a def, or @job(name='…')")
    if "<locals>" in name:
        raise JobError(
            f"{name} is local to another function, where a worker cannot find it; "
            "move it to module level, or give it a name with @job(name='…')"
        )
    return job_name(name, f"@job on {name}")


def check_queue(queue: str, known: Collection[str], where: str) -> None:
    """Raise UnknownQueue if `queue` is not among the known ones."""
    if queue not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise UnknownQueue(
            f"{where}: queue {queue!r} is not declared; configure(queues=[…]) lists {listed}."
            + did_you_mean(queue, known)
        )
