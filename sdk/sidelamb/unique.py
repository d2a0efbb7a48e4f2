"""Unique jobs: of two with the same key, the second is not stored while the first one lives.

    @job(unique_for=3600)
    def sync(user_id: int) -> None: ...

    first = sync.enqueue(12)
    assert sync.enqueue(12) == first     # the one that holds the lock

The lock is taken in the script that stores the job, holds the job's id, and goes with its end: success, death,
discard, deletion by a person; or, with `unique_until="start"`, as soon as it starts. What nothing of that reaches
ends `unique_for` seconds after it was to run.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.effects import Effect, Event
from sidelamb.lenient import number
from sidelamb.payload import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sidelamb.client import Client
    from sidelamb.effects import Ended
    from sidelamb.options import JobOptions

__all__ = ["beginning", "ending", "holder", "lock_key", "marker", "release", "starting"]

_ENDS = {Event.SUCCEEDED, Event.DIED, Event.DISCARDED, Event.DELETED}


def marker(options: JobOptions) -> Callable[[dict[str, Any], float | None], None]:
    """Return what puts a lock into the payloads of a job with these options."""
    by, until = options.unique_by, options.unique_until

    def mark(payload: dict[str, Any], _: float | None) -> None:
        args, kwargs = payload["args"], payload.get("kwargs", {})
        own = by(*args, **kwargs) if by is not None else [args, kwargs]
        identity = encode([payload["class"], payload["queue"], own])
        payload["lock"] = hashlib.sha256(identity).hexdigest()[:32]
        payload["unique_for"] = options.unique_for_s
        if until == "start":
            payload["unique_until"] = until

    return mark


def release(lock: str, client: Client | None = None) -> bool:
    """Give a lock back by hand, whoever holds it, and say whether somebody did.

    Args:
        lock: the field `lock` of a job's payload.
        client: through which; None for the process's.

    Raises:
        RedisError: Redis is away.
    """
    through = client or settings.default_client()
    return bool(through.link.command("DEL", through.store.keys(lock_key(lock))))


def holder(lock: str, client: Client | None = None) -> str | None:
    """Return the id of the job that holds a lock, None if none does; args and raises as `release`."""
    through = client or settings.default_client()
    found = through.link.command("GET", through.store.keys(lock_key(lock)))
    return None if found is None else found.decode()


def lock_key(lock: str) -> str:
    """Return the name of a lock's key."""
    return f"sidelamb:lock:{lock}"


def beginning(payload: Mapping[str, Any], now: float, at: float | None) -> Iterator[Effect]:
    """Take the lock, or be refused with the id of who holds it."""
    wait_s = max(0.0, (at or now) - now)
    ttl_ms = int((wait_s + (number(payload.get("unique_for")) or 0.0)) * 1000)
    yield Effect("lock", (lock_key(payload["lock"]),), (payload["jid"], max(1, ttl_ms)))


def starting(payload: Mapping[str, Any], *_: object) -> Iterator[Effect]:
    """Give the lock back, if it is held until the start only."""
    if payload.get("unique_until") == "start":
        yield _unlock(payload)


def ending(ended: Ended) -> Iterator[Effect]:
    """Give the lock back if the job is over."""
    if ended.event in _ENDS:
        yield _unlock(ended.payload)


def _unlock(payload: Mapping[str, Any]) -> Effect:
    return Effect("unlock", (lock_key(str(payload["lock"])),), (str(payload.get("jid")),))
