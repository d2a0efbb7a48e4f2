"""What Redis has after a fire, read past everything that the nemesis has broken."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson
import redis

from sidelamb import Client
from sidelamb.api import Locks, Periodics
from tests.faults.features import Batched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["batches_in", "chains_in", "locks_in", "places_in", "rest", "stop_ticks", "ticks_in"]

TICK = "tick"
"""The periodic job of the app."""


def stop_ticks(url: str, within_s: float) -> float:
    """Wait until some have come and none is due, and pause the clock; return the next tick, epoch s."""
    until, following = time.monotonic() + within_s, 0.0
    with redis.Redis.from_url(url) as db:
        while time.monotonic() < until:
            following = float(db.zscore("sidelamb:periodic:due", TICK) or 0)
            if following > time.time() and db.exists(f"sidelamb:periodic:history:{TICK}"):
                break
            time.sleep(0.1)
    Periodics(Client(url)).pause(TICK)
    return following


def rest(url: str, look: Callable[[], None], within_s: float) -> None:
    """Wait until nothing waits, runs, or falls due any more."""
    until = time.monotonic() + within_s
    with redis.Redis.from_url(url) as db:
        while time.monotonic() < until:
            look()
            busy = db.exists("sidelamb:leases", "schedule", "retry")
            if not busy and not any(db.llen(key) for key in db.keys("*queue:*") + db.keys("sidelamb:alone:*")):
                return
            time.sleep(0.2)


def places_in(url: str) -> dict[str, list[str]]:
    """Return where each job is that is in Redis."""
    found: dict[str, list[str]] = defaultdict(list)
    with redis.Redis.from_url(url) as db:
        for key, raw in _payloads(db):
            found[orjson.loads(raw)["jid"]].append(key)
    return found


def batches_in(url: str, jobs: Mapping[str, tuple[str, ...]], doubtful: Iterable[str]) -> dict[str, Batched]:
    """Return what is known of batches, by their ids; a doubtful one may be unknown, and then is left out."""
    with redis.Redis.from_url(url) as db:
        found = {bid: _batched(db, bid, jids) for bid, jids in jobs.items()}
    return {bid: batch for bid, batch in found.items() if batch.is_known or bid not in doubtful}


def chains_in(url: str, last: Mapping[str, str]) -> dict[str, Batched]:
    """Return what is known of chains, by their ids, those among them whose enqueue was uncertain.

    Args:
        url: of Redis.
        last: of those that were acknowledged, the job that has the result.
    """
    found = {}
    with redis.Redis.from_url(url) as db:
        index = {bid.decode() for bid in db.zrange("sidelamb:batches", 0, -1)}
        others = {bid for bid in index - set(last) if db.hget(f"sidelamb:batch:{bid}", "description")}
        for bid in (*last, *others):
            results = [orjson.loads(raw) for raw in db.hvals(f"sidelamb:batch:{bid}:results")]
            found[bid] = _batched(db, bid, tuple(results[0]) if results else ())
    return found


def locks_in(url: str) -> dict[str, str]:
    """Return who holds each lock, by its key."""
    return {lock.key: lock.jid for lock in Locks(Client(url))}


def ticks_in(url: str) -> list[tuple[float, str]]:
    """Return the ticks for which a job was enqueued, epoch s, with the ids of the jobs."""
    history = Periodics(Client(url)).history(TICK)
    return [(one.tick.timestamp(), one.jid) for one in history if one.tick is not None]


def _batched(db: redis.Redis, bid: str, jids: tuple[str, ...]) -> Batched:
    key = f"sidelamb:batch:{bid}"
    pending, dead = (
        frozenset(jid.decode() for jid in db.smembers(f"{key}:{name}")) for name in ("pending", "dead")
    )
    return Batched(jids, pending, dead, is_known=bool(db.exists(key)))


def _payloads(db: redis.Redis) -> Iterator[tuple[str, Any]]:
    for key in (*db.keys("queue:*"), *db.keys("sidelamb:alone:*")):
        yield from ((key.decode(), raw) for raw in db.lrange(key, 0, -1))
    for name in ("schedule", "retry", "dead"):
        yield from ((name, raw) for raw in db.zrange(name, 0, -1))
    for key in db.keys("sidelamb:lease:*"):
        yield from ((key.decode(), raw) for field, raw in db.hgetall(key).items() if field[:1].isdigit())
