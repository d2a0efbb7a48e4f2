"""Django's `TaskResult`, made of what Redis keeps, or of a payload that a worker has at hand.

Django has four statuses, a job more: what waits, is scheduled or will be retried is READY; what is dead, was
dropped, cancelled or deleted is FAILED.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from sidelamb.django.compat import base, invalid_backend, invalid_task
from sidelamb.django.record import attempt_of
from sidelamb.lenient import epoch_s, number
from sidelamb.results import OVER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["error_of", "fields_of", "new", "of_attempt", "of_record", "path_of", "put"]

Status = base.TaskResultStatus


def fields_of(reply: Sequence[bytes]) -> dict[str, str]:
    """Read a hash."""
    return {n.decode(): v.decode(errors="replace") for n, v in zip(reply[::2], reply[1::2], strict=True)}


def when(epoch: object) -> dt.datetime | None:
    """Return epoch seconds as Django has times: aware if USE_TZ says so."""
    seconds = epoch_s(epoch)
    if seconds is None:
        return None
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment if settings.USE_TZ else timezone.make_naive(moment)


def path_of(fields: Mapping[str, str]) -> str:
    """Return the path of the task that a hash is about."""
    return str(json.loads(fields["task"])["path"])


def put(result: Any, **fields: Any) -> None:
    """Change a result, which is frozen."""
    for name, value in fields.items():
        object.__setattr__(result, name, value)


def new(task: Any, args: Any, kwargs: Any, jid: str = "") -> Any:
    """Return the result of a task that is not enqueued yet.

    Raises:
        TypeError: an argument is not JSON.
    """
    return base.TaskResult(
        task=task,
        id=jid,
        status=Status.READY,
        enqueued_at=None,
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=args,
        kwargs=kwargs,
        backend=task.backend,
        errors=[],
        worker_ids=[],
    )


def of_record(jid: str, task: Any, fields: Mapping[str, str]) -> Any:
    """Return the result that a hash says.

    Args:
        jid: its id.
        task: the task, as declared.
        fields: the hash.
    """
    said = json.loads(fields["task"])
    run_after = when(said["run_after"])
    task = _variant(task, queue_name=said["queue"], backend=said["backend"], run_after=run_after)
    result = new(task, said["args"], said["kwargs"], jid)
    workers, is_over = _numbered(fields, "worker:"), fields.get("state") in OVER
    times = [text.partition(" ")[0] for text in workers]
    put(
        result,
        status=_status(fields.get("state", "")),
        enqueued_at=when(_number(fields.get("enqueued_at"))),
        started_at=when(_number(times[0])) if times else None,
        last_attempted_at=when(_number(times[-1])) if times else None,
        finished_at=when(_number(fields.get("finished_at"))) if is_over else None,
        errors=[_error(text) for text in _numbered(fields, "error:") if text],
        worker_ids=[text.partition(" ")[2] for text in workers],
        _return_value=json.loads(fields["result"]) if "result" in fields and is_over else None,
    )
    return result


def of_attempt(attempt: Any, task: Any, fields: Mapping[str, str]) -> Any:
    """Return the result of a task that runs now; `fields` is its hash, empty if its first run needs none."""
    payload = attempt.payload
    if fields.get("task"):
        result = of_record(attempt.jid, task, fields)
    else:
        task = _variant(task, queue_name=payload.get("queue"), backend=payload.get("django"))
        result = new(task, payload.get("args", []), payload.get("kwargs", {}), attempt.jid)
        put(result, enqueued_at=when(payload.get("created_at")))
    now, count = timezone.now(), attempt_of(payload)
    workers = result.worker_ids[: count - 1]
    workers += ["unknown"] * (count - 1 - len(workers))
    started = result.started_at or now
    put(result, status=Status.RUNNING, started_at=started, last_attempted_at=now, finished_at=None)
    put(result, worker_ids=[*workers, attempt.request_id])
    return result


def _variant(task: Any, **changes: Any) -> Any:
    """Return a task as it was enqueued; as it is declared if the settings do not allow that any more."""
    try:
        return task.using(**changes)
    except (invalid_task, invalid_backend):
        return task


def error_of(described: Sequence[str]) -> Any:
    """Return Django's error of what `record.described` returned."""
    return base.TaskError(exception_class_path=described[0], traceback=described[1])


def _error(text: str) -> Any:
    return error_of(json.loads(text))


def _status(state: str) -> Any:
    if state in OVER:
        return Status.SUCCESSFUL if state == "succeeded" else Status.FAILED
    return Status.RUNNING if state == "running" else Status.READY


def _numbered(fields: Mapping[str, str], prefix: str) -> list[str]:
    """Return the values of `prefix1`, `prefix2`, …; where one is missing between others it is empty."""
    found = {
        int(n[len(prefix) :]): v for n, v in fields.items() if n.startswith(prefix) and n[len(prefix) :].isdigit()
    }
    return [found.get(n, "") for n in range(1, max(found, default=0) + 1)]


def _number(text: str | None) -> float | None:
    try:
        return number(float(text)) if text else None
    except ValueError:
        return None
