"""What a person searches for: a text, in which `*` stands for anything. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidelamb.api.record import JobRecord

__all__ = ["Pattern"]

_PLAIN = re.compile(r"(?=.*[a-z])[a-z0-9_@.-][a-z0-9_@. -]*\Z")
"""What JSON writes as it is: no escapes, no number that could be written otherwise, no space between values."""


class Pattern:
    """A search, in any case of letters.

    Args:
        text: empty matches everything.
    """

    def __init__(self, text: str) -> None:
        self._parts = [part for part in text.casefold().split("*") if part]
        self._plain = [part.encode() for part in self._parts if _PLAIN.match(part)]

    def matches(self, record: JobRecord) -> bool:
        """Say whether id, name, queue, an error, a tag or the arguments of a job match."""
        if not self._parts:
            return True
        seen = [record.jid, record.name, record.queue, record.error_class, record.error_message, *record.tags]
        if any(self._in(each) for each in seen):
            return True
        return self._in(json.dumps([record.args, record.kwargs], ensure_ascii=False))

    def lacks(self, raw: bytes) -> bool:
        """Say whether a payload surely does not match, from its bytes: most of a large set need not be decoded."""
        if not self._plain or b"\\" in raw or b'"queue":' not in raw or not raw.isascii():
            return False
        small = raw.lower()
        return any(part not in small for part in self._plain)

    def _in(self, text: str) -> bool:
        text, at = text.casefold(), 0
        for part in self._parts:
            found = text.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        return True
