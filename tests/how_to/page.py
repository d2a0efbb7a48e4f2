"""A page of docs/how-to as a program: the files that its blocks make, and what running them must print."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"# ([\w./-]+\.(?:py|toml|json|env))\n")


@dataclass
class Page:
    """What a page says."""

    files: dict[str, str] = field(default_factory=dict)
    """Text by name; blocks of one name are joined in order."""
    loose: list[str] = field(default_factory=list)
    """Python without a file name: it must compile."""
    output: str | None = None
    """What `python app.py` must print, if the page says so."""


def read_page(path: Path) -> Page:
    """Read a page."""
    page, last, end = Page(), "", 0
    text = path.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        language, body = found.groups()
        name = _NAME.match(body)
        is_next = not text[end : found.start()].strip()
        if language == "text" and last == "app.py" and is_next:
            page.output = body
        elif language == "python" and name:
            page.files[name[1]] = page.files.get(name[1], "") + body
            if name[1] == "app.py":
                page.output = None
        elif language == "python":
            page.loose.append(body)
        last, end = name[1] if name and language == "python" else "", found.end()
    return page
