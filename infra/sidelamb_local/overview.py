"""One look at Redis: what waits where. Two round trips, whatever is in there."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidelamb.errors import Malformed
from sidelamb.keys import Keys
from sidelamb.payload import decode

if TYPE_CHECKING:
    import redis

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


def look(client: redis.Redis, namespace: str, queues: tuple[str, ...] = ()) -> Overview:
    """Look once.

    Args:
        client: A redis-py client.
        namespace: Key prefix.
        queues: Shown also while they are empty.

    Raises:
        redis.RedisError: Redis is away.
    """
    keys = Keys(namespace)
    with client.pipeline(transaction=False) as pipe:
        pipe.smembers(keys.queues)
        for key in (keys.leases, keys.retry, keys.schedule, keys.dead):
            pipe.zcard(key)
        pipe.get(keys.processed)
        pipe.get(keys.failed)
        known, in_flight, retries, scheduled, dead, processed, failed = pipe.execute()
    names = list(dict.fromkeys([*queues, *sorted(_text(name) for name in known)]))
    return Overview(
        queues=_queues(client, keys, names),
        in_flight=in_flight,
        retries=retries,
        scheduled=scheduled,
        dead=dead,
        processed=int(processed or 0),
        failed=int(failed or 0),
    )


def _queues(client: redis.Redis, keys: Keys, names: list[str]) -> list[QueueState]:
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.llen(keys.queue(name))
            pipe.llen(keys.alone(name))
            pipe.lindex(keys.queue(name), -1)
        replies: list[Any] = pipe.execute()
    now = time.time()
    return [
        QueueState(name, size + alone, _latency(oldest, now))
        for name, size, alone, oldest in zip(names, replies[::3], replies[1::3], replies[2::3], strict=True)
    ]


def _latency(raw: bytes | str | None, now: float) -> float | None:
    try:
        since = decode(raw.encode() if isinstance(raw, str) else raw or b"").get("enqueued_at")
    except Malformed:
        return None
    if not isinstance(since, int | float) or isinstance(since, bool):
        return None
    return max(0.0, now - (since / 1000 if since > _MS else since))


def _text(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
