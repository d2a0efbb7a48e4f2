"""Jobs that write to a database. Nothing connects before the first of them runs."""

from __future__ import annotations

import time

from database import Order, Session

from sidelamb import job


@job
def record(number: int, total: int, takes_s: float = 0.0) -> None:
    """Write an order down: merged, not added, for a job may run twice."""
    with Session.begin() as session:
        session.merge(Order(number=number, total=total))
        session.flush()
        time.sleep(takes_s)
