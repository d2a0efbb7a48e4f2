"""An error's backtrace as it stands in a payload: base64 of deflated JSON, a list of lines. Pure."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["compressed", "is_compressed"]

_MOST_BYTES = 4 * 1024 * 1024
"""A backtrace that inflates beyond this is not looked at to its end."""


def compressed(lines: Sequence[str]) -> str:
    """Return lines as Sidekiq stores them. What is no Unicode in them is replaced."""
    clean = [line.encode("utf-8", "replace").decode() for line in lines]
    return base64.b64encode(zlib.compress(json.dumps(clean).encode())).decode()


def is_compressed(text: str) -> bool:
    """Return whether Sidekiq can read `text`; its older versions broke the base64 into lines of 60."""
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(base64.b64decode(text), _MOST_BYTES)
        lines = [] if inflate.unconsumed_tail else json.loads(raw)
    except (ValueError, zlib.error, RecursionError):
        return False
    return isinstance(lines, list) and all(isinstance(line, str) for line in lines)
