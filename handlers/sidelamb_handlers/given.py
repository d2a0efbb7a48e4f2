"""The first argument of a job that its batch gives it.

For a callback that is the batch's status, for the job after a group the results of the group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb.api.steps import run
from sidelamb.batches.status import BatchGone, BatchStatus, read_results, status_steps
from sidelamb.batches.store import BatchStore
from sidelamb.errors import SidelambError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidelamb_handlers.attempt import Attempt

__all__ = ["given"]

_GROUP = ("its id", "what the ids of its jobs begin with", "how many they are")


def given(a: Attempt, args: Sequence[Any]) -> Sequence[Any]:
    """Return a job's arguments, the first of which stands for what is to be read now.

    Raises:
        SidelambError: results are not there any more, or never were.
        RedisError: Redis is away.
    """
    kind, first = a.payload["given"], args[0] if args else None
    if kind == "status" and type(first) is str:
        return [_status(a, first), *args[1:]]
    if kind == "results" and type(first) is list and len(first) == len(_GROUP):
        return [_results(a, *first), *args[1:]]
    return args  # a field of somebody else's


def _status(a: Attempt, bid: str) -> BatchStatus:
    if a.states is None:
        return BatchStatus(bid=bid)
    try:
        return run(a.states, status_steps(BatchStore(a.states.keys), bid))
    except BatchGone:  # it was retried for longer than its batch is known
        return BatchStatus(bid=bid)


def _results(a: Attempt, bid: str, base: str, count: int) -> list[Any]:
    if a.states is None:
        raise SidelambError(
            f"{a.name} gets the results of a group, and this worker has no Redis to read them from"
        )
    store, link = BatchStore(a.states.keys), a.states.link
    if link.command(*store.field(bid, "created")) is None:
        raise SidelambError(
            f"{a.name} (jid {a.jid}) gets the results of group {bid}, and they have expired; run the group again"
        )
    found = read_results(link.command(*store.results(bid)))
    return [found.get(f"{base}{place:08x}") for place in range(count)]
