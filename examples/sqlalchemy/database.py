"""One engine a sandbox: it lives as long as the sandbox does, over many invocations."""

from __future__ import annotations

import os

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    number: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[int]


engine = create_engine(
    os.environ["DATABASE_URL"],
    # One connection for each job that runs at once: the capsule's `threads`. So the database sees
    # in_flight x threads connections at most; `sidelamb doctor --connections N` does the sum.
    pool_size=int(os.environ.get("DATABASE_POOL", "1")),
    max_overflow=0,
    # Lambda freezes a sandbox between invocations, and the other side may hang up meanwhile.
    # A connection is tried before it is handed out, and a dead one replaced.
    pool_pre_ping=True,
    connect_args={"connect_timeout": 5},
)

Session = sessionmaker(engine)
