"""Callbacks: ordinary jobs that are made ready with their batch, and are pushed when their event comes.

A callback's payload says `"given": "status"`: its first argument, the batch's id, becomes the batch's status when
it runs. The job after a group has `"given": "results"`: its first argument becomes the list of what the group's
jobs have returned. A channel of `sidelamb.notify` is a callback too: the job that delivers its news.
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
    from sidelamb.notify import Channel
    from sidelamb.packing import Packed

__all__ = ["EVENTS", "checked", "packed"]

EVENTS = ("complete", "success", "death")


def checked(
    calls: Mapping[str, Enqueues[..., Any] | Channel | None],
) -> dict[str, tuple[Enqueues[..., Any], tuple[str, ...]]]:
    """Return the callbacks that there are, by their events: jobs, and what each takes beside status and options.

    Raises:
        BadOption: one is no job.
        BadCall: one does not take a status and options.
    """
    return {event: _checked(event, call) for event, call in calls.items() if call is not None}


def _checked(event: str, given: Any) -> tuple[Enqueues[..., Any], tuple[str, ...]]:
    call, more = given.callback(event) if hasattr(given, "callback") else (given, ())
    if not hasattr(call, "template"):
        raise BadOption(
            f"on_{event} of a batch is {shown(call)}; expected a job, job.using(…), or a webhook or topic of "
            "sidelamb.notify"
        )
    try:
        call.template.shape.check(("", {}, *more), {})
    except BadCall as error:
        raise BadCall(f"on_{event} of a batch gets the batch's status and its options: {error}") from None
    return call, more


def packed(
    client: Client,
    call: tuple[Enqueues[..., Any], tuple[str, ...]],
    bid: str,
    event: str,
    options: Mapping[str, Any],
) -> Packed | None:
    """Return a callback, ready but for the time at which it enters its queue; None if it was stopped."""
    ms, (job, more) = settings.timestamps() == "ms", call
    payload = job.template.payload([bid, dict(options), *more], {}, f"{bid}-{event}", client.now(), ms=ms)
    payload["given"] = "status"
    return client.pack_ahead(payload)
