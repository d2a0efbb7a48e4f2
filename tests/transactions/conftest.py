"""Fixtures for jobs that belong to a transaction: SQLite files, a client that counts its round trips, jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from sidelamb import Client, settings
from sidelamb.job import Job
from sidelamb.outbox.sqlalchemy import table as outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import redis

NOWHERE = "redis://127.0.0.1:1/0"


class Base(DeclarativeBase):
    """Tables of the app."""


class Order(Base):
    """What transactions are about."""

    __tablename__ = "orders"
    number: Mapped[int] = mapped_column(primary_key=True)


outbox.to_metadata(Base.metadata)


def _charge(number: int, *, twice: bool = False) -> None: ...


charge: Job[Any, Any] = Job(_charge, {"name": "charge"})
"""Registered nowhere: nothing here runs it."""


@pytest.fixture(autouse=True)
def own_client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The process's client of this test."""
    settings.reset()
    monkeypatch.setenv("SIDELAMB_REDIS_URL", redis_url)
    yield settings.default_client()
    settings.reset()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Any]:
    """A database."""
    engine = create_engine(f"sqlite:///{tmp_path}/db.sqlite")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def maker(engine: Any) -> Any:
    """Makes sessions."""
    return sessionmaker(engine)


@pytest.fixture
def queued(db: redis.Redis) -> Callable[[], list[Any]]:
    """The first argument of each job in the queue, the first enqueued first."""

    def read() -> list[Any]:
        return [orjson.loads(raw)["args"][0] for raw in reversed(db.lrange("queue:default", 0, -1))]

    return read


@pytest.fixture
def trips(own_client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scripts that were run."""
    ran: list[str] = []
    run = own_client.link.run

    def counted(call: Any, **options: Any) -> Any:
        ran.append(call.script)
        return run(call, **options)

    monkeypatch.setattr(own_client.link, "run", counted)
    return ran


def other_table() -> Table:
    """A table that is not there."""
    return Table("missing", MetaData(), Column("id", Integer))
