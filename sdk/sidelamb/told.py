"""What an app's own function says of a call's arguments: what makes it unique, or whose limit it is under."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb.errors import BadOption

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["told_by"]


def told_by(by: Callable[..., Any], payload: Mapping[str, Any], what: str) -> Any:
    """Return what an app's function says of a call's arguments.

    Raises:
        BadOption: it fails.
    """
    try:
        return by(*payload["args"], **payload.get("kwargs", {}))
    except Exception as error:
        raise BadOption(
            f"{what} has failed: {type(error).__name__}: {error}; it is called with the job's own arguments"
        ) from error
