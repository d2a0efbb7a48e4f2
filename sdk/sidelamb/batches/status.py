"""What is known of a batch, and of the batches in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from sidelamb.errors import SidelambError
from sidelamb.handle import NoResult
from sidelamb.lenient import epoch_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidelamb.api.steps import Steps
    from sidelamb.batches.store import BatchStore, Looked

__all__ = ["BatchGone", "BatchStatus", "read_results", "shallow_steps", "status_steps"]

LOOK_AT_ONCE = 100
"""Batches in one round trip."""

_TIMES = ("fired:complete", "over", "fired:death", "cancelled")


class BatchGone(SidelambError):
    """Nothing is known of the batch: it was not pushed, has expired or was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """What is known of a batch. Times are epoch seconds, None for what has not been yet."""

    __sidelamb_plain__: ClassVar[bool] = True  # as an annotation of a callback: no argument that is to be carried

    bid: str
    description: str = ""
    tags: tuple[str, ...] = ()
    created_at: float | None = None
    """None if nothing is known of it any more."""
    total: int = 0
    """Jobs that were enqueued in it, without those of the batches in it."""
    pending: int = 0
    """Of these, those that are neither through nor gone."""
    unrun: int = 0
    """Of these, those that have not run once."""
    failed: int = 0
    """Of these, those whose last run failed: they wait for a retry, or are dead."""
    dead: tuple[str, ...] = ()
    """Ids of those that are dead. Retried by hand, one may still succeed."""
    discarded: int = 0
    """Jobs that left it without a success: discarded, cancelled, expired or deleted."""
    lost: int = 0
    """Jobs that have died and are not kept (`on_exhausted="discard"`): nobody can retry them."""
    is_open: bool = False
    """Whether its block has not ended."""
    completed_at: float | None = None
    """When each had run once."""
    over_at: float | None = None
    """When none was pending any more."""
    died_at: float | None = None
    """When the first job, here or in a batch in it, died."""
    cancelled_at: float | None = None
    parent: str = ""
    """Id of the batch that it is in, or empty."""
    has_lost: bool = False
    """Whether a job here, or in a batch in it that is over, is lost: it cannot succeed any more."""
    is_still: bool = False
    """Whether nothing of it, or in it, is going to run by itself."""
    children: tuple[BatchStatus, ...] = ()
    """The batches in it."""

    @property
    def state(self) -> str:
        """open, running, complete, succeeded, failed, cancelled, or unknown."""
        if self.created_at is None:
            return "unknown"
        if self.cancelled_at is not None:
            return "cancelled"
        if self.over_at is not None:
            return "failed" if self.has_lost else "succeeded"
        if self.completed_at is not None:
            return "complete"
        return "open" if self.is_open else "running"

    @property
    def done(self) -> int:
        """Jobs that are through or gone."""
        return max(0, self.total - self.pending)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain |= {"state": self.state, "tags": list(self.tags), "dead": list(self.dead)}
        plain["children"] = [child.as_dict() for child in self.children]
        return plain


def status_steps(store: BatchStore, bid: str) -> Steps[BatchStatus]:
    """Look at a batch and at those in it, level by level."""
    found: dict[str, tuple[BatchStatus, Sequence[str]]] = {}
    level: Sequence[str] = [bid]
    while level:
        below: dict[str, None] = {}
        for first in range(0, len(level), LOOK_AT_ONCE):
            part = level[first : first + LOOK_AT_ONCE]
            for one, looked in zip(part, (yield store.look(part)), strict=True):
                if "created" in looked.fields:
                    found[one] = (_status(one, looked), looked.children)
                    below |= dict.fromkeys(looked.children)
        level = [one for one in below if one not in found]
    if bid not in found:
        raise BatchGone(f"nothing is known of batch {bid!r}: it was not pushed, has expired or was deleted")
    return _whole(bid, found)


def shallow_steps(store: BatchStore, bids: Sequence[str]) -> Steps[list[BatchStatus]]:
    """Look at batches, without those in them; those that are gone are left out."""
    looked = (yield store.look(bids)) if bids else []
    return [_status(bid, one) for bid, one in zip(bids, looked, strict=True) if "created" in one.fields]


def read_results(reply: Sequence[bytes]) -> dict[str, Any]:
    """Return results by the ids of their jobs, in the order of these.

    Raises:
        NoResult: one could not be kept.
    """
    pairs = sorted(zip(reply[::2], reply[1::2], strict=True))
    return {jid.decode(): _value(jid.decode(), raw) for jid, raw in pairs}


def _whole(bid: str, found: Mapping[str, tuple[BatchStatus, Sequence[str]]]) -> BatchStatus:
    status, below = found[bid]
    children = tuple(_whole(child, found) for child in below if child in found)
    return replace(status, children=children, is_still=status.is_still and all(one.is_still for one in children))


def _status(bid: str, looked: Looked) -> BatchStatus:
    f = looked.fields
    ms = {name: at / 1000 for name in _TIMES if (at := epoch_s(f.get(name)))}
    return BatchStatus(
        bid=bid,
        description=f.get("description", ""),
        tags=_tags(f.get("tags", "[]")),
        created_at=epoch_s(f["created"]) or 0.0,
        total=_count(f.get("total")),
        pending=looked.pending,
        unrun=looked.unrun,
        failed=looked.failed + len(looked.dead),
        dead=tuple(looked.dead),
        discarded=_count(f.get("discarded")),
        lost=_count(f.get("lost")),
        has_lost="lost" in f,
        is_open="sealed" not in f,
        completed_at=ms.get("fired:complete"),
        over_at=ms.get("over"),
        died_at=ms.get("fired:death"),
        cancelled_at=ms.get("cancelled"),
        parent=f.get("parent", ""),
        is_still="over" in f or ("sealed" in f and looked.moving == 0),
    )


def _count(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


def _tags(text: str) -> tuple[str, ...]:
    """Return tags; none if somebody else has written there."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(str(tag) for tag in found) if isinstance(found, list) else ()


def _value(jid: str, raw: bytes) -> Any:
    value = json.loads(raw)
    if type(value) is dict and set(value) == {"unkept"}:
        raise NoResult(f"the job with jid {jid} has succeeded, but {value['unkept']}")
    return value
