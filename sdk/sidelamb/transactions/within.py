"""A job's calls within a transaction: made ready at once, and given to the transaction instead of to Redis."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.collecting import collecting
from sidelamb.errors import BadCall
from sidelamb.store import BULK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sidelamb.client import Client
    from sidelamb.packing import Packed
    from sidelamb.template import Template
    from sidelamb.transactions import Edge

__all__ = ["Within"]


class Within:
    """Takes the calls of jobs as a `Client` does; the verbs of `Enqueues` do not see the difference.

    Args:
        edge: the transaction.
        client: checks and encodes the calls; None for the process's.
    """

    def __init__(self, edge: Edge, client: Client | None) -> None:
        self._edge = edge
        self._client = client

    @property
    def client(self) -> Client:
        """The client.

        Raises:
            BadCall: this is in the block of a batch, which has an atomic push of its own.
        """
        if collecting.get() is not None:
            raise BadCall(
                "a job in the block of a batch cannot wait for a transaction (on_commit, outbox): enqueue it "
                "plainly, and make the batch when the transaction is committed"
            )
        return self._client or settings.default_client()

    through = client

    def now(self) -> float:
        """Return the time, epoch s, by the client's clock."""
        return self.client.now()

    def submit(
        self, template: Template, args: Sequence[Any], kwargs: Mapping[str, Any], at: float | None = None
    ) -> str:
        """Keep one call; returns and raises as `Client.submit`, but for Redis, which is not asked."""
        client = self.client
        job = client.pack(template, args, kwargs, at)
        if job is None:
            return ""
        self._edge.hold(client, [job])
        return job.jid

    def submit_many(
        self, template: Template, items: Iterable[Any], progress: Callable[[int], None] | None = None
    ) -> int:
        """Keep many calls; `progress` is told how many are kept."""
        client, kept = self.client, 0
        for jobs in _thousands(client.pack_many(template, items)):
            self._edge.hold(client, jobs)
            kept += len(jobs)
            if progress is not None:
                progress(kept)
        return kept

    async def asubmit(
        self, template: Template, args: Sequence[Any], kwargs: Mapping[str, Any], at: float | None = None
    ) -> str:
        """`submit` for async code."""
        client = self.client
        job = client.pack(template, args, kwargs, at)
        if job is None:
            return ""
        await self._edge.ahold(client, [job])
        return job.jid

    async def asubmit_many(
        self, template: Template, items: Iterable[Any], progress: Callable[[int], None] | None = None
    ) -> int:
        """`submit_many` for async code."""
        client, kept = self.client, 0
        for jobs in _thousands(client.pack_many(template, items)):
            await self._edge.ahold(client, jobs)
            kept += len(jobs)
            if progress is not None:
                progress(kept)
        return kept


def _thousands(packed: Iterator[Packed | None]) -> Iterator[list[Packed]]:
    jobs = (job for job in packed if job is not None)
    while some := list(islice(jobs, BULK)):
        yield some
