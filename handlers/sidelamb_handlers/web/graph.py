"""Graphs as shapes for the templates to draw in SVG. Pure; no library, nothing inline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HEIGHT", "WIDTH", "Column", "Graph", "columns"]

WIDTH, HEIGHT = 720, 120
GAP = 0.22


class Column(NamedTuple):
    """One column: what went well, and on it what failed."""

    label: str
    good: int
    failed: int
    x: float
    width: float
    good_y: float
    good_height: float
    failed_y: float
    failed_height: float


class Graph(NamedTuple):
    """A graph of columns."""

    columns: list[Column]
    top: int
    """What its upper edge stands for."""
    total: int
    failed: int
    first: str
    last: str
    marks: list[tuple[float, str]]
    """Where a deploy was, and its label."""


def columns(values: Sequence[tuple[str, int, int]], marks: Sequence[tuple[float, str]] = ()) -> Graph:
    """Return a graph.

    Args:
        values: for each column its label, all, and those of them that failed.
        marks: deploys, each with its place from 0 to 1.
    """
    top = _top(max((total for _, total, _ in values), default=0))
    step = WIDTH / max(1, len(values))
    gap = GAP * step
    out = []
    for n, (label, total, failures) in enumerate(values):
        failed = max(0, min(failures, total))
        bad, good = HEIGHT * failed / top, HEIGHT * max(0, total - failed) / top
        x, y = round(n * step + gap / 2, 2), HEIGHT - good
        shape = (round(v, 2) for v in (step - gap, y, good, y - bad, bad))
        out.append(Column(label, total - failed, failed, x, *shape))
    return Graph(
        out,
        top,
        sum(total for _, total, _ in values),
        sum(failed for *_, failed in values),
        values[0][0] if values else "",
        values[-1][0] if values else "",
        [(round(place * WIDTH, 1), label) for place, label in marks],
    )


def _top(highest: int) -> int:
    """Return the next number up that is easy to read."""
    if highest <= 4:  # noqa: PLR2004
        return 4
    unit = 10 ** (math.floor(math.log10(highest)))
    return int(next(unit * n for n in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * n >= highest))
