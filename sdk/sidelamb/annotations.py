"""What the annotations of a job's function say about its arguments: plain JSON, or a type to be carried as JSON.

Only types are looked at here, once for a job, and nothing is imported for it. Postponed annotations are resolved
one by one in the function's module, so that one that cannot be does not spoil the others.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import inspect
import types
import typing
from collections import abc
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PLAIN", "Unresolved", "is_carried", "is_plain", "is_said_plain", "resolved"]

PLAIN = frozenset({
    inspect.Parameter.empty, Any, object, None, types.NoneType, bool, int, float, str, list, dict,
    "Any", "object", "None", "bool", "int", "float", "str", "list", "dict", "list[int]", "list[str]",
    "int | None", "str | None", "float | None", "bool | None", "dict[str, Any]",
})  # fmt: skip
"""Annotations of arguments that are sent as they are, as objects and as the texts that they most often are."""

_CARRIED = (dt.date, dt.time, dt.timedelta, UUID, Decimal, enum.Enum)
_CONTAINERS = frozenset({list, dict, abc.Sequence, abc.Mapping, abc.Iterable, abc.Collection, abc.MutableMapping})
_CHECKED_BY = frozenset({"pydantic", "annotated_types"})


class Unresolved(Exception):
    """An annotation names what is not there."""


def is_said_plain(annotation: Any) -> bool:
    """Say whether an annotation, resolved or not, is one of the plain ones, or of what a worker itself gives."""
    try:
        return annotation in PLAIN or getattr(annotation, "__sidelamb_plain__", False) is True
    except TypeError:  # it cannot be hashed
        return False


def resolved(annotation: Any, function: Callable[..., Any]) -> Any:
    """Return an annotation of a function's as an object.

    Raises:
        Unresolved: it names what its module does not have.
    """
    if not isinstance(annotation, str):
        return annotation

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    plain = inspect.unwrap(getattr(function, "__func__", function))
    try:
        return typing.get_type_hints(holder, getattr(plain, "__globals__", {}), include_extras=True)["it"]
    except Exception as error:  # it is an expression, which may raise anything
        raise Unresolved(str(error)) from None


def is_plain(annotation: Any) -> bool:
    """Say whether arguments of this type are sent as they are."""
    if isinstance(annotation, typing.TypeVar):
        return True
    origin = typing.get_origin(annotation)
    if origin is None:
        inner = _alias(annotation)
        return is_said_plain(annotation) if inner is annotation else is_plain(inner)
    parts = typing.get_args(annotation)
    if origin is typing.Literal:
        return all(type(value) in {str, int, bool, types.NoneType} for value in parts)
    if origin is typing.Annotated:
        checked = any(type(extra).__module__.partition(".")[0] in _CHECKED_BY for extra in parts[1:])
        return is_plain(parts[0]) and not checked
    if origin in {typing.Union, types.UnionType} or origin in _CONTAINERS:
        return all(map(is_plain, parts))
    return False


def is_carried(annotation: Any) -> bool:
    """Say whether a type is, or holds, a date, a time, a UUID, a Decimal, an Enum, a dataclass or a TypedDict."""
    return any(
        (isinstance(leaf, type) and issubclass(leaf, _CARRIED))
        or dataclasses.is_dataclass(leaf)
        or hasattr(leaf, "__total__")  # a TypedDict, also one of typing_extensions
        for leaf in _leaves(annotation)
    )


def _leaves(annotation: Any) -> Iterator[Any]:
    parts = typing.get_args(annotation)
    if not parts:
        inner = _alias(annotation)
        yield from [annotation] if inner is annotation else _leaves(inner)
    for part in parts:
        yield from _leaves(part)


def _alias(annotation: Any) -> Any:
    """Return what a `NewType` or a `type X = …` stands for."""
    for name in ("__supertype__", "__value__"):
        if not isinstance(annotation, type) and hasattr(annotation, name):
            return getattr(annotation, name)
    return annotation
