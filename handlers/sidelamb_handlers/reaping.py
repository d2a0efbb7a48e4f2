"""What becomes of the jobs of a lease whose time is over.

Unclaimed: nothing of it ever ran, and nothing can run any more; its jobs go back to the heads of their queues.
Claimed: its invocation is dead and nobody heard of it. A job that was alone from the start is charged; of
several nobody knows which it was, so what is left of them is served alone from now on, uncharged.

Pure: clock and randomness are arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.keys import source_of
from sidelamb.store import keep
from sidelamb_handlers.decision import move
from sidelamb_handlers.failure import killed_raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.store import Held, Move

__all__ = ["reaping"]


def reaping(held: Held, *, now: float, random: Callable[[], float]) -> list[Move]:
    """Return where the jobs of an expired lease go; the last one ends at the very head of its list."""
    if not held.claim:
        return [keep(field) for field in reversed(held.jobs)]
    if not held.ran_alone:
        return [keep(field, alone=True) for field in reversed(held.jobs)]
    return [_charged(field, raw, held, now, random) for field, raw in held.jobs.items()]


def _charged(field: str, raw: bytes, held: Held, now: float, random: Callable[[], float]) -> Move:
    message = (
        f"its invocation (request {held.request_id}, in the log of the function of capsule {held.capsule}) "
        "had not settled it at its lease's deadline"
    )
    queue = source_of(field)[0]
    return move(field, killed_raw(raw, message, queue=queue, now=now, random=random), raw)
