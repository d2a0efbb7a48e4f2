"""A task as a job of ours: what a worker finds in its registry under the task's path.

A task registers when it is made, so a worker runs those that are declared in modules it has imported; nothing is
imported because a payload, or what is kept of one, names it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sidelamb.django.compat import base, invalid_task
from sidelamb.errors import JobError
from sidelamb.job import Job
from sidelamb.options import JobOptions, marks_of, wire_head
from sidelamb.registry import registry
from sidelamb.template import Template
from sidelamb.wording import shown

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "RESULT_TTL_S",
    "TaskJob",
    "check_options",
    "current",
    "find",
    "register",
    "register_all",
    "template_of",
]

RESULT_TTL_S = 7 * 86_400.0
"""Results are kept for a week after the end of their task."""

EXTRA = ("max_attempts", "backoff", "timeout", "unique_for")
"""Options that a task of ours has beside Django's."""

current: ContextVar[Any] = ContextVar("sidelamb_task_result")
"""The result of the task that runs, set around each run."""


class TaskJob(Job[..., Any]):
    """A task that can be run.

    Attributes:
        task: as it was declared.
    """

    def __init__(self, task: Any, max_attempts: int, result_ttl: float) -> None:
        options = {**options_of(task, max_attempts), "result_ttl": result_ttl}
        super().__init__(task.func, {"name": task.module_path, **options})
        self.task = task
        self.is_iterable = False
        self._made = template_of(task, max_attempts, result_ttl)

    def with_options(self, options: dict[str, Any]) -> Template:
        """Return its template with some options of a call changed; raises as `Job.using`."""
        made = super().with_options(options)
        made.head["django"] = self.task.backend
        return made

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function; an async one returns its coroutine."""
        if self.task.takes_context:
            return self.task.func(base.TaskContext(task_result=current.get()), *args, **kwargs)
        return self.task.func(*args, **kwargs)


def find(path: str) -> TaskJob | None:
    """Return the task that was declared under this path in an imported module, or None."""
    job = registry.find(path)
    return job if isinstance(job, TaskJob) else None


def register(task: Any, max_attempts: int, result_ttl: float) -> None:
    """Have workers know a task, unless they do: a variant by `using` is no declaration.

    Raises:
        InvalidTask: its options cannot be.
    """
    known = find(task.module_path)
    if known is not None and known.task.func is task.func:
        return
    try:
        registry.add(TaskJob(task, max_attempts, result_ttl))
    except JobError as error:
        raise invalid_task(str(error)) from error


def register_all(module: ModuleType | None) -> None:
    """Have this worker know every task in a module, also those that are declared for another backend."""
    for task in list(vars(module).values()) if module else ():
        if isinstance(task, base.Task) and find(task.module_path) is None:
            try:
                register(task, 1, RESULT_TTL_S)
            except invalid_task:
                continue  # not one that could be enqueued here


def options_of(task: Any, max_attempts: int) -> dict[str, Any]:
    """Return a task's options as a job's.

    Args:
        task: a task, of our class or Django's own.
        max_attempts: where the task itself says nothing.
    """
    said = {name: getattr(task, name, None) for name in EXTRA}
    attempts = said.pop("max_attempts")
    attempts = max_attempts if attempts is None else attempts
    if type(attempts) is not int or attempts < 1:
        raise invalid_task(
            f"{task.module_path}: max_attempts is {shown(attempts)}; expected a whole number from 1"
        )
    options: dict[str, Any] = {"queue": task.queue_name, "max_retries": attempts - 1}
    return options | {name: value for name, value in said.items() if value is not None}


def template_of(task: Any, max_attempts: int, result_ttl: float) -> Template:
    """Return what all enqueues of this variant of a task have in common. It takes any arguments, as Django does.

    Raises:
        InvalidTask: its options cannot be.
    """
    given = options_of(task, max_attempts)
    given.pop("backoff", None)
    try:
        options = JobOptions().with_(task.module_path, {**given, "result_ttl": result_ttl})
    except JobError as error:
        raise invalid_task(str(error)) from error
    head = wire_head(options, timeout_s=options.timeout_s)
    return Template(task.module_path, {**head, "django": task.backend}, marks=marks_of(options))


def check_options(task: Any, max_attempts: int) -> None:
    """Raise InvalidTask if an option of a task cannot be."""
    given = options_of(task, max_attempts)
    try:
        JobOptions().with_(task.module_path, given)
    except JobError as error:
        raise invalid_task(str(error)) from error
