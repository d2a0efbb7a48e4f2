"""A job found wherever it is: queues, scheduled, in flight, retries, dead; or by what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.api import Stats
from sidelamb_handlers.web.everywhere import look
from sidelamb_handlers.web.kept import kept_of
from sidelamb_handlers.web.page import Page

if TYPE_CHECKING:
    from starlette.responses import Response

    from sidelamb_handlers.web.page import Visit


async def show(visit: Visit) -> Response:
    """Show what a search found so far, and how far it came."""
    q, summary = visit.said("q").strip(), await Stats(visit.client).asummary()
    if not q:
        return await visit.page("everywhere.html", summary=summary, q="")
    before = visit.said.number("looked")
    cursor = visit.said.number("cursor", most=2**64 - 1)
    part = await look(visit.client, q, visit.said("place"), cursor, before)
    is_there = any(hit.job.jid == q for hit in part.hits)
    kept = None if is_there else await kept_of(visit.client, q)
    if kept is not None and part.place and not kept.is_gone:
        kept = None  # it is further on
    more = {"place": part.place, "cursor": part.cursor, "looked": part.looked}
    going = visit.url("/search", q=q, **more) if part.place and kept is None else ""
    total = summary.enqueued + summary.scheduled + summary.retrying + summary.dead
    return await visit.page(
        "everywhere.html",
        summary=summary,
        q=q,
        rows=part.hits,
        going=going,
        is_first=not before,
        kept=kept,
        is_found=is_there or kept is not None,
        looked=min(part.looked, total) if part.place else part.looked,
        total=total,
    )


PAGES = (Page("/search", show, title="Search", place=50, key="j"),)
