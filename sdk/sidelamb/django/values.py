"""Arguments and return values: Django's JSON, made plain.

Django's `normalize_json` makes lists of tuples and texts of bytes, and lets pass what JSON changes or does not
have. Here a text's or a number's subclass (a SafeString, a member of TextChoices) becomes what it is as JSON; what
would come back as something else is refused: NaN, keys that are no texts, in arguments integers beyond 64 bit.
"""

from __future__ import annotations

import json
from typing import Any

from sidelamb.django.compat import base
from sidelamb.values import are_plain, explain_field

__all__ = ["as_json", "plain"]


_PLAIN: dict[type, Any] = {str: str.__str__, int: int, float: float}


def plain(value: Any) -> Any:
    """Return a value with plain texts and numbers for their subclasses; it is normalised already."""
    match value:
        case None | bool():
            return value
        case str() | int() | float():
            return next(made(value) for kind, made in _PLAIN.items() if isinstance(value, kind))
        case list():
            return [plain(item) for item in value]
        case dict():
            return {plain(key): plain(item) for key, item in value.items()}
    return value


def as_json(value: Any, path: str) -> tuple[Any, int]:
    """Return a return value as it will be read back, and its size in bytes.

    Raises:
        TypeError: JSON does not have it.
    """
    normal = plain(base.normalize_json(value))
    if not are_plain((normal,)):
        raise TypeError(str(explain_field(path, "return value", normal)))
    try:
        return normal, len(json.dumps(normal, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError as error:
        raise TypeError(str(explain_field(path, "return value", normal))) from error
