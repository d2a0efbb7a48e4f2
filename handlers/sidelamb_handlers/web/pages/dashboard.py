"""The first page: how it goes, in a sentence, in numbers, and in the last hour and month."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.api import Processes, Stats
from sidelamb_handlers.web.figures import Figures
from sidelamb_handlers.web.graph import columns
from sidelamb_handlers.web.health import sentences
from sidelamb_handlers.web.pace import pace
from sidelamb_handlers.web.page import Page

if TYPE_CHECKING:
    from starlette.responses import Response

    from sidelamb_handlers.web.page import Visit

DAYS = (7, 30, 90, 365)
MOST_QUEUES = 8


async def show(visit: Visit) -> Response:
    """Show it."""
    days = visit.said.number("days", 30)
    days = days if days in DAYS else 30
    stats, figures = Stats(visit.client), Figures(visit.client)
    summary = await stats.asummary()
    queues = await stats.alisted()
    history = (await stats.ahistory(days))[::-1]
    hour = await figures.aminutes(60)
    processes, _ = await Processes(visit.client).apage()
    return await visit.page(
        "dashboard.html",
        summary=summary,
        queues=[*queues.items()][:MOST_QUEUES],
        more_queues=max(0, len(queues) - MOST_QUEUES),
        sentences=sentences(summary, [*queues.values()], processes, hour),
        hour=columns([(m.label, m.processed, m.failed) for m in hour]),
        history=columns([(f"{d.day:%a %d %b}", d.processed, d.failed) for d in history]),
        total=(sum(m.processed for m in hour), sum(m.failed for m in hour)),
        pace=pace(hour),
        days=days,
        choices=DAYS,
    )


PAGES = (Page("/", show, title="Dashboard", place=0, key="d"),)
