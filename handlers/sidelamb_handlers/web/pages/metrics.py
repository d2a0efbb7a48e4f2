"""Each class: how many attempts, how many failed, how long they took; and the deploys between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb_handlers.metrics import BUCKETS_MS
from sidelamb_handlers.web.figures import FINEST_H, ClassFigures, Figures, Minute
from sidelamb_handlers.web.graph import columns
from sidelamb_handlers.web.page import Page
from sidelamb_handlers.web.words import span

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from starlette.responses import Response

    from sidelamb_handlers.web.figures import Mark
    from sidelamb_handlers.web.page import Visit

HOURS = (1, 2, 4, 8, 24, 48, 72)
MOST = 200
COLUMNS = 72


async def show(visit: Visit) -> Response:
    """Show all classes, those first that took the most time."""
    hours, q = _hours(visit), visit.said("q").strip().casefold()
    times, found = await Figures(visit.client).aclasses(hours)
    classes = sorted(found.values(), key=lambda one: (-one.ms, -one.processed, one.name))
    shown = [one for one in classes if q in one.name.casefold()]
    together = ClassFigures("all")
    for one in shown:
        for n, part in one.times.items():
            into = together.times.setdefault(n, Minute(part.at))
            into.processed += part.processed
            into.failed += part.failed
    marks = await Figures(visit.client).amarks(hours)
    return await visit.page(
        "metrics.html",
        classes=shown[:MOST],
        more=max(0, len(shown) - MOST),
        graph=_graph(together, times, marks),
        hours=hours,
        choices=HOURS,
        q=q,
        marks=marks,
        whole=sum(one.ms for one in shown) or 1,
    )


async def show_one(visit: Visit) -> Response:
    """Show one class."""
    hours, name = _hours(visit), visit.said("name")
    figures = Figures(visit.client)
    times, found = await figures.aclasses(hours)
    one, counts = found.get(name) or ClassFigures(name), await figures.ahistogram(name, hours)
    marks = await figures.amarks(hours)
    return await visit.page(
        "metric.html",
        one=one,
        graph=_graph(one, times, marks),
        histogram=columns([(label, n, 0) for label, n in _buckets(counts)]),
        untimed=_untimed(one, counts) if hours > FINEST_H else 0,
        percentiles=[(p, _percentile(counts, p / 100)) for p in (50, 90, 99)],
        hours=hours,
        choices=HOURS,
        marks=marks,
    )


def _hours(visit: Visit) -> int:
    hours = visit.said.number("hours", 1)
    return hours if hours in HOURS else 1


def _graph(one: ClassFigures, times: Sequence[dt.datetime], marks: Sequence[Mark]) -> object:
    """Return a graph of at most 72 columns."""
    each = -(-len(times) // COLUMNS)
    values = []
    for first in range(0, len(times), each):
        parts = [part for n in range(first, first + each) if (part := one.times.get(n))]
        label = f"{times[first]:%H:%M}" if len(times) <= FINEST_H * 60 else f"{times[first]:%a %H:%M}"
        values.append((label, sum(p.processed for p in parts), sum(p.failed for p in parts)))
    whole = (times[-1] - times[0]).total_seconds() or 1
    places = [((mark.at - times[0]).total_seconds() / whole, mark.label) for mark in marks]
    return columns(values, [place for place in places if 0 <= place[0] <= 1])


def _untimed(one: ClassFigures, counts: Sequence[int]) -> int:
    """Return how many attempts that did not fail are in no histogram: other Sidekiq processes ran them."""
    return max(0, one.processed - one.failed - sum(counts))


def _buckets(counts: Sequence[int]) -> list[tuple[str, int]]:
    limits = [f"< {span(limit / 1000)}" for limit in BUCKETS_MS]
    return list(zip([*limits, f"> {span(BUCKETS_MS[-1] / 1000)}"], counts, strict=True))


def _percentile(counts: Sequence[int], share: float) -> str:
    """Return the limit under which so large a share of attempts stayed."""
    wanted, seen = share * sum(counts), 0
    for limit, n in zip(BUCKETS_MS, counts, strict=False):
        seen += n
        if n and seen >= wanted:
            return f"< {span(limit / 1000)}"
    return f"> {span(BUCKETS_MS[-1] / 1000)}" if any(counts) else "—"


PAGES = (Page("/metrics", show, title="Metrics", place=80, key="m"), Page("/metric", show_one))
