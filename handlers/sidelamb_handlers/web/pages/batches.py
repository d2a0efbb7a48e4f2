"""The batches, and one with those in it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from sidelamb import Batch, Batches
from sidelamb.batches.status import BatchGone, BatchStatus
from sidelamb_handlers.web.page import Done, Page, paged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from sidelamb_handlers.web.page import Visit

SIZE = 25
MOST_ROWS = 500
"""Batches of one tree that are shown."""


async def show(visit: Visit) -> Response:
    """Show all batches: first those that are not over."""
    batches = Batches(visit.client)
    size = await batches.asize()
    page, pages = paged(visit.said.number("page"), size, SIZE)
    shown = await batches.apage(page, SIZE)
    rows = [(0, one, _moment(one.created_at)) for one in shown]
    return await visit.page("batches.html", rows=rows, size=size, page=page, pages=pages)


async def show_one(visit: Visit) -> Response:
    """Show one batch and its tree."""
    try:
        batch = await Batches(visit.client).afind(visit.said("bid"))
    except BatchGone as error:
        raise HTTPException(404, f"There is no such batch: {error}") from None
    tree = [(depth, one, _moment(one.created_at)) for depth, one in _tree(batch)]
    times = [
        ("made", batch.created_at),
        ("first job died", batch.died_at),
        ("cancelled", batch.cancelled_at),
        ("each had run once", batch.completed_at),
        ("over", batch.over_at),
    ]
    return await visit.page(
        "batch.html",
        batch=batch,
        rows=tree[1 : MOST_ROWS + 1],
        more=max(0, len(tree) - 1 - MOST_ROWS),
        times=sorted(((what, _moment(at)) for what, at in times if at is not None), key=lambda one: one[1]),
    )


async def act(visit: Visit) -> Done:
    """Cancel one."""
    bid = visit.said("bid")
    await Batch.of(bid, visit.client).acancel()
    return Done("batch.cancel", bid, 1, visit.to("/batch", bid=bid, did="cancel", n=1, of=1))


def _tree(batch: BatchStatus, depth: int = 0) -> Iterator[tuple[int, BatchStatus]]:
    yield depth, batch
    for child in batch.children:
        yield from _tree(child, depth + 1)


def _moment(epoch_s: float | None) -> dt.datetime | None:
    return None if epoch_s is None else dt.datetime.fromtimestamp(epoch_s, dt.UTC)


PAGES = (Page("/batches", show, title="Batches", place=60, key="b"), Page("/batch", show_one, act))
