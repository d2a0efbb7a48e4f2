"""A job that a person has changed before running it again: its arguments, its queue. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.errors import BadArgument, PayloadTooLarge
from sidelamb.names import queue_name
from sidelamb.payload import edit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidelamb.api.calls import Shift

__all__ = ["changed"]


def changed(shift: Shift, changes: Mapping[str, Any]) -> Shift:
    """Return a move to a queue, with the job's fields `args`, `kwargs` or `queue` changed.

    Raises:
        BadArgument: an argument is no JSON.
        BadOption: no queue can have this name.
        PayloadTooLarge: it would have more bytes than are allowed.
    """
    queue = queue_name(changes["queue"], "retry") if "queue" in changes else shift.queue
    for name, kind, called in (("args", list, "a list"), ("kwargs", dict, "an object")):
        if name in changes and not isinstance(changes[name], kind):
            raise BadArgument(f"retry: {name} must be {called} as JSON has it")
    try:
        new = edit(shift.new or shift.raw, changes)
    except (TypeError, ValueError) as error:
        raise BadArgument(f"retry: the arguments cannot be written as JSON: {error}") from None
    most = settings.max_payload()
    if len(new) > most:
        raise PayloadTooLarge(f"retry: the job would have {len(new):,} bytes; the limit is {most:,}")
    return shift._replace(new=new, queue=queue)
