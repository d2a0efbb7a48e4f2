"""One look at Redis: what waits where. Two round trips, whatever is in there."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidelamb.api.calls import Calls
from sidelamb.errors import Malformed
from sidelamb.payload import decode

if TYPE_CHECKING:
    from sidelamb.client import Client

MOST_QUEUES = 1_000
"""A terminal shows no more."""
_MS = 1e11
"""Timestamps above this are Sidekiq 8's integer milliseconds, below it epoch seconds."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue."""

    name: str
    size: int
    latency_s: float | None
    """How long its oldest job has waited; None if nothing waits, or the job does not say."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What is where, and the counters since this Redis began."""

    queues: list[QueueState] = field(default_factory=list)
    in_flight: int = 0
    """Leases: jobs of one invocation each."""
    retries: int = 0
    scheduled: int = 0
    dead: int = 0
    processed: int = 0
    failed: int = 0

    @property
    def waiting(self) -> int:
        """Jobs in all queues."""
        return sum(queue.size for queue in self.queues)


def look(client: Client, queues: tuple[str, ...] = ()) -> Overview:
    """Look once.

    Args:
        client: Whose Redis and namespace.
        queues: Shown also while they are empty.

    Raises:
        RedisError: Redis is away.
    """
    keys, calls = client.store.keys, Calls(client.store.keys)
    counts = ((key, "ZCARD") for key in (keys.leases, keys.retry, keys.schedule, keys.dead))
    known = (keys.queues, "SSCAN", 0, "COUNT", MOST_QUEUES)
    call = calls.read(known, *counts, (keys.processed, "GET"), (keys.failed, "GET"))
    (_, found), in_flight, retries, scheduled, dead, processed, failed = client.link.run(call)
    names = list(dict.fromkeys([*queues, *sorted(name.decode(errors="replace") for name in found)]))
    return Overview(
        queues=_queues(client, names),
        in_flight=in_flight,
        retries=retries,
        scheduled=scheduled,
        dead=dead,
        processed=int(processed or 0),
        failed=int(failed or 0),
    )


def _queues(client: Client, names: list[str]) -> list[QueueState]:
    found = client.link.run(Calls(client.store.keys).waiting(names)) if names else []
    now = time.time()
    return [QueueState(name, one.size, _latency(one.head, now)) for name, one in zip(names, found, strict=True)]


def _latency(raw: bytes, now: float) -> float | None:
    try:
        since = decode(raw).get("enqueued_at")
    except Malformed:
        return None
    if not isinstance(since, int | float) or isinstance(since, bool):
        return None
    return max(0.0, now - (since / 1000 if since > _MS else since))
