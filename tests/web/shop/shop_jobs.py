"""A shop's jobs, which write down what they did."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from sidelamb import BatchStatus, current_job, job, periodic
from sidelamb.limits import Concurrent


def note(*what: Any) -> None:
    """Append a line; a short write to a file opened for appending is never torn."""
    file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, json.dumps([current_job().jid, *what]).encode() + b"\n")
    finally:
        os.close(file)


@job(name="shop.charge", max_retries=0)
def charge(card: str) -> None:
    """Take one card, and no other."""
    if card != "4242":
        raise ValueError(f"no such card: {card}")
    note("charged", card)


@job(name="shop.note")
def keep(*what: Any, **more: Any) -> None:
    """Write down what it was given."""
    note(*what, more)


@job(name="shop.mail", queue="mail")
def mail(to: str) -> None:
    """Write down to whom."""
    note("mailed", to)


@job(name="shop.sync", unique_for=3600)
def sync(n: int) -> None:
    """Be the only one."""
    note("synced", n)


@job(name="shop.ask", limit=Concurrent(1, name="line"))
def ask(who: str, until: str) -> None:
    """Hold the only line until a file is there."""
    note("asks", who)
    while until and not Path(until).exists():
        time.sleep(0.02)


@job(name="shop.report")
def report(status: BatchStatus, options: dict[str, Any]) -> None:
    """Say that a batch is through."""
    note("reported", status.description)


@periodic("0 3 1 1 *", name="yearly")
@periodic("0 4 1 1 *", name="leap")
@job(name="shop.close")
def close() -> None:
    """Close the year."""
    note("closed")
