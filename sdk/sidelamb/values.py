"""Which values may be arguments of a job: exactly what JSON can say, so that they arrive as they were sent.

Allowed are None, bool, int, float, str, list and dict with text keys, and no subclasses of them. Everything
else would arrive as something else, or not at all: a tuple as a list, an Enum as its value, NaN as null.

The check (`are_plain`) is made for every job and so is short; integers beyond 64 bit and lone surrogates are
left to the encoder, which refuses them. Why a value was refused (`explain`) is found out afterwards.
"""

from __future__ import annotations

import math
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Any

from sidelamb.errors import BadArgument
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["MOST_LEVELS", "SCALARS", "are_plain", "explain", "explain_field"]

MOST_LEVELS = 98
"""Lists and dicts within one another, in one argument. Ruby's JSON reads 100, of which the payload takes two."""

_LEAST_INT, _MOST_INT = -(2**63), 2**64 - 1
SCALARS = frozenset({str, int, bool, NoneType})
"""Types whose values are plain JSON, or are refused by the encoder."""


def are_plain(values: Iterable[Any], levels: int = MOST_LEVELS) -> bool:
    """Say whether all `values` are plain JSON, nested at most `levels` deep."""
    for value in values:
        kind = type(value)
        if kind in SCALARS:
            continue
        if kind is float:
            if value - value != 0.0:  # only NaN and the infinities
                return False
        elif kind is list:
            if not levels or not are_plain(value, levels - 1):
                return False
        elif kind is dict:
            if not levels or not _are_texts(value) or not are_plain(value.values(), levels - 1):
                return False
        else:
            return False
    return True


def _are_texts(keys: Iterable[Any]) -> bool:
    for key in keys:  # noqa: SIM110 - a generator costs more than most dicts' keys
        if type(key) is not str:
            return False
    return True


def explain(
    job: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    names: Sequence[str] = (),
    hints: Mapping[str, str] = MappingProxyType({}),
) -> BadArgument:
    """Return the error for the first argument that JSON cannot carry.

    Args:
        job: wire name of the job.
        args: its positional arguments.
        kwargs: its keyword arguments.
        names: what the function calls its positional arguments, as far as known.
        hints: what to say besides about an argument, by its name.
    """
    for index, value in enumerate(args):
        name = f" ({names[index]!r})" if index < len(names) else ""
        problem = _problem(value, f"argument {index + 1}{name}")
        if problem:
            hint = hints.get(names[index], "") if name else ""
            return BadArgument(f"{job}: {problem}{hint and f' ({hint})'}")
    for key, value in (kwargs or {}).items():
        problem = _problem(value, f"argument {key!r}") if _is_text(key) else f"the name {shown(key)} is not a text"
        if problem:
            hint = hints.get(key, "")
            return BadArgument(f"{job}: {problem}{hint and f' ({hint})'}")
    return BadArgument(f"{job}: the arguments cannot be written as JSON; send plain values")


def explain_field(job: str, field: str, value: Any) -> BadArgument:
    """Return the error for a field of the payload that JSON cannot carry."""
    problem = _problem(value, f"field {field!r}")
    return BadArgument(f"{job}: {problem or f'field {field!r} cannot be written as JSON'}")


def _problem(root: Any, where: str) -> str:
    for path, value, level in _walk(root):
        if level > MOST_LEVELS:
            return (
                f"{where} is nested more than {MOST_LEVELS} levels deep, or contains itself; "
                "flatten it, or store it and send its id"
            )
        wrong = _wrong(value)
        if wrong:
            return f"{where}{path} {wrong}"
    return ""


def _walk(root: Any) -> Iterator[tuple[str, Any, int]]:
    """Give (path, value, level) of `root` and all in it, in order, without recursion."""
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    while waiting:
        path, value, level = waiting.pop()
        level += type(value) in {list, dict}
        yield path, value, level
        inner: Iterable[tuple[Any, Any]] = ()
        if type(value) is list:
            inner = enumerate(value)
        elif type(value) is dict:
            inner = value.items()
        waiting += reversed([(f"{path}[{key!r}]", item, level) for key, item in inner])


def _wrong(value: Any) -> str:
    kind = type(value)
    if kind is float:
        return "" if math.isfinite(value) else f"is {value}, which JSON does not have; send None or a text"
    if kind is int:
        fits = _LEAST_INT <= value <= _MOST_INT
        return "" if fits else "is an integer beyond 64 bit, which loses digits on its way; send str(value)"
    if kind is str:
        return "" if _is_text(value) else "holds a lone surrogate, which is no Unicode text; clean it first"
    if kind is dict:
        odd = next((key for key in value if not _is_text(key)), None)
        return "" if odd is None and None not in value else _wrong_key(odd)
    if value is None or kind in {bool, list}:
        return ""
    return f"is {_article(kind)}, which JSON cannot carry; {_advice(kind)}"


def _wrong_key(key: Any) -> str:
    if type(key) is str:
        return "has a key with a lone surrogate, which is no Unicode text; clean it first"
    return f"has the key {shown(key)}, and JSON has text keys only; send str(key)"


def _is_text(value: Any) -> bool:
    if type(value) is not str:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _article(kind: type) -> str:
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


_ADVICE = {
    "datetime": "send value.isoformat() or value.timestamp()",
    "date": "send value.isoformat()",
    "time": "send value.isoformat()",
    "timedelta": "send value.total_seconds()",
    "UUID": "send str(value)",
    "Decimal": "send str(value)",
    "Fraction": "send str(value)",
    "PurePath": "send str(value)",
    "Enum": "send value.value",
    "bytes": "send text (value.decode(), or base64), or store the bytes and send where they are",
    "bytearray": "send text (base64), or store the bytes and send where they are",
    "memoryview": "send text (base64), or store the bytes and send where they are",
    "tuple": "send list(value)",
    "set": "send sorted(value)",
    "frozenset": "send sorted(value)",
    "str": "send str(value)",
    "int": "send int(value)",
    "float": "send float(value)",
    "list": "send list(value)",
    "dict": "send dict(value)",
    "ndarray": "send value.tolist()",
    "generic": "send value.item()",
}
"""By the name of a class or of one it derives from: looking at names imports nothing."""


def _advice(kind: type) -> str:
    bases = [base.__name__ for base in kind.__mro__]
    if "Enum" in bases:
        return _ADVICE["Enum"]
    if issubclass(kind, type):
        return "send its name"
    found = (_ADVICE[name] for name in bases if name in _ADVICE)
    return next(found, "send the id of it, and load the object inside the job")
