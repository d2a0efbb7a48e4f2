"""Plots as SVG: bars beside names, and lines over time. They read well on light and on dark pages. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bars", "lines"]

WIDTH, LABEL, VALUE = 760, 190, 120
BAR, GAP, HEAD = 18, 8, 44
HEIGHT, LEFT, BOTTOM, TOP = 320, 80, 44, 66
TINY = 1e-9
COLOURS = ("#2f81f7", "#e3742f", "#3fa45b", "#a371f7", "#c93c78")
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.soft { fill: #656d76; }
.axis { stroke: #8c959f; stroke-width: 1; fill: none; opacity: .5; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .soft { fill: #9198a1; } }
</style>"""


def bars(
    title: str, rows: Sequence[tuple[str, float]], *, form: str = ",.0f", ours: str = "", log: bool = False
) -> str:
    """Return a bar for each (name, value).

    Args:
        title: above it.
        rows: from top to bottom.
        form: of the values, as `format` takes it.
        ours: the name whose bar stands out.
        log: each tenfold is as long as the next; the title should say so.
    """
    most = max((value for _, value in rows), default=1.0) or 1.0
    least = min((value for _, value in rows if value > 0), default=1.0)
    room = WIDTH - LABEL - VALUE
    parts = [_text(0, 20, title, "title")]
    for n, (name, value) in enumerate(rows):
        y = HEAD + n * (BAR + GAP)
        length = max(1.0, room * (_log_share(value, least, most) if log else value / most))
        colour = COLOURS[0] if name == ours else "#8c959f"
        parts.append(_text(LABEL - 10, y + BAR - 4, name, anchor="end"))
        parts.append(f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3" fill="{colour}"/>')
        parts.append(_text(LABEL + length + 8, y + BAR - 4, format(value, form), "soft"))
    return _svg(HEAD + len(rows) * (BAR + GAP), title, parts)


def lines(
    title: str,
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    *,
    across: str,
    up: str,
    form: str = ",.0f",
) -> str:
    """Return a line for each (name, points).

    Args:
        title: above it.
        series: with points from left to right.
        across: what stands under the lower axis.
        up: what stands above the left one.
        form: of the numbers at the left axis.
    """
    every = [point for _, points in series for point in points]
    right, top = _round(max((x for x, _ in every), default=1.0)), _round(max((y for _, y in every), default=1.0))
    width, height = WIDTH - LEFT - 20, HEIGHT - TOP - BOTTOM
    parts = [_text(0, 20, title, "title"), *_legend([name for name, _ in series])]
    for n in range(5):
        y = TOP + height * (1 - n / 4)
        parts.append(f'<path class="axis" d="M{LEFT} {y:.1f}H{LEFT + width}"/>')
        parts.append(_text(LEFT - 8, y + 4, format(top * n / 4, form), "soft", "end"))
        parts.append(
            _text(LEFT + width * n / 4, HEIGHT - BOTTOM + 18, format(right * n / 4, ",.4g"), "soft", "middle")
        )
    parts += [_text(LEFT, TOP - 8, up, "soft"), _text(LEFT + width / 2, HEIGHT - 8, across, "soft", "middle")]
    for n, (_, points) in enumerate(series):
        path = " ".join(
            f"{LEFT + width * x / right:.1f},{TOP + height * (1 - y / top):.1f}" for x, y in _thinned(points)
        )
        colour = COLOURS[n % len(COLOURS)]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return _svg(HEIGHT, title, parts)


def _legend(names: Sequence[str]) -> list[str]:
    parts, x = [], 0.0
    for n, name in enumerate(names):
        parts.append(
            f'<rect x="{x:.0f}" y="31" width="12" height="12" rx="3" fill="{COLOURS[n % len(COLOURS)]}"/>'
        )
        parts.append(_text(x + 18, 42, name))
        x += 34 + 7 * len(name)
    return parts


def _thinned(points: Sequence[tuple[float, float]], most: int = 300) -> Sequence[tuple[float, float]]:
    step = max(1, math.ceil(len(points) / most))
    return [*points[::step], *points[-1:]]


def _log_share(value: float, least: float, most: float) -> float:
    """Return how far along a logarithmic axis that begins at a third of `least`."""
    if value <= 0:
        return 0.0
    begin = math.log(least) - math.log(3)
    return (math.log(value) - begin) / (math.log(most) - begin)


def _round(value: float) -> float:
    """Return the next number that reads well, at least `value`."""
    if value < TINY:
        return 1.0
    tens = 10 ** math.floor(math.log10(value))
    return next(float(step * tens) for step in (1, 2, 2.5, 4, 5, 8, 10, 20) if step * tens >= value)


def _text(x: float, y: float, text: str, css: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img"'
    return "\n".join([f"{head}><title>{escape(title)}</title>", STYLE, *parts, "</svg>\n"])
