"""The outbox in a database that the app knows by SQLAlchemy.

from sidelamb.outbox.sqlalchemy import table

table.to_metadata(Base.metadata)    # create_all makes it, and Alembic sees it
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Double,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from sidelamb.errors import BadCall, BadOption
from sidelamb.outbox.row import TABLE, packed, values
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from sidelamb.packing import Packed
    from sidelamb.pusher import Pusher

__all__ = ["EngineRows", "InOutbox", "table"]

LONGEST = 2**24 - 1
"""Bytes that a TEXT of MySQL's must hold; it would take 64 KiB for enough."""

table = Table(
    TABLE,
    MetaData(),
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("jid", String(255), nullable=False),
    Column("job", String(255), nullable=False),
    Column("queue", String(255), nullable=False),
    Column("at", Double),
    Column("payload", Text().with_variant(Text(LONGEST), "mysql", "mariadb"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, default=lambda: dt.datetime.now(dt.UTC)),
)


class InOutbox:
    """The transaction of a session or connection.

    Args:
        given: a Session or Connection, blocking, async or scoped; a scoped one is asked at each call.
    """

    def __init__(self, given: Any) -> None:
        self._given = given

    def hold(self, _client: Pusher, jobs: list[Packed]) -> None:
        """Write rows."""
        where = self._where()
        if isinstance(where, AsyncSession | AsyncConnection):
            raise BadCall(f"outbox is {shown(where)}, which has to be awaited; write await ….aenqueue(…)")
        where.execute(insert(table), [values(job) for job in jobs])

    async def ahold(self, _client: Pusher, jobs: list[Packed]) -> None:
        """Write rows without blocking the event loop, if the session is async."""
        where = self._where()
        if isinstance(where, AsyncSession | AsyncConnection):
            await where.execute(insert(table), [values(job) for job in jobs])
        else:
            where.execute(insert(table), [values(job) for job in jobs])

    def _where(self) -> Session | Connection | AsyncSession | AsyncConnection:
        given = self._given
        if isinstance(given, scoped_session | async_scoped_session):
            given = given()
        if isinstance(given, Session | Connection | AsyncSession | AsyncConnection):
            return given
        raise BadOption(f"outbox is {shown(given)}; expected a session or a connection of SQLAlchemy's")


class EngineRows:
    """The rows of a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def taken(self, most: int) -> Iterator[list[Packed]]:
        """Give the jobs of the oldest rows that nobody has; see `Rows`."""
        oldest = select(table).order_by(table.c.id).limit(most).with_for_update(skip_locked=True)
        with self._engine.begin() as connection:
            rows = connection.execute(oldest).mappings().all()
            gone = delete(table).where(table.c.id.in_([row["id"] for row in rows]))
            if rows and connection.execute(gone).rowcount != len(rows):
                connection.rollback()  # another relay has them: a database that cannot pass over locked rows
                rows = []
            yield [packed(dict(row)) for row in rows]
