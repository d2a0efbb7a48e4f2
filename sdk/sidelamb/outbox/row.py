"""What stands in a row of the table `sidelamb_outbox`: all that is needed to push a job, and to know it by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb.packing import Packed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TABLE", "packed", "values"]

TABLE = "sidelamb_outbox"


def values(job: Packed) -> dict[str, Any]:
    """Return the columns of a job, but for `id` and `created_at`."""
    return {"jid": job.jid, "job": job.name, "queue": job.queue, "at": job.at, "payload": job.raw.decode()}


def packed(row: Mapping[str, Any]) -> Packed:
    """Return the job in such columns."""
    return Packed(row["jid"], row["job"], row["queue"], row["at"], row["payload"].encode())
