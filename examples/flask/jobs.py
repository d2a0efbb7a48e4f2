"""The jobs. They do not know Flask, and a worker does not load it."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - Sidelamb reads the annotation

from sidelamb import job


@job(queue="mail")
def remind(address: str, when: dt.date) -> None:
    print(f"{address}: it is {when:%d %B}")
