"""What a look at a Redis brings, and what of it would lose jobs or stop them: for `sidelamb doctor`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidelamb.api.calls import Calls
from sidelamb.keys import Keys
from sidelamb.link import Link
from sidelamb_handlers.gauges import STUCK_S
from sidelamb_handlers.poller.startup import worries
from sidelamb_local.finding import Finding, Sign

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["RedisFacts", "judge_redis", "look_at_redis"]

CLOCKS_S = 5.0
"""What clocks may differ by."""
QUEUES_AT_ONCE = 500
FULL = 0.8
"""Of maxmemory, above which a warning is due."""


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What a look at Redis brought."""

    address: str
    info: Mapping[str, str]
    ahead_s: float
    """Of our clock against Redis's; positive if ours is ahead."""
    pollers: int
    namespace: str = ""
    dead_leases: int = 0
    """Those that nobody has reaped a minute after their deadline."""
    foreign_keys: tuple[str, ...] = ()
    """Those that should be lists of queues, and are another program's."""


def look_at_redis(url: str, namespace: str = "") -> RedisFacts:
    """Return what Redis says of itself.

    Raises:
        RedisError: it is not there, or refuses us.
        ConfigError: the URL is none.
    """
    link = Link(url)
    try:
        info = parse_info(link.command(b"INFO"))
        before = time.time()
        seconds, micros = link.command(b"TIME")
        ahead = (before + time.time()) / 2 - int(seconds) - int(micros) / 1e6
        identities: Iterable[bytes] = link.command(b"SMEMBERS", Keys(namespace).processes)
        alive = sum(bool(link.command(b"EXISTS", Keys(namespace)(one.decode()))) for one in identities)
        dead = link.command(b"ZCOUNT", Keys(namespace).leases, b"-inf", int(seconds) - STUCK_S)
        return RedisFacts(link.address, info, ahead, alive, namespace, int(dead), _foreign_keys(link, namespace))
    finally:
        link.close()


def _foreign_keys(link: Link, namespace: str) -> tuple[str, ...]:
    keys = Keys(namespace)
    queues: list[bytes] = sorted(link.command(b"SMEMBERS", keys.queues))
    found: list[str] = []
    for first in range(0, len(queues), QUEUES_AT_ONCE):
        waiting = link.run(Calls(keys).waiting(queues[first : first + QUEUES_AT_ONCE]))
        found += [one.foreign_key for one in waiting if one.foreign_key]
    return tuple(found)


def parse_info(raw: bytes) -> dict[str, str]:
    """Return the fields of INFO."""
    lines = raw.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def judge_redis(facts: RedisFacts, clients: int) -> list[Finding]:
    """Say what is to be said about a Redis that `clients` sandboxes will talk to."""
    info = facts.info
    return [
        *_server(facts),
        *_memory(info),
        *_copies(info),
        *_clients(info, clients),
        *_clock(facts.ahead_s),
        _pollers(facts.pollers),
        *_leases(facts.dead_leases),
        *_foreign(facts.foreign_keys),
    ]


def _server(facts: RedisFacts) -> list[Finding]:
    info = facts.info
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "")
    wrong = worries(info)
    if info.get("cluster_enabled") == "1" and "{" not in facts.namespace:
        wrong.append("it is a cluster, and the namespace has no hash tag; set SIDELAMB_NAMESPACE={app}")
    findings = [Finding(Sign.WRONG, line) for line in wrong]
    return findings or [Finding(Sign.OK, f"{facts.address}: {name} {version}, it keeps what it is given")]


def _memory(info: Mapping[str, str]) -> list[Finding]:
    used, most = _whole(info, "used_memory"), _whole(info, "maxmemory")
    if not most or used < FULL * most:
        return []
    return [
        Finding(Sign.WARNING, f"its memory is {used / most:.0%} full; full, it takes no jobs: raise maxmemory")
    ]


def _copies(info: Mapping[str, str]) -> list[Finding]:
    if _whole(info, "connected_slaves") or info.get("aof_enabled") == "1" or info.get("role") == "slave":
        return []
    return [
        Finding(
            Sign.WARNING,
            "no replica, no append-only file: what it holds goes when it goes; fine for a try",
        )
    ]


def _clients(info: Mapping[str, str], clients: int) -> list[Finding]:
    most = _whole(info, "maxclients")
    if not most or clients + _whole(info, "connected_clients") <= most:
        return []
    return [
        Finding(
            Sign.WRONG,
            f"{clients} sandboxes and its {info['connected_clients']} clients are over its maxclients, {most}; "
            "raise it, or lower in_flight",
        )
    ]


def _clock(ahead_s: float) -> list[Finding]:
    if abs(ahead_s) <= CLOCKS_S:
        return []
    way = "ahead of" if ahead_s > 0 else "behind"
    return [
        Finding(
            Sign.WRONG,
            f"this machine's clock is {abs(ahead_s):.0f} s {way} that of Redis; {CLOCKS_S:g} s are allowed: "
            "set it by NTP",
        )
    ]


def _pollers(alive: int) -> Finding:
    if alive:
        return Finding(Sign.OK, f"pollers and Sidekiq processes alive there: {alive}")
    return Finding(Sign.WARNING, "no poller is alive there: jobs wait until one is; start one, `sidelamb poller`")


def _leases(dead: int) -> list[Finding]:
    if not dead:
        return []
    text = f"{dead:,} leases are long past their deadline, and their jobs wait in them"
    return [Finding(Sign.WRONG, f"{text}; see that the scheduler function runs: it gives them back")]


def _foreign(keys: tuple[str, ...]) -> list[Finding]:
    what = "is no list: another program uses this key of a queue, whose jobs are neither taken nor run"
    return [Finding(Sign.WRONG, f"{key} {what}; rename or delete it") for key in keys]


def _whole(info: Mapping[str, Any], name: str) -> int:
    text = str(info.get(name, ""))
    return int(text) if text.isdigit() else 0
