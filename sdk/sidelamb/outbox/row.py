"""What stands in a row of the table `sidelamb_outbox`: all that is needed to push a job, and to know it by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sidelamb.effects import FIELDS, beginnings
from sidelamb.packing import Packed
from sidelamb.payload import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TABLE", "packed", "values"]

TABLE = "sidelamb_outbox"


def values(job: Packed) -> dict[str, Any]:
    """Return the columns of a job, but for `id` and `created_at`."""
    return {"jid": job.jid, "job": job.name, "queue": job.queue, "at": job.at, "payload": job.raw.decode()}


def packed(row: Mapping[str, Any]) -> Packed:
    """Return the job in such columns, with what its features do when it is stored."""
    raw, at = row["payload"].encode(), row["at"]
    payload = decode(raw)
    effects = () if FIELDS.isdisjoint(payload) else beginnings(payload, time.time(), at)
    return Packed(row["jid"], row["job"], row["queue"], at, raw, effects)
