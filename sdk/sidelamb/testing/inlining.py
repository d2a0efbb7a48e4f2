"""`inline()`: each job runs at once, where it is enqueued, from the bytes that Redis would have got.

So a job gets no object of the caller's, and what JSON cannot carry is refused. Server middleware is around it,
hooks are told; it runs on the thread that enqueues it, in its database transaction.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from sidelamb.control import Control
from sidelamb.errors import SidelambError
from sidelamb.payload import decode
from sidelamb.registry import registry
from sidelamb.server import layers
from sidelamb.testing.draining import handlers
from sidelamb.testing.faking import instead
from sidelamb.testing.recorded import Jobs, Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb.batches.batch import Batch
    from sidelamb.batches.status import BatchStatus

__all__ = ["inline"]


@contextmanager
def inline() -> Iterator[Jobs]:
    """Run jobs as they are enqueued, scheduled ones too, once each; needs no Redis.

    What a job raises, whoever enqueued it gets; not a job's own word (Retry, Snooze, Discard, Kill). The jobs are
    recorded as by `fake`.

    At the end of a batch's block `on_complete` and `on_success` are called, with a status that counts its jobs. Of
    a chain the steps run one after the other; a workflow with a group needs a Redis: `drain`.
    """
    jobs, members = Jobs(), Counter[str]()

    def take(job: Recorded, status: BatchStatus | None = None) -> None:
        jobs.add(job)
        members[str(job.payload.get("bid"))] += 1
        result = run(job, status)
        if job.payload.get("chain"):
            take(_following(job, result))

    def at_end(batch: Batch) -> None:
        from sidelamb.batches.status import BatchStatus  # noqa: PLC0415 - who has a batch has imported it

        if batch.more:
            raise SidelambError(
                "inline() runs no workflow with a group and a step after it; use drain() and a Redis"
            )
        for event in ("complete", "success"):
            if event in batch.callbacks:
                packed = batch.callbacks[event]
                status = BatchStatus(
                    bid=batch.bid, description=batch.description, created_at=0.0, total=members[batch.bid]
                )
                take(Recorded(packed.name, packed.jid, packed.queue, None, decode(packed.raw)), status)

    with instead(take, at_end):
        yield jobs


def _following(job: Recorded, result: Any) -> Recorded:
    """Return the step that follows one of a chain."""
    from sidelamb.workflows.carrying import following  # noqa: PLC0415 - only for workflows

    payload = following(job.payload, result, time.time())
    return Recorded(payload["class"], payload["jid"], payload["queue"], None, payload)


def run(job: Recorded, status: BatchStatus | None = None) -> Any:
    """Run a recorded job here and now, and return its result; raises what it raises.

    Args:
        job: the job.
        status: of the batch whose callback it is.
    """
    attempt_module = handlers("attempt")
    runner = attempt_module.Runner(registry, _run_async, layers(), random=random.random, unknown_for_s=0.0)
    attempt = attempt_module.Attempt(f"0:{job.queue}", job.queue, job.payload, "inline", "inline:1")
    if status is not None:
        attempt.payload = {**job.payload, "args": [status, *job.payload["args"][1:]], "given": None}
    decision = runner.run(attempt)
    if not decision.failed or isinstance(attempt.error, Control):
        return attempt.result
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
