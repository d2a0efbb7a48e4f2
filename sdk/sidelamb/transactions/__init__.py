"""Jobs that belong to a transaction of a database: `job.using(on_commit=…)` and `job.using(outbox=…)`.

    send.using(on_commit=True).enqueue(12)       # Django: pushed when the transaction has been committed
    send.using(on_commit=session).enqueue(12)    # SQLAlchemy: the same
    send.using(outbox=session).enqueue(12)       # a row of the transaction itself; a relay pushes it

A call is checked and encoded at once, so that its errors come where it stands, and its id is known at once. What
waits for the commit then is bytes. This module knows no database: `Edge` is what one has to offer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sidelamb.errors import BadOption
from sidelamb.late import late_import
from sidelamb.transactions.within import Within
from sidelamb.wording import shown

if TYPE_CHECKING:
    from typing import TypeAlias

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from sidelamb.client import Client
    from sidelamb.packing import Packed
    from sidelamb.pusher import Pusher

    OnCommit: TypeAlias = (
        "bool | str | Session | scoped_session[Any] | AsyncSession | async_scoped_session[Any] | None"
    )
    Outbox: TypeAlias = "OnCommit | Connection | AsyncConnection"

__all__ = ["Edge", "Within", "within"]


class Edge(Protocol):
    """What a transaction does with jobs that belong to it."""

    def hold(self, client: Pusher, jobs: list[Packed]) -> None:
        """Keep jobs, to be pushed through `client` if the transaction is committed."""

    async def ahold(self, client: Pusher, jobs: list[Packed]) -> None:
        """`hold` for async code."""


def within(client: Client | None, on_commit: OnCommit, outbox: Outbox) -> Within:
    """Return the way in which calls become part of a transaction.

    Args:
        client: the client they go through; None for the process's.
        on_commit: push after the commit of this transaction.
        outbox: write into the outbox of this database, in this transaction.

    Raises:
        BadOption: both are given, or one is no transaction.
    """
    if _is_given(on_commit) and _is_given(outbox):
        raise BadOption("on_commit pushes after the commit, outbox has a relay push; give one of them")
    if _is_given(on_commit):
        return Within(_after_commit(on_commit), client)
    return Within(_in_outbox(outbox), client)


def _is_given(value: object) -> bool:
    return value is not None and value is not False


def _after_commit(where: Any) -> Edge:
    with late_import:
        if _is_djangos(where):
            from sidelamb.transactions.django import AfterDjangosCommit  # noqa: PLC0415 - few have Django

            return AfterDjangosCommit(where)
        if _is_sqlalchemys(where):
            from sidelamb.transactions.sqlalchemy import AfterCommit  # noqa: PLC0415 - few have SQLAlchemy

            return AfterCommit(where)
    raise _wrong("on_commit", where)


def _in_outbox(where: Any) -> Edge:
    with late_import:
        if _is_djangos(where):
            from sidelamb.outbox.in_django import InDjangosOutbox  # noqa: PLC0415 - the same

            return InDjangosOutbox(where)
        if _is_sqlalchemys(where):
            from sidelamb.outbox.sqlalchemy import InOutbox  # noqa: PLC0415 - the same

            return InOutbox(where)
    raise _wrong("outbox", where)


def _is_djangos(where: Any) -> bool:
    return where is True or (isinstance(where, str) and where != "")


def _is_sqlalchemys(where: Any) -> bool:
    """Tell by names, which imports nothing; SQLModel's and others' sessions derive from SQLAlchemy's."""
    return any(cls.__module__.partition(".")[0] == "sqlalchemy" for cls in type(where).__mro__)


def _wrong(option: str, where: Any) -> BadOption:
    return BadOption(
        f"{option} is {shown(where)}; expected True (Django's default database), the alias of a database of "
        "Django's, or a session of SQLAlchemy's"
    )
