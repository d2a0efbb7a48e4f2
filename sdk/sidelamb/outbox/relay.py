"""The relay: moves jobs from the outbox of a database into Redis.

In one transaction it takes rows, deletes them, pushes their jobs and commits. Where it dies before the commit the
rows are back, and are pushed again: twice, never not at all. Rows that another relay has are passed over (`FOR
UPDATE SKIP LOCKED`, or a delete that finds them gone), so several relays work side by side.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from sidelamb import settings
from sidelamb.errors import BadOption
from sidelamb.late import late_import
from sidelamb.wording import shown

if TYPE_CHECKING:
    import threading
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine

    from sidelamb.client import Client
    from sidelamb.packing import Packed

__all__ = ["MOST", "Relay", "Rows"]

log = logging.getLogger("sidelamb.outbox")

MOST = 500
"""Rows of one transaction: few enough that those of a relay that died are not many to be pushed again."""

IDLE_S = 0.5
"""Between two looks at an empty outbox; a job waits half as long on average."""

MOST_PAUSE_S = 30.0
"""Between two tries while the database or Redis is away."""


class Rows(Protocol):
    """The outbox of a database."""

    def taken(self, most: int) -> AbstractContextManager[list[Packed]]:
        """Give the jobs of the oldest rows that nobody has; they go when the block ends, or stay if it raises."""


class Relay:
    """Pushes what stands in an outbox.

    Args:
        database: an `Engine` of SQLAlchemy's, or the alias of a database of Django's, True for the default one.
        client: pushes; None for the process's.

    Raises:
        BadOption: `database` is neither.
    """

    def __init__(self, database: Engine | str | bool, client: Client | None = None) -> None:  # noqa: FBT001 - as outbox=
        self._rows = _rows(database)
        self._client = client

    def run_once(self) -> int:
        """Push at most 500 jobs and return how many.

        Raises:
            RedisError: nothing was deleted. After RedisUncertain they are perhaps pushed, and will be once more.
        """
        client = self._client or settings.default_client()
        with self._rows.taken(MOST) as jobs:
            ready = client.anew(jobs)
            # What is scheduled twice is there once. A push is not like that: it is the last before the commit.
            client.store_packed(job for job in ready if job.at is not None)
            client.store_packed(job for job in ready if job.at is None)
        return len(jobs)

    def drain(self) -> int:
        """Push until the outbox is empty and return how many jobs; for a periodic job. Raises as `run_once`."""
        total = 0
        while moved := self.run_once():
            total += moved
        return total

    def run(self, stop: threading.Event) -> None:
        """Push what comes until `stop` is set. What fails is logged and tried again."""
        pause = IDLE_S
        while not stop.is_set():
            try:
                moved = self.run_once()
            except Exception as error:
                pause = min(2 * pause, MOST_PAUSE_S)
                log.warning("the outbox was not relayed, trying again in %g s: %s", pause, error)
                stop.wait(pause)
            else:
                pause = IDLE_S
                if moved < MOST:
                    stop.wait(IDLE_S)


def _rows(database: Any) -> Rows:
    with late_import:
        if database is True or (isinstance(database, str) and database):
            from sidelamb.outbox.in_django import DjangosRows  # noqa: PLC0415 - few have Django

            return DjangosRows(database)
        if any(cls.__name__ == "Engine" for cls in type(database).__mro__):
            from sidelamb.outbox.sqlalchemy import EngineRows  # noqa: PLC0415 - few have SQLAlchemy

            return EngineRows(database)
    raise BadOption(
        f"Relay: database is {shown(database)}; expected an Engine of SQLAlchemy's (a blocking one), True for "
        "Django's default database, or the alias of another one"
    )
