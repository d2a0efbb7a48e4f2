"""How an entry of `schedule` or `retry` looks when its time has come and it enters its queue.

Pure: the clock is an argument.
"""

from __future__ import annotations

from sidelamb.errors import Malformed
from sidelamb.payload import decode, queue_of, stamp_enqueued
from sidelamb_handlers.foreign import mended, renewed

__all__ = ["promotion"]


def promotion(raw: bytes, now: float, stamp: float | None = None) -> tuple[bytes, bytes, str | None]:
    """Return (bytes in the set, bytes for the queue, queue). Without a queue: it cannot be read, to dead.

    Args:
        raw: an entry.
        now: epoch s.
        stamp: now as it is written into a payload, if not as epoch s.
    """
    try:
        payload = decode(raw)
        queue = queue_of(payload)
        payload["enqueued_at"] = None
        if mended(payload):
            return raw, renewed(raw, {"enqueued_at": now}, queue), queue
        return raw, stamp_enqueued(raw, now if stamp is None else stamp), queue
    except Malformed:
        return raw, raw, None
