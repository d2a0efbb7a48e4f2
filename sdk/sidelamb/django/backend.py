"""The backend of `django.tasks`: a task is a job, its id the job's, its result what is kept of the job.

    TASKS = {
        "default": {
            "BACKEND": "sidelamb.django.SidelambBackend",
            "QUEUES": ["default", "mail"],
            "OPTIONS": {"MAX_ATTEMPTS": 3, "RESULT_TTL": 86_400, "ON_COMMIT": True},
        }
    }

Priorities are not supported, and said not to be: a queue is first in, first out; put what is urgent into a queue
of its own that its capsule serves first.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone

import sidelamb.django.running  # noqa: F401 - puts itself around the tasks
from sidelamb.django import conf, taskjob, taskresult
from sidelamb.django.compat import base, exceptions, framework, invalid_backend, invalid_task, signals
from sidelamb.django.values import plain
from sidelamb.errors import BadOption, ConfigError, SidelambError
from sidelamb.names import is_queue_name
from sidelamb.options import JobOptions
from sidelamb.results import status_key
from sidelamb.settings import default_client
from sidelamb.transactions.committed import push
from sidelamb.wording import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sidelamb.client import Client
    from sidelamb.packing import Packed

__all__ = ["SidelambBackend", "SidelambTask", "task"]

BaseTaskBackend: Any = import_module(f"{framework.__name__}.backends.base").BaseTaskBackend


@dataclass(frozen=True, slots=True, kw_only=True)
class SidelambTask(base.Task):  # type: ignore[misc]  # Django has no types
    """A task with options of its own; `@task(max_attempts=5)` makes one where the backend is ours."""

    max_attempts: int | None = None
    """Runs, the first included; None for the backend's MAX_ATTEMPTS."""
    backoff: Callable[[int, BaseException], float | dt.timedelta | None] | None = None
    """Takes the number of the attempt that failed and its error; seconds to the next, as for `@job`."""
    timeout: float | dt.timedelta | None = None
    """Seconds that one run may take."""
    unique_for: float | dt.timedelta | None = None
    """Seconds in which a second enqueue with the same arguments gives the first one's result."""

    def using(self, **changes: Any) -> Any:
        """Return this task with other options; those that are None stay as they are.

        Raises:
            InvalidTask: one of them cannot be.
            TypeError: there is no such option.
        """
        fields = {f: getattr(self, f) for f in self.__dataclass_fields__}
        unknown = changes.keys() - (fields.keys() - {"func", "takes_context"})
        if unknown:
            name = min(unknown)
            raise TypeError(f"using() got an unexpected keyword argument {name!r}.{did_you_mean(name, fields)}")
        return type(self)(**{**fields, **{name: value for name, value in changes.items() if value is not None}})


def task(function: Callable[..., Any] | None = None, /, *, backend: str = "default", **options: Any) -> Any:
    """Declare a task with options of ours, where `django.tasks.task` takes none yet: Django 6.0.

    Args:
        function: what to run.
        backend: the alias of a SidelambBackend.
        **options: priority, queue_name, takes_context; max_attempts, backoff, timeout, unique_for.
    """

    def made(func: Callable[..., Any]) -> Any:
        said = {"priority": 0, "queue_name": "default", "takes_context": False, "run_after": None, **options}
        return framework.task_backends[backend].task_class(func=func, backend=backend, **said)

    return made if function is None else made(function)


