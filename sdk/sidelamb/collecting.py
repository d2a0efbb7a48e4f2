"""Which batch takes the jobs that are enqueued here and now. Nothing else is here: every enqueue asks."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.batches.batch import Batch
    from sidelamb.packing import Packed

__all__ = ["Stand", "collecting", "is_member"]

collecting: ContextVar[Batch | None] = ContextVar("sidelamb_batch", default=None)
"""The batch whose `with` block this is."""


class Stand:
    """What stands in for Redis in tests."""

    in_for: Callable[[Batch], object] | None = None
    """Called at the end of the block of each batch; None outside of tests: the batch is pushed."""


def is_member(job: Packed) -> bool:
    """Say whether a job was made ready inside of a batch's block."""
    return any(effect.verb == "join" for effect in job.effects)
