"""What is known of a batch, and waiting for its end."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidelamb.batchstore import BatchStore
from sidelamb.errors import SidelambError
from sidelamb.handle import NoResult, NotFinished

if TYPE_CHECKING:
    from collections.abc import Generator

    from sidelamb.batchstore import Looked
    from sidelamb.client import Client
    from sidelamb.store import Call

    Steps = Generator[Call[Looked], Looked, "BatchStatus"]

__all__ = ["BatchGone", "BatchStatus", "astatus_of", "results_of", "status_of", "status_steps", "wait_for"]

LOOK_S = 0.25
"""Between two looks of one who waits."""
BAR = 40
"""Characters of a progress bar."""


class BatchGone(SidelambError):
    """Nothing is known of the batch: it was not pushed, has expired or was deleted."""


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """What is known of a batch. Times are epoch seconds, None for what has not been yet."""

    bid: str
    description: str
    tags: tuple[str, ...]
    created_at: float
    total: int
    """Jobs that were enqueued in it."""
    pending: int
    """Members that have not succeeded yet: jobs, batches in it, and their callbacks."""
    unrun: int
    """Of these, those that have not run once."""
    failed: int
    """Of these, those whose last run failed and that will be tried again."""
    dead: tuple[str, ...]
    """Ids of those that have died. Retried by hand, one may still succeed."""
    discarded: int
    """Jobs that left it without a success: discarded, cancelled, expired or deleted."""
    is_open: bool
    """Whether its block has not ended."""
    completed_at: float | None
    """When each had run once."""
    over_at: float | None
    """When none was pending any more."""
    died_at: float | None
    """When the first job, here or in a batch in it, died."""
    cancelled_at: float | None
    parent: str
    """Id of the batch that it is in, or empty."""
    children: tuple[BatchStatus, ...] = ()

    @property
    def state(self) -> str:
        """open, running, complete, succeeded, or cancelled."""
        if self.cancelled_at is not None:
            return "cancelled"
        if self.over_at is not None:
            return "succeeded"
        if self.completed_at is not None:
            return "complete"
        return "open" if self.is_open else "running"

    @property
    def done(self) -> int:
        """Jobs that are through: those of the batch that are not pending."""
        return max(0, self.total - self.pending)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain |= {"state": self.state, "tags": list(self.tags), "dead": list(self.dead)}
        plain["children"] = [child.as_dict() for child in self.children]
        return plain


def status_steps(store: BatchStore, bid: str) -> Steps:
    """Look at a batch and at those in it."""
    looked = yield store.look(bid)
    if "created" not in looked.fields:
        raise BatchGone(f"nothing is known of batch {bid!r}: it was not pushed, has expired or was deleted")
    children = []
    for child in looked.children:
        try:
            children.append((yield from status_steps(store, child)))
        except BatchGone:
            continue
    return _status(bid, looked, tuple(children))


def status_of(client: Client, bid: str) -> BatchStatus:
    """Return what is known of a batch."""
    steps = status_steps(BatchStore(client.store.keys), bid)
    try:
        call = next(steps)
        while True:
            call = steps.send(client.link.run(call))
    except StopIteration as end:
        status: BatchStatus = end.value
        return status


async def astatus_of(client: Client, bid: str) -> BatchStatus:
    """`status_of` for async code."""
    link, steps = await client.loop_link(), status_steps(BatchStore(client.store.keys), bid)
    try:
        call = next(steps)
        while True:
            call = steps.send(await link.run(call))
    except StopIteration as end:
        status: BatchStatus = end.value
        return status


def results_of(client: Client, bid: str) -> dict[str, Any]:
    """Return what the jobs of a batch have returned, by their ids.

    Raises:
        NoResult: a result could not be kept.
    """
    reply = client.link.command(*BatchStore(client.store.keys).results(bid))
    return {jid.decode(): _value(jid.decode(), raw) for jid, raw in zip(reply[::2], reply[1::2], strict=True)}


def wait_for(client: Client, bid: str, timeout: float | None, *, progress: bool) -> BatchStatus:
    """Wait until nothing of a batch is to run by itself."""
    until = None if timeout is None else time.monotonic() + timeout
    try:
        while True:
            status = status_of(client, bid)
            if progress:
                _draw(status)
            if status.over_at is not None or (
                status.completed_at is not None and status.pending <= _stuck(status)
            ):
                return status
            if until is not None and time.monotonic() >= until:
                raise NotFinished(
                    f"batch {bid} ({status.pending} of {status.total} pending) has not ended in {timeout:g} s"
                )
            time.sleep(LOOK_S if until is None else min(LOOK_S, max(0.001, until - time.monotonic())))
    finally:
        if progress:
            sys.stderr.write("\n")


def _stuck(status: BatchStatus) -> int:
    """Return how many members wait for a person: the dead, and batches in it that wait for theirs."""
    return len(status.dead) + sum(
        child.over_at is None and child.pending <= _stuck(child) for child in status.children
    )


def _draw(status: BatchStatus) -> None:
    whole = BAR if not status.total else BAR * status.done // status.total
    end = f" {len(status.dead)} dead" if status.dead else ""
    sys.stderr.write(
        f"\r{status.description or status.bid} [{'#' * whole:<{BAR}}] {status.done}/{status.total}{end}"
    )
    sys.stderr.flush()


def _status(bid: str, looked: Looked, children: tuple[BatchStatus, ...]) -> BatchStatus:
    f = looked.fields
    ms = {name: int(f[name]) / 1000 if name in f else None for name in ("fired:complete", "over", "fired:death")}
    return BatchStatus(
        bid,
        f.get("description", ""),
        tuple(json.loads(f.get("tags", "[]"))),
        float(f["created"]),
        int(f.get("total", 0)),
        looked.pending,
        looked.unrun,
        looked.failed,
        tuple(looked.dead),
        int(f.get("discarded", 0)),
        "sealed" not in f,
        ms["fired:complete"],
        ms["over"],
        ms["fired:death"],
        float(f["cancelled"]) if "cancelled" in f else None,
        f.get("parent", ""),
        children,
    )


def _value(jid: str, raw: bytes) -> Any:
    value = json.loads(raw)
    if type(value) is dict and set(value) == {"unkept"}:
        raise NoResult(f"the job with jid {jid} has succeeded, but {value['unkept']}")
    return value
