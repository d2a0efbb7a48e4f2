"""What a form or an address says, read leniently: whatever it holds, no page breaks by it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from sidelamb.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_BYTES", "Form", "TooLarge"]

MOST_BYTES = 16 * 1024 * 1024
"""Of a form: the largest payload is 5 MiB, and each of its bytes may be three in a form."""
MOST_FIELDS = 2_000
MOST_NUMBER = 10**12


class TooLarge(Exception):
    """A form that is none of ours."""


class Form:
    """Fields by name.

    Args:
        pairs: in their order.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in pairs:
            self._fields.setdefault(name, []).append(value)

    @classmethod
    def read(cls, body: bytes) -> Form:
        """Read an urlencoded body.

        Raises:
            TooLarge: it has more fields than any form of ours.
        """
        text = body.decode("ascii", errors="replace")
        try:
            return cls(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="replace"))
        except ValueError as error:
            raise TooLarge from error

    def __call__(self, name: str, default: str = "") -> str:
        """Return a field, without the NULs and halves of characters that nothing can show or find."""
        value = self._fields.get(name, [default])[-1]
        return value.replace("\0", "").encode(errors="replace").decode()

    def choice(self, name: str, *choices: str) -> str:
        """Return a field that says which of some things to do.

        Raises:
            BadArgument: it says none of them.
        """
        if (value := self(name)) not in choices:
            raise BadArgument(f"say what to do: {', '.join(choices)}")
        return value

    def every(self, name: str) -> list[str]:
        """Return all fields of a name."""
        return self._fields.get(name, [])

    def number(self, name: str, default: int = 0, most: int = MOST_NUMBER) -> int:
        """Return a whole number from 0 to `most`; what is none is the default."""
        text = self(name)
        digits = text if text.isascii() and text.isdigit() and len(text) <= 20 else ""  # noqa: PLR2004 - 64 bits
        return min(int(digits), most) if digits else default

    def real(self, name: str, default: float = 0.0) -> float:
        """Return a finite number; what is none is the default."""
        try:
            value = float(self(name) or default)
        except ValueError:
            return default
        return value if math.isfinite(value) else default
