"""Around each run of a task: Django's order of events, in a worker.

RUNNING is written by the gate before the run; then come `task_started`, the function, its return value as JSON,
and `task_finished` once the task is over: not for an attempt that will be followed by another. What it comes to is
written when the worker settles the job, with everything else that becomes of it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

from django.utils import timezone

from sidelamb.control import Discard
from sidelamb.django import taskresult
from sidelamb.django.compat import base, framework, signals
from sidelamb.django.connections import own_connections
from sidelamb.django.record import attempt_of, described
from sidelamb.django.taskjob import TaskJob, current, find
from sidelamb.django.values import as_json
from sidelamb.errors import PayloadTooLarge, RedisError
from sidelamb.hooks import on_death
from sidelamb.results import MOST_RESULT, status_key
from sidelamb.server import server_middleware
from sidelamb.settings import default_client

__all__ = ["as_a_task", "tell_of_death"]

log = logging.getLogger("sidelamb.django")

_told: deque[tuple[str, int]] = deque(maxlen=1_000)
"""Tasks whose end was told: a job that is cut short is judged twice."""
_last = threading.local()
"""`result`: of the task that this thread has begun last."""


@server_middleware
def as_a_task(attempt: Any, call: Any) -> Any:
    """Run a task as Django says; leave other jobs alone."""
    job = find(attempt.name)
    if job is None:
        return call()
    result = _last.result = taskresult.of_attempt(attempt, job.task, _kept(attempt))
    token = current.set(result)
    try:
        signals.task_started.send(sender=_sender(result), task_result=result)
        returned = call()
        value = attempt.result = _checked(job, returned)
    except Discard as error:
        _finish_failed(result, error)
        raise
    finally:
        current.reset(token)
    taskresult.put(
        result, status=base.TaskResultStatus.SUCCESSFUL, finished_at=timezone.now(), _return_value=value
    )
    signals.task_finished.send_robust(sender=_sender(result), task_result=result)
    return value


@on_death
def tell_of_death(payload: dict[str, Any], error: BaseException) -> None:
    """Send `task_finished` for a task that has failed for good."""
    job, told = find(str(payload.get("class"))), (str(payload.get("jid")), attempt_of(payload))
    if job is None or told in _told:
        return
    _told.append(told)
    with own_connections():
        last = getattr(_last, "result", None)
        result = last if last is not None and last.id == told[0] else _unbegun(payload, job)
        _finish_failed(result, error)


def _finish_failed(result: Any, error: BaseException) -> None:
    result.errors.append(taskresult.error_of(described(error)))
    taskresult.put(result, status=base.TaskResultStatus.FAILED, finished_at=timezone.now())
    try:
        raise error  # noqa: TRY301 - so that Django's log has its traceback
    except BaseException:
        signals.task_finished.send_robust(sender=_sender(result), task_result=result)


def _checked(job: TaskJob, returned: Any) -> Any:
    """Return what a task returned as plain JSON.

    Raises:
        TypeError, ValueError: it is none.
        PayloadTooLarge: it is more than is kept.
    """
    value, size = as_json(returned, job.name)
    if size > MOST_RESULT:
        raise PayloadTooLarge(f"{job.name} returned {size:,} bytes of JSON, the limit is {MOST_RESULT:,}")
    return value


def _kept(attempt: Any) -> dict[str, str]:
    """Return what is kept of a task that has run before; of others the payload says all."""
    return {} if attempt_of(attempt.payload) == 1 else _record(attempt.jid)


def _record(jid: str) -> dict[str, str]:
    client = default_client()
    try:
        return taskresult.fields_of(client.link.command("HGETALL", client.store.keys(status_key(jid))))
    except RedisError as error:
        log.warning("what is kept of task %s could not be read (%s)", jid, error)
        return {}


def _unbegun(payload: dict[str, Any], job: TaskJob) -> Any:
    """Return the result of a task whose run is over: its sandbox is gone, or it never started."""
    fields = _record(str(payload.get("jid")))
    if "task" in fields:
        return taskresult.of_record(str(payload.get("jid")), job.task, fields)
    return taskresult.new(job.task, payload.get("args", []), payload.get("kwargs", {}), str(payload.get("jid")))


def _sender(result: Any) -> type:
    return type(framework.task_backends[result.backend])