class SidelambBackend(BaseTaskBackend):  # type: ignore[misc]  # Django has no types
    """Enqueues tasks as jobs. Making one connects to nothing: Django makes one for each thread."""

    task_class = SidelambTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        where = f"TASKS[{alias!r}]['OPTIONS']"
        given = dict(self.options)
        self.max_attempts = given.pop("MAX_ATTEMPTS", 1)
        self.result_ttl = given.pop("RESULT_TTL", taskjob.RESULT_TTL_S)
        on_commit = given.pop("ON_COMMIT", None)
        self.on_commit = DEFAULT_DB_ALIAS if on_commit is True else on_commit or None
        known = ("MAX_ATTEMPTS", "RESULT_TTL", "ON_COMMIT")
        for name in given:
            raise invalid_backend(f"{where} has no {name!r}, only {', '.join(known)}.{did_you_mean(name, known)}")
        if type(self.max_attempts) is not int or self.max_attempts < 1:
            raise invalid_backend(f"{where}: MAX_ATTEMPTS is {shown(self.max_attempts)}; expected an int from 1")
        if self.on_commit is not None and not isinstance(self.on_commit, str):
            raise invalid_backend(f"{where}: ON_COMMIT is {shown(on_commit)}; expected True or a database's alias")
        try:
            self.result_ttl = JobOptions().with_(where, {"result_ttl": self.result_ttl}).result_ttl_s
        except BadOption as error:
            raise invalid_backend(str(error).replace("result_ttl", "RESULT_TTL")) from error

    # --- what Django calls -------------------------------------------------------------------------------

    def validate_task(self, task: Any) -> None:
        """Raise InvalidTask for one that cannot be run, and have workers know it.

        A `run_after` may be a timedelta: it counts from now.
        """
        if isinstance(task.run_after, dt.timedelta):
            taskresult.put(task, run_after=timezone.now() + task.run_after)
        super().validate_task(task)
        taskjob.check_options(task, self.max_attempts)
        taskjob.register(task, self.max_attempts, self.result_ttl)

    def enqueue(self, task: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Store a task, in one round trip, and return its result.

        Raises:
            InvalidTask: it is not valid (any more).
            TypeError: an argument is not JSON.
            JobError, RedisError: as `Job.enqueue`.
        """
        result, packed = self._packed(task, args, kwargs)
        if self.on_commit is not None and transaction.get_connection(self.on_commit).in_atomic_block:
            transaction.on_commit(partial(self._committed, result, packed), using=self.on_commit)
            return result
        return self._stored(result, self.client._store_one(packed))  # noqa: SLF001 - one of the client's verbs

    async def aenqueue(self, task: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """`enqueue` for async code; only a transaction is looked for on a thread, the one that has it."""
        if self.on_commit is not None:
            return await sync_to_async(self.enqueue)(task, args, kwargs)
        result, packed = self._packed(task, args, kwargs)
        jid = await self.client._astore_one(packed)  # noqa: SLF001 - one of the client's verbs
        if jid != result.id:
            return await self.aget_result(jid)
        self._mark(result)
        await signals.task_enqueued.asend(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """Return what is kept of a task.

        Raises:
            TaskResultDoesNotExist: nothing is, or its task is not declared in any module that is imported here.
        """
        return self._read(result_id, self.client.link.command("HGETALL", self._key(result_id)))

    async def aget_result(self, result_id: str) -> Any:
        """`get_result` for async code."""
        link = await self.client.loop_link()
        return self._read(result_id, await link.command("HGETALL", self._key(result_id)))

    def check(self, **_: Any) -> Iterator[Any]:
        """Say what is wrong with the settings."""
        for queue in self.queues:
            if not is_queue_name(queue):
                hint = "Letters, digits and _ - . : only."
                yield checks.Error(f"{queue!r} cannot be the name of a queue.", hint=hint, id="sidelamb.E001")
        try:
            _client()
        except ConfigError as error:
            yield checks.Warning(str(error), hint="Or settings.SIDELAMB['redis'].", id="sidelamb.W001")

    # --- its own -----------------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """The process's client, with the project's settings."""
        return _client()

    def _packed(self, task: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, Packed]:
        self.validate_task(task)
        result = taskresult.new(task, args, kwargs)
        template = taskjob.template_of(task, self.max_attempts, self.result_ttl)
        at = None if task.run_after is None else _aware(task.run_after).timestamp()
        taskresult.put(result, args=plain(result.args), kwargs=plain(result.kwargs))
        packed = self.client.pack(template, result.args, result.kwargs, at)
        if packed is None:
            raise invalid_task(f"{task.module_path}: client middleware stopped it; nothing was enqueued")
        taskresult.put(result, id=packed.jid)
        return result, packed

    def _stored(self, result: Any, jid: str) -> Any:
        """Return the result of what was stored: of another task, if a unique one was there already."""
        if jid != result.id:
            return self.get_result(jid)
        self._mark(result)
        signals.task_enqueued.send(type(self), task_result=result)
        return result

    def _committed(self, result: Any, packed: Packed) -> None:
        push(self.client, [packed])
        self._mark(result)
        signals.task_enqueued.send(type(self), task_result=result)

    def _mark(self, result: Any) -> None:
        taskresult.put(result, enqueued_at=timezone.now())

    def _key(self, result_id: str) -> bytes:
        return self.client.store.keys(status_key(str(result_id)))

    def _read(self, result_id: str, reply: Sequence[bytes]) -> Any:
        fields = taskresult.fields_of(reply)
        if "task" not in fields:
            raise exceptions.TaskResultDoesNotExist(result_id)
        try:
            path = str(taskresult.path_of(fields))
            job = taskjob.find(path) or self._discovered(path)
            return taskresult.of_record(str(result_id), job.task, fields)
        except (SidelambError, LookupError) as error:
            raise exceptions.TaskResultDoesNotExist(f"{result_id}: {error}") from error

    def _discovered(self, path: str) -> Any:
        """Return a task of an installed app's `tasks`, the only modules that are imported to find one."""
        from django.utils.module_loading import autodiscover_modules  # noqa: PLC0415 - a process that asks once

        autodiscover_modules("tasks")
        job = taskjob.find(path)
        if job is None:
            raise LookupError(f"its task {path} is not declared in a module that is imported here")
        return job


def _client() -> Client:
    """Return the process's client; if the app is not installed nobody has configured it yet."""
    try:
        return default_client()
    except ConfigError:
        conf.apply()
        return default_client()


def _aware(moment: dt.datetime) -> dt.datetime:
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
