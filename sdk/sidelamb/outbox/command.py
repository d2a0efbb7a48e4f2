"""The relay as a process: it ends at SIGTERM or Ctrl-C, between two transactions."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from sidelamb.outbox.relay import Relay

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["relay"]


def relay(database: Engine | str, *, once: bool) -> None:
    """Relay the outbox of a database (as for `Relay`) until the process is told to stop, or only what is there."""
    if once:
        Relay(database).drain()
        return
    stop = threading.Event()

    def ends(_signal: int, _frame: Any) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ends)
    signal.signal(signal.SIGINT, ends)
    Relay(database).run(stop)
