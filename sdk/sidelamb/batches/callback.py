"""Callbacks: ordinary jobs that are made ready with their batch, and are pushed when their event comes.

A callback's payload says `"given": "status"`: its first argument, the batch's id, becomes the batch's status when
it runs. The job after a group has `"given": "results"`: its first argument becomes the list of what the group's
jobs have returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.errors import BadCall, BadOption
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidelamb.calls import Enqueues
    from sidelamb.client import Client
    from sidelamb.packing import Packed

__all__ = ["EVENTS", "checked", "packed"]

EVENTS = ("complete", "success", "death")


def checked(calls: Mapping[str, Any]) -> dict[str, Enqueues[..., Any]]:
    """Return the callbacks that there are, by their events.

    Raises:
        BadOption: one is no job.
        BadCall: one does not take a status and options.
    """
    for event, call in calls.items():
        if call is None:
            continue
        if not hasattr(call, "template"):
            raise BadOption(f"on_{event} of a batch is {shown(call)}; expected a job, or job.using(…)")
        try:
            call.template.shape.check(("", {}), {})
        except BadCall as error:
            raise BadCall(f"on_{event} of a batch gets the batch's status and its options: {error}") from None
    return {event: call for event, call in calls.items() if call is not None}


def packed(
    client: Client, call: Enqueues[..., Any], bid: str, event: str, options: Mapping[str, Any]
) -> Packed | None:
    """Return a callback, ready but for the time at which it enters its queue; None if it was stopped."""
    ms = settings.timestamps() == "ms"
    payload = call.template.payload([bid, dict(options)], {}, f"{bid}-{event}", client.now(), ms=ms)
    payload["given"] = "status"
    return client.pack_ahead(payload)
