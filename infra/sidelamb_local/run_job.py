"""`sidelamb run`: one job, in this process, on this terminal; so breakpoint() works.

It takes the way that a job takes in a worker: the payload is encoded and decoded, the name looked up in the
registry, the middleware wrapped around it, the outcome decided. Only Redis and Lambda are left out, so nothing
is retried.
"""

from __future__ import annotations

import asyncio
import bdb
import os
import random
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sidelamb
import sidelamb_handlers
from sidelamb import registry, settings
from sidelamb.hooks import invocation_ends, invocation_starts, sandbox_starts
from sidelamb.packing import Packer, new_jid
from sidelamb.payload import decode
from sidelamb.server import layers
from sidelamb_handlers.attempt import Attempt, Runner
from sidelamb_local.address import remembered
from sidelamb_local.errors import LocalStackError
from sidelamb_local.probe import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from sidelamb import Job
    from sidelamb_handlers.decision import Decision
    from sidelamb_local.project import Project

NOT_USERS = tuple(
    str(Path(file or "").parent) + os.sep
    for file in (sidelamb.__file__, sidelamb_handlers.__file__, __file__, asyncio.__file__)
)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of it."""

    outcome: str
    result: Any
    error: BaseException | None
    reason: str
    duration_ms: float
    failed: bool
    """A worker would count it as failed."""


def load_jobs(project: Project) -> None:
    """Become the app as a sandbox would: its folder, its environment (this shell's wins), its modules.

    Raises:
        LocalStackError: They cannot be imported; names file and line.
    """
    folder = project.worker.code_dir
    url = remembered(project.app_dir)
    if url:
        os.environ.setdefault("SIDELAMB_REDIS_URL", url)
    for name, value in project.worker.environment.items():
        os.environ.setdefault(name, value)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        registry.load(project.modules)
    except sidelamb.SidelambError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise LocalStackError(explain(error, folder)) from error


def find_job(name: str) -> Job[..., Any]:
    """Return the job of that name, or of that last part of a name if only one has it.

    Raises:
        LocalStackError: There is none; names the nearest.
    """
    found = registry.find(name)
    ends = [job for job in registry if job.name.endswith(f".{name}")]
    if found is None and len(ends) == 1:
        found = ends[0]
    if found is None:
        near = registry.nearest(name)
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(registry.names()) or 'none'}"
        raise LocalStackError(f"no job is named {name!r} in {', '.join(registry.modules())}; {hint}")
    return found


def run_job(job: Job[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Ran:
    """Run a job once, here and now.

    Raises:
        JobError: It cannot be called with these arguments.
        LocalStackError: A hook of the app failed; says which.
        KeyboardInterrupt: Somebody pressed Ctrl-C.
    """
    template = job.template
    template.shape.check(args, kwargs)
    payload = _packed(template.payload(args, kwargs, new_jid(), time.time()))
    results: list[Any] = []

    def keep_result(_attempt: Attempt, call: Callable[[], Any]) -> Any:
        results.append(call())
        return results[-1]

    runner = Runner(
        registry,
        lambda _attempt, coroutine: asyncio.run(coroutine),
        (*layers(), keep_result),
        random=random.random,
    )
    attempt = Attempt("0:" + job.options.queue, job.options.queue, payload, "local", "local")
    _call((*sandbox_starts, *invocation_starts))
    decision = runner.run(attempt)
    _call(invocation_ends)
    if isinstance(attempt.error, KeyboardInterrupt):
        raise KeyboardInterrupt
    return _ran(attempt, decision, results)


def _packed(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the payload as a worker reads it; what a client would refuse is refused."""
    packed = Packer(None, settings.max_payload(), settings.known_queues).pack(payload, time.time())
    assert packed is not None  # noqa: S101 - only middleware stops a job
    return decode(packed.raw)


def _call(hooks: Iterable[Callable[[], Any]]) -> None:
    for hook in hooks:
        try:
            hook()
        except Exception as error:
            name = getattr(hook, "__qualname__", hook)
            raise LocalStackError(f"the hook {name} failed: {type(error).__name__}: {error}") from error


def users_traceback(error: BaseException) -> str:
    """Return the traceback of a job's error from the job's own first line on."""
    if isinstance(error, bdb.BdbQuit):
        return "the debugger was left\n"
    return "".join(traceback.format_exception(type(error), error, _from_users_code(error.__traceback__)))


def _from_users_code(trace: TracebackType | None) -> TracebackType | None:
    first = trace
    while first is not None and first.tb_frame.f_code.co_filename.startswith(NOT_USERS):
        first = first.tb_next
    return first or trace


def _ran(attempt: Attempt, decision: Decision, results: list[Any]) -> Ran:
    return Ran(
        outcome=decision.outcome.value,
        result=results[-1] if results else None,
        error=attempt.error,
        reason=decision.reason,
        duration_ms=(attempt.ended_at - attempt.started_at) * 1000,
        failed=decision.failed,
    )
