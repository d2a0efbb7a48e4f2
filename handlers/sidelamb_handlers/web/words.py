"""How numbers, times and arguments are said on a page. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from sidelamb_handlers.called import as_called

if TYPE_CHECKING:
    import datetime as dt

    from sidelamb.api import JobRecord

__all__ = ["FILTERS", "ago", "arguments", "brief", "count", "many", "span"]

SHORT = 160
"""Characters of arguments in a list."""
LONG = 200_000
"""Characters of arguments on a job's own page."""
HIDDEN = "encrypted: not shown here"


def count(number: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{number:,.0f}".replace(",", "\u202f")


def many(number: int, one: str, more: str = "") -> str:
    """Return a number and its noun."""
    return f"{count(number)} {one if number == 1 else more or one + 's'}"


def span(seconds: float) -> str:
    """Return a duration in at most two units."""
    s = abs(seconds)
    if s < 1:
        return f"{s * 1000:.0f} ms"
    if s < 10:  # noqa: PLR2004
        return f"{s:.1f} s"
    for size, unit, below, small in ((60, "s", 1, ""), (3600, "min", 60, "s"), (86_400, "h", 3600, "min")):
        if s < size:
            whole, rest = divmod(int(s), below)
            less = rest // (below // 60) if small else 0
            return f"{whole} {unit}" + (f" {less} {small}" if less and whole < 10 else "")  # noqa: PLR2004
    return f"{count(s // 86_400)} d"


def ago(at: dt.datetime | None, now: dt.datetime) -> Markup:
    """Return a time as it is from now, with the exact one for who points at it."""
    if at is None:
        return Markup('<span class="faint">—</span>')
    seconds = (now - at).total_seconds()
    said = "now" if abs(seconds) < 1 else f"{span(seconds)} ago" if seconds > 0 else f"in {span(seconds)}"
    exact = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), exact, said)


def arguments(record: JobRecord, most: int = SHORT) -> str:
    """Return a job's arguments as they were written in the call, cut."""
    if record.is_encrypted:
        return HIDDEN
    if record.malformed:
        return brief(record.args[0], most)
    return brief(as_called(record, most), most)


def pretty(value: Any) -> str:
    """Return JSON for people to read and change."""
    flat = json.dumps(value, ensure_ascii=False)
    return flat if len(flat) < 80 or len(flat) > LONG else json.dumps(value, ensure_ascii=False, indent=2)  # noqa: PLR2004


def brief(text: Any, most: int = SHORT) -> str:
    """Return a text, cut."""
    text = str(text)
    return text if len(text) <= most else f"{text[:most]}…"


def dollars(amount: float) -> str:
    """Return an amount."""
    return f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"  # noqa: PLR2004


def percent(share: float) -> str:
    """Return a share."""
    return "0 %" if not share else f"{share:.1%}".replace("%", " %") if share >= 0.001 else "< 0.1 %"  # noqa: PLR2004


def sized(number: int) -> str:
    """Return bytes in the unit that suits them."""
    size = float(number)
    for unit in ("B", "KB", "MB"):
        if size < 1024:  # noqa: PLR2004
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"  # noqa: PLR2004
        size /= 1024
    return f"{size:.1f} GB"


FILTERS = {
    "count": count,
    "span": span,
    "arguments": arguments,
    "brief": brief,
    "pretty": pretty,
    "dollars": dollars,
    "percent": percent,
    "sized": sized,
    "escape_all": escape,
}
