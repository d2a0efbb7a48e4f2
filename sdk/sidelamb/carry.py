"""Context that travels with jobs: context variables of the app, read at enqueue and set again around the run.

    tenant: ContextVar[str] = ContextVar("tenant")
    carry(tenant)

They stand in the payload field `carried`, by their names. What is not set is not carried. A job that enqueues
others hands on what it was given, unless it has set something else.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sidelamb.errors import BadArgument, ConfigError
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["carried", "carry", "carrying", "set_again"]

_UNSET = object()

carrying: dict[str, ContextVar[Any]] = {}
"""The variables that travel, by name."""


def carry(*variables: ContextVar[Any]) -> None:
    """Have these context variables travel with the jobs that this process enqueues, and set around those it runs.

    Call it in a module that both the app and its workers import. Values are plain JSON.

    Raises:
        ConfigError: one is no ContextVar, or another one has its name.
    """
    for variable in variables:
        if not isinstance(variable, ContextVar):
            raise ConfigError(f"carry takes context variables, ContextVar(…), not {shown(variable)}")
        if carrying.setdefault(variable.name, variable) is not variable:
            raise ConfigError(
                f"carry: two context variables are named {variable.name!r}; in a payload names tell them apart"
            )


def carried() -> dict[str, Any]:
    """Return the variables that are set here, and their values.

    Raises:
        BadArgument: a value is not plain JSON.
    """
    from sidelamb.values import are_plain  # noqa: PLC0415 - only who carries something pays for it

    found: dict[str, Any] = {}
    for name, variable in carrying.items():
        value = variable.get(_UNSET)
        if value is _UNSET:
            continue
        if not are_plain((value,)):
            raise BadArgument(
                f"the context variable {name!r} is carried by every job and holds {shown(value)}, which JSON "
                "cannot carry; let it hold an id or a text"
            )
        found[name] = value
    return found


def set_again(payload: Mapping[str, Any]) -> None:
    """Set the variables that a job carries in the current context; names unknown here are passed over."""
    found = payload.get("carried")
    if isinstance(found, dict):
        for name, value in found.items():
            if name in carrying:
                carrying[name].set(value)
