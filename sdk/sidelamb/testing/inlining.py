"""`inline()`: each job runs at once, where it is enqueued, from the bytes that Redis would have got.

So a job gets no object of the caller's, and what JSON cannot carry is refused. Server middleware is around it,
hooks are told; it runs on the thread that enqueues it, in its database transaction.
"""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from sidelamb.control import Control
from sidelamb.errors import SidelambError
from sidelamb.registry import registry
from sidelamb.server import layers
from sidelamb.testing.draining import handlers
from sidelamb.testing.faking import instead
from sidelamb.testing.recorded import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb.testing.recorded import Recorded

__all__ = ["inline"]


@contextmanager
def inline() -> Iterator[Jobs]:
    """Run jobs as they are enqueued, scheduled ones too, once each; needs no Redis.

    What a job raises, whoever enqueued it gets; not a job's own word (Retry, Snooze, Discard, Kill). The jobs are
    recorded as by `fake`.
    """
    jobs = Jobs()

    def take(job: Recorded) -> None:
        jobs.add(job)
        run(job)

    with instead(take):
        yield jobs


def run(job: Recorded) -> None:
    """Run a recorded job here and now; raises what it raises."""
    attempt_module = handlers("attempt")
    runner = attempt_module.Runner(registry, _run_async, layers(), random=random.random, unknown_for_s=0.0)
    attempt = attempt_module.Attempt(f"0:{job.queue}", job.queue, job.payload, "inline", "inline:1")
    decision = runner.decode(attempt) or runner.attempt(attempt)
    if not decision.failed or isinstance(attempt.error, Control):
        return
    if attempt.error is not None:
        raise attempt.error
    raise SidelambError(str(decision.changes.get("error_message") or decision.reason))


def _run_async(_attempt: Any, awaitable: Any) -> Any:
    async def awaited() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaited())
    with ThreadPoolExecutor(1) as other:  # a loop cannot run in a loop
        return other.submit(copy_context().run, asyncio.run, awaited()).result()
