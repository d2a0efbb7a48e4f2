"""What about Redis should worry someone, looked at when a poller starts: each a line that says what to do.

From INFO alone, for services forbid CONFIG.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sidelamb.errors import ConfigError, RedisError, RedisRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sidelamb.store import Store
    from sidelamb_handlers.poller.patient import Patient

__all__ = ["check", "recount", "worries"]

log = logging.getLogger("sidelamb.poller")

REDIS_LEAST = (6, 2)
VALKEY_LEAST = (7, 2)


async def check(redis: Patient, store: Store) -> None:
    """Wait until Redis answers, and say what is wrong with it.

    Raises:
        ConfigError: nothing can work: a cluster, and a namespace that spreads our keys over its nodes.
    """
    facts = await _facts(redis, store)
    for line in worries(facts):
        log.warning("%s", line)
    if facts.get("cluster_enabled") == "1" and not _has_hash_tag(store.keys.namespace):
        raise ConfigError(
            f"Redis at {redis.link.address} is a cluster, and the namespace {store.keys.namespace!r} would "
            "spread the keys over its nodes; set one with a hash tag, SIDELAMB_NAMESPACE={app}, for everything "
            "that uses this Redis"
        )


async def _facts(redis: Patient, store: Store) -> dict[str, str]:
    """Return what the server that has our keys says of itself; nothing if it does not let us ask."""
    while True:
        await redis.run(store.expired(0.0, 1))  # leads there, and waits until Redis is back
        try:
            info: bytes = await redis.link.command(b"INFO")
        except RedisRefused as error:
            log.warning("whether this Redis is fit for jobs could not be seen: %s", error)
            return {}
        except RedisError:
            continue
        lines = info.decode(errors="replace").split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)


async def recount(redis: Patient, store: Store, capped: Collection[str]) -> None:
    """Count what is in flight of queues that may have no cap until now: leases that were reserved without one."""
    if not capped:
        return
    leases: list[bytes] = await redis.link.command(b"ZRANGE", store.keys.leases, 0, -1)
    for lease in leases:
        for queue in capped:
            await redis.run(store.recount(lease.decode(errors="replace"), queue))


def worries(facts: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a server, as its INFO says.

    Args:
        facts: of INFO, by name.
    """
    found = []
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(f"Redis may evict jobs: its maxmemory-policy is {policy}; set it to noeviction")
    valkey = facts.get("valkey_version")
    name, said, least = ("Valkey", valkey, VALKEY_LEAST) if valkey else ("Redis", _redis(facts), REDIS_LEAST)
    if _version(said) < least:
        wanted = ".".join(map(str, least))
        found.append(f"{name} {said} is too old: jobs will not move; update it to {wanted} or newer")
    if facts.get("role") == "slave":
        found.append(
            "this Redis is a replica and takes no writes: name the primary in SIDELAMB_REDIS_URL "
            f"({facts.get('master_host', '?')}:{facts.get('master_port', '?')}), or its sentinels"
        )
    return found


def _redis(facts: Mapping[str, str]) -> str:
    return facts.get("redis_version", "")


def _version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version; one that is not said is new enough."""
    numbers = [part for part in text.split(".")[:2] if part.isdigit()]
    return tuple(map(int, numbers)) or (99,)


def _has_hash_tag(namespace: str) -> bool:
    """Whether the namespace alone decides on the slot: something between its first `{` and the next `}`."""
    _, opened, rest = namespace.partition("{")
    tag, closed, _ = rest.partition("}")
    return bool(opened and closed and tag)
