"""A batch for people, as a tree, and for programs; and waiting for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sidelamb.api.record import moment
from sidelamb_local.listing import clock
from sidelamb_local.long_work import LongWork
from sidelamb_local.plain import iso, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb import Batch, BatchStatus

__all__ = ["COLUMNS", "NUMBERS", "as_json", "row", "tree", "wait"]

COLUMNS = ("bid", "description", "state", "done", "total", "dead", "created")
NUMBERS = ("done", "total", "dead")
BAR = 20
"""Characters of a bar."""
LOOK_S = 0.25
"""Between two looks, while one waits."""


def as_json(status: BatchStatus) -> dict[str, Any]:
    """Return a batch for a program, without those in it. The fields stand in docs/command-line.md."""
    return {
        "bid": status.bid,
        "description": status.description,
        "tags": list(status.tags),
        "state": status.state,
        "total": status.total,
        "pending": status.pending,
        "unrun": status.unrun,
        "failed": status.failed,
        "dead": list(status.dead),
        "discarded": status.discarded,
        "created_at": _iso(status.created_at),
        "completed_at": _iso(status.completed_at),
        "over_at": _iso(status.over_at),
        "died_at": _iso(status.died_at),
        "cancelled_at": _iso(status.cancelled_at),
        "parent": status.parent,
    }


def with_children(status: BatchStatus) -> dict[str, Any]:
    """Return a batch for a program, with those in it."""
    return {**as_json(status), "children": [with_children(child) for child in status.children]}


def row(status: BatchStatus) -> list[Any]:
    """Return a batch as a row of `COLUMNS`."""
    created = clock(_moment(status.created_at))
    numbers = [f"{n:,}" for n in (status.done, status.total, len(status.dead))]
    return [status.bid, status.description, status.state, *numbers, created]


def tree(status: BatchStatus, before: str = "", under: str = "") -> Iterator[str]:
    """Give a line for a batch and for each that is in it."""
    yield before + _line(status)
    for child in status.children:
        last = child is status.children[-1]
        yield from tree(child, under + ("└─ " if last else "├─ "), under + ("   " if last else "│  "))


def wait(batch: Batch, timeout_s: float | None) -> tuple[BatchStatus, bool, bool]:
    """Wait until nothing of a batch is going to run by itself, with a bar.

    Returns:
        How it is then, whether it is still, and whether nobody pressed Ctrl-C.

    Raises:
        BatchGone: nothing is known of it (any more).
    """
    until = None if timeout_s is None else time.monotonic() + timeout_s
    status = batch.status()
    with LongWork("waiting", status.total, "through") as work:
        while not status.is_still and work.goes_on:
            work.far(*_sums(status))
            left_s = LOOK_S if until is None else min(LOOK_S, until - time.monotonic())
            if left_s <= 0:
                break
            time.sleep(left_s)
            status = batch.status()
        work.far(*_sums(status))
    return status, status.is_still, work.goes_on


def _line(status: BatchStatus) -> str:
    full = BAR * status.done // status.total if status.total else BAR
    name = plain(status.description or status.bid, 60)
    beside = f"  {plain(status.bid)}" if status.description else ""
    numbers = f"{status.done:,} of {status.total:,}"
    more = {"dead": len(status.dead), "failed": status.failed - len(status.dead), "discarded": status.discarded}
    said = "".join(f", {n:,} {word}" for word, n in more.items() if n)
    return f"{name}  {status.state}  [{'#' * min(full, BAR):<{BAR}}] {numbers}{said}{beside}"


def _sums(status: BatchStatus) -> tuple[int, int]:
    """Return how many jobs are through, and how many there are, here and in the batches in it."""
    below = [_sums(child) for child in status.children]
    return status.done + sum(done for done, _ in below), status.total + sum(total for _, total in below)


def _moment(at: float | None) -> Any:
    return None if at is None else moment(at)


def _iso(at: float | None) -> str | None:
    return iso(_moment(at))
