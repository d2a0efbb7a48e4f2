r"""What a stranger wrote, made safe for a terminal; and what a program reads, made safe for JSON. Pure.

A job's name may hold escapes that colour or clear a terminal, a line break that forges a line, letters that turn
the direction of reading. Here each becomes the text that Python writes for it, `\\x1b`.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from sidelamb_handlers.called import as_called

if TYPE_CHECKING:
    import datetime as dt

    from sidelamb.api import JobRecord

__all__ = ["arguments", "harmless", "iso", "json_text", "plain", "without_secrets"]

SHORT = 120
"""Characters of a cell."""
HIDDEN = "(encrypted)"
_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_PASSWORD = re.compile(r"(\w+://)\S*@|([?&]\w*password=)[^\s&#]*")


def plain(value: Any, most: int = SHORT) -> str:
    """Return a text in one line, cut, with whatever moves, colours or hides anything written out."""
    text = str(value)
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(_written_out(c) if unicodedata.category(c) in _CATEGORIES else c for c in cut)


def harmless(text: str, kept: str = "") -> str:
    """Return a text as long as this, a sign in the place of each letter that a terminal obeys but for `kept`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if c not in kept and unicodedata.category(c) in _CATEGORIES else c for c in text)


def without_secrets(text: str) -> str:
    """Return a text with name and password of each address in it left out, also those among its options."""
    return _PASSWORD.sub(lambda found: f"{found[1]}***@" if found[1] else f"{found[2]}***", text)


def arguments(record: JobRecord, most: int = SHORT) -> str:
    """Return a job's arguments as they were written in the call, cut."""
    if record.is_encrypted:
        return HIDDEN
    if record.malformed:
        return plain(record.args[0], most)
    return plain(as_called(record, most), most)


def json_text(value: Any, indent: int | None = None) -> str:
    """Return JSON in ASCII; what JSON has no word for, as null."""
    try:
        text = json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), indent=indent)
    return text.replace("\x7f", "\\u007f")


def iso(moment: dt.datetime | None) -> str | None:
    """Return a moment as ISO-8601, or None."""
    return moment.isoformat() if moment else None


def _written_out(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
