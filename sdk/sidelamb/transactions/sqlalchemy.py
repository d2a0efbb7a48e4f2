"""SQLAlchemy: jobs that are pushed when the session they were enqueued with has committed.

They wait beside the session, with the transaction or savepoint that they were enqueued in. A savepoint that is
released leaves its jobs to what is around it; one that is rolled back takes them with it. They are pushed at the
very end of the commit, when the session has given its connection back: a slow Redis holds no connection of the
database, and if the push fails the session is as usable as after any commit.

With an `AsyncSession` the commit awaits the push: SQLAlchemy runs it on a greenlet that may (`await_only`), so the
event loop goes on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, util
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_session
from sqlalchemy.orm import Session, scoped_session

from sidelamb.errors import BadOption
from sidelamb.transactions.committed import apush, push
from sidelamb.wording import shown

if TYPE_CHECKING:
    from sqlalchemy.orm import SessionTransaction

    from sidelamb.packing import Packed
    from sidelamb.pusher import Pusher

__all__ = ["AfterCommit", "sync_session"]

log = logging.getLogger("sidelamb.transactions")

_KEY = "sidelamb"


def sync_session(given: Any) -> Session | None:
    """Return the session in what may be a scoped one, an async one or both; None if there is none."""
    if isinstance(given, scoped_session | async_scoped_session):
        given = given()
    if isinstance(given, AsyncSession):
        given = given.sync_session
    return given if isinstance(given, Session) else None


class AfterCommit:
    """The transaction of a session.

    Args:
        given: a Session, an AsyncSession, or a scoped one of either, which is asked at each call.
    """

    def __init__(self, given: Any) -> None:
        self._given = given

    def hold(self, client: Pusher, jobs: list[Packed]) -> None:
        """Push jobs after the session's next commit."""
        session = sync_session(self._given)
        if session is None:
            raise BadOption(
                f"on_commit is {shown(self._given)}; only a session of SQLAlchemy's tells when it has committed"
            )
        waiting: _Waiting | None = session.info.get(_KEY)
        if waiting is None:
            waiting = session.info[_KEY] = _Waiting(session)
        waiting.add(session, client, jobs)

    async def ahold(self, client: Pusher, jobs: list[Packed]) -> None:
        """`hold`, which waits for nothing."""
        self.hold(client, jobs)


class _Waiting:
    """The jobs that wait for a session's commit.

    Args:
        session: whose events are listened to.
    """

    def __init__(self, session: Session) -> None:
        self._jobs: dict[SessionTransaction, list[tuple[Pusher, Packed]]] = {}
        self._committed: SessionTransaction | None = None
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_transaction_end", self._after_end)

    def add(self, session: Session, client: Pusher, jobs: list[Packed]) -> None:
        if not session.in_transaction():
            session.begin()  # as its first statement would
        current = session.get_nested_transaction() or session.get_transaction()
        if current is not None:
            self._jobs.setdefault(current, []).extend((client, job) for job in jobs)

    def _after_commit(self, session: Session) -> None:
        nested = session.get_nested_transaction()
        if nested is None:
            self._committed = session.get_transaction()
            return
        released, around = self._jobs.pop(nested, []), nested.parent
        while around is not None and around.parent is not None and not around.nested:
            around = around.parent  # a part of a transaction, such as a flush
        if released and around is not None:
            self._jobs.setdefault(around, []).extend(released)

    def _after_end(self, session: Session, ended: SessionTransaction) -> None:
        jobs = self._jobs.pop(ended, [])
        if ended.parent is None:
            committed, self._committed = self._committed is ended, None
            if committed and jobs:
                _push(session, jobs)
                return
        if jobs:
            jids = ", ".join(job.jid for _, job in jobs)
            log.debug("not committed, so these jobs were not pushed: %s", jids)


def _push(session: Session, jobs: list[tuple[Pusher, Packed]]) -> None:
    by_client: dict[Pusher, list[Packed]] = {}
    for client, job in jobs:
        by_client.setdefault(client, []).append(job)
    is_async = async_session(session) is not None
    for client, some in by_client.items():
        if is_async:
            util.await_only(apush(client, some))
        else:
            push(client, some)
