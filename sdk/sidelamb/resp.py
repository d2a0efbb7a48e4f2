"""A command as bytes on its way to Redis, in its protocol. All in one piece: a thousand payloads are one write."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["packed"]


def packed(command: Sequence[bytes | str | float]) -> bytes:
    """Return a command as Redis reads it."""
    parts = [part if type(part) is bytes else _encoded(part) for part in command]
    return b"*%d\r\n%b" % (len(parts), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]))


def _encoded(part: bytes | str | float) -> bytes:
    return part if isinstance(part, bytes) else part.encode() if isinstance(part, str) else repr(part).encode()
