"""What is done after a commit: the jobs of the transaction are pushed, as few round trips as they are thousands.

The commit has happened, and nothing here can take it back. So if Redis cannot take the jobs, the error says which
were not pushed, and carries them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sidelamb.errors import NotPushed, RedisError, RedisUncertain
from sidelamb.payload import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sidelamb.packing import Packed
    from sidelamb.pusher import Pusher

__all__ = ["apush", "push"]

MOST_NAMED = 20
"""Jobs that an error's message names; all are in its `jids`."""


def push(client: Pusher, jobs: Sequence[Packed]) -> None:
    """Push the jobs of a transaction that has been committed.

    Raises:
        NotPushed: Redis did not take all of them.
    """
    ready = client.anew(jobs)
    with _told(ready):
        client.store_packed(ready)


async def apush(client: Pusher, jobs: Sequence[Packed]) -> None:
    """`push` for async code."""
    ready = client.anew(jobs)
    with _told(ready):
        await client.astore_packed(ready)


@contextmanager
def _told(jobs: Sequence[Packed]) -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        left = _from(jobs, error)
        told = NotPushed(_sentence(left, error))
        told.stored, told.jids = error.stored, tuple(job.jid for job in left)
        told.uncertain = error.jids if isinstance(error, RedisUncertain) else ()
        told.payloads = tuple(decode(job.raw) | ({} if job.at is None else {"at": job.at}) for job in left)
        raise told from error


def _from(jobs: Sequence[Packed], error: RedisError) -> Sequence[Packed]:
    """Return the jobs of the round trip that failed, and those after it: they are stored in this order."""
    failed = set(error.jids)
    return jobs[next((n for n, job in enumerate(jobs) if job.jid in failed), 0) :]


def _sentence(left: Sequence[Packed], error: RedisError) -> str:
    named = ", ".join(f"{job.name} (jid {job.jid})" for job in left[:MOST_NAMED])
    more = f" and {len(left) - MOST_NAMED:,} more" if len(left) > MOST_NAMED else ""
    return (
        f"The transaction is committed, but of its jobs these were not pushed: {named}{more}. {error} "
        "Do not repeat the transaction; push error.payloads with Client.push_many, or use the outbox."
    )
