"""All batches, page by page, for the web page and the command line.

batches = Batches()
for status in batches.page(0): print(status.description, status.state, status.pending)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.api.record import first_and_last
from sidelamb.api.steps import Steps, View, awaiting, blocking
from sidelamb.batches.member import INDEX
from sidelamb.batches.status import BatchStatus, shallow_steps, status_steps
from sidelamb.batches.store import BatchStore

if TYPE_CHECKING:
    from sidelamb.client import Client

__all__ = ["Batches"]

PAGE = 25


class Batches(View):
    """What batches there are.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def __init__(self, client: Client | None = None) -> None:
        super().__init__(client)
        self._store = BatchStore(self._keys)

    def _size(self) -> Steps[int]:
        """Return how many batches are known, about: those that have expired are left out when the next is made."""
        (n,) = yield self._calls.read((self._keys(INDEX), "ZCARD"))
        return int(n)

    def _page(self, number: int = 0, size: int = PAGE) -> Steps[list[BatchStatus]]:
        """Return one page: those that are not over first, the newest first. The batches in them are left out.

        Raises:
            BadArgument: `number` is below 0, or `size` not 1 to 10,000.
        """
        first, last = first_and_last(number, size, "Batches.page")
        (found,) = yield self._calls.read((self._keys(INDEX), "ZRANGE", first, last, "REV"))
        return (yield from shallow_steps(self._store, [bid.decode(errors="replace") for bid in found]))

    def _find(self, bid: str) -> Steps[BatchStatus]:
        """Return a batch with all that are in it.

        Raises:
            BatchGone: nothing is known of it.
        """
        return (yield from status_steps(self._store, bid))

    size, asize = blocking(_size), awaiting(_size)
    page, apage = blocking(_page), awaiting(_page)
    find, afind = blocking(_find), awaiting(_find)
