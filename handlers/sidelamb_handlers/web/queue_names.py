"""How a queue is named in addresses and forms, whatever other clients have called it.

Its name does, mostly. What no address or form carries as it is (bytes that are no text, control characters,
nothing at all, thousands of letters) is named by a digest, which is looked up among the queues that there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from sidelamb.api import Queue, Stats
from sidelamb.names import is_queue_name
from sidelamb_handlers.web.finding import digest

if TYPE_CHECKING:
    from sidelamb import Client

__all__ = ["queue_of", "spoken"]

MARK = "~"
"""Before a digest; no queue of ours begins with it, and another's that does is named by its digest too."""
MOST = 500
"""Letters of a name in an address: servers refuse addresses of some 64 kB."""


def spoken(raw: bytes) -> str:
    """Return what names a queue in an address."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = ""
    travels = name.isprintable() and 0 < len(name) <= MOST and not name.startswith(MARK)
    return name if travels else MARK + digest(raw)


async def queue_of(name: str, client: Client) -> Queue:
    """Return the queue that an address names. One that we could have made need not exist.

    Raises:
        HTTPException: there is none that other clients have called so.
    """
    if is_queue_name(name) and len(name) <= MOST:
        return Queue(name, client)
    for raw in await Stats(client).alisted():
        if name == spoken(raw):  # not as it is shown: two can look alike
            return Queue.listed(raw, client)
    raise HTTPException(404, "There is no such queue, or nothing is in it any more")
