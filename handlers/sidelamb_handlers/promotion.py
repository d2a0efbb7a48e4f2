"""How an entry of `schedule` or `retry` looks when its time has come and it enters its queue.

Pure: the clock is an argument.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import orjson

from sidelamb.errors import Malformed
from sidelamb.payload import decode, is_tidy, queue_of, stamp_enqueued
from sidelamb_handlers.foreign import mended, renewed

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["end_of", "promotion", "runs_of"]


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
        old, payload["enqueued_at"] = payload.get("enqueued_at"), None
        if mended(payload):
            return raw, renewed(raw, {"enqueued_at": now}, queue), queue
        return raw, stamp_enqueued(raw, now if stamp is None else stamp, old), queue
    except Malformed:
        return raw, raw, None


def end_of(stamp: float) -> bytes:
    """Return what stands in the place of the last brace of an entry that enters its queue (see `runs_of`)."""
    return b',"enqueued_at":%b}' % orjson.dumps(stamp)


def runs_of(raws: Sequence[bytes]) -> list[tuple[int, str]] | None:
    """Return the queues of entries as runs of (how many, queue), or None if one of them is not the usual.

    The usual one is a tidy payload that Sidekiq can read, whose time of enqueue is yet to be added at its end.
    """
    between = os.urandom(16).hex()  # in none of them: so each one is a value of its own, or all of this is no JSON
    joined = b"[%b]" % (b',"%b",' % between.encode()).join(raws)
    try:
        values: list[Any] = orjson.loads(joined)
    except ValueError:
        return None
    if values[1::2] != [between] * (len(raws) - 1) or not is_tidy(joined):
        return None
    runs: list[tuple[int, str]] = []
    count, last = 0, ""
    for payload in values[::2]:
        if type(payload) is not dict or "enqueued_at" in payload or mended(payload):
            return None
        queue = payload["queue"]
        if queue != last:
            if count:
                runs.append((count, last))
            count, last = 0, queue
        count += 1
    return [*runs, (count, last)]
