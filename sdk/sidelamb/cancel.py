"""Cancelling a job by its id, through the process's client: `cancel(jid)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.settings import default_client

if TYPE_CHECKING:
    from sidelamb.client import Client

__all__ = ["acancel", "cancel"]


def cancel(jid: str, client: Client | None = None) -> None:
    """Cancel a job, queued, scheduled, waiting for a retry or running; see `Client.cancel`.

    Args:
        jid: what `enqueue` returned.
        client: the client to go through instead of the process's.
    """
    (client or default_client()).cancel(jid)


async def acancel(jid: str, client: Client | None = None) -> None:
    """`cancel` for async code."""
    await (client or default_client()).acancel(jid)
