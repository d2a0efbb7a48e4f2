"""Django: jobs that are pushed when the transaction they were enqueued in has been committed.

`transaction.on_commit` decides what is committed and what was rolled back, with its savepoints. Each call is a
callback of its own there, as Django's tests expect it to be (`captureOnCommitCallbacks`); but of callbacks that
stand next to each other one pushes for all: each leaves its jobs to a later one, if that is as sure to be called.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, transaction

from sidelamb.transactions.committed import push

if TYPE_CHECKING:
    from sidelamb.packing import Packed
    from sidelamb.pusher import Pusher

__all__ = ["AfterDjangosCommit"]


class AfterDjangosCommit:
    """The transaction of this thread on a database.

    Args:
        using: the database's alias, True for the default one.
    """

    def __init__(self, using: str | bool) -> None:  # noqa: FBT001 - as it is written by the user
        self._using = DEFAULT_DB_ALIAS if using is True else using

    def hold(self, client: Pusher, jobs: list[Packed]) -> None:
        """Push jobs after the commit, or now if there is no transaction."""
        connection = transaction.get_connection(self._using)
        if not connection.in_atomic_block:
            connection.on_commit(partial(client.store_packed, client.anew(jobs)))
            return
        before = connection.run_on_commit[-1][1] if connection.run_on_commit else None
        if not isinstance(before, _Pushing) or before.batch.client is not client:
            before = None
        batch = before.batch if before else _Batch(client)
        pushing = _Pushing(batch, jobs, frozenset(connection.savepoint_ids))
        connection.on_commit(pushing)
        if before and not before.leaves_to(pushing):
            # In savepoints side by side: neither is sure to be called, so one around both pushes for both.
            around = _Pushing(batch, [], before.savepoints & pushing.savepoints)
            connection.run_on_commit.append((set(around.savepoints), around, False))
            before.leaves_to(around)
            pushing.leaves_to(around)

    async def ahold(self, client: Pusher, jobs: list[Packed]) -> None:
        """`hold` on the thread that has async code's transactions."""
        await sync_to_async(self.hold)(client, jobs)


class _Batch:
    """Jobs that are pushed together.

    Args:
        client: to push through.
    """

    def __init__(self, client: Pusher) -> None:
        self.client = client
        self.jobs: list[Packed] = []


class _Pushing:
    """What is called after the commit.

    Args:
        batch: what its jobs are pushed with.
        jobs: to be pushed.
        savepoints: those it was made in: it is called if none of them is rolled back.
    """

    def __init__(self, batch: _Batch, jobs: list[Packed], savepoints: frozenset[str | None]) -> None:
        self.batch = batch
        self.savepoints = savepoints
        self._jobs = jobs
        self._is_left = False

    def leaves_to(self, later: _Pushing) -> bool:
        """Leave the pushing to one that is called later, if it is called whenever this one is; say whether."""
        self._is_left = self._is_left or later.savepoints <= self.savepoints
        return self._is_left

    def __call__(self) -> None:
        """Push what was gathered, or leave it to another."""
        self.batch.jobs += self._jobs
        if not self._is_left and self.batch.jobs:
            jobs, self.batch.jobs = self.batch.jobs, []
            push(self.batch.client, jobs)
