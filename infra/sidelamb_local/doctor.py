"""`sidelamb doctor`: looks at an app's settings, code and Redis, and says what would hurt on AWS.

It reads and changes nothing. What it finds are facts with what to do next; what it cannot see from this machine
(quotas, security groups, another team's database clients) it does not guess.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sidelamb.errors import ConfigError, RedisError
from sidelamb.keys import Keys
from sidelamb.link import Link
from sidelamb_handlers.config import FILE as CONFIG_FILE
from sidelamb_handlers.config import CapsuleConfig
from sidelamb_handlers.poller.startup import worries
from sidelamb_local.errors import LocalStackError
from sidelamb_local.project import load_project

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sidelamb_handlers.config import Config
    from sidelamb_local.project import Project
    from sidelamb_local.template import FunctionSpec

__all__ = ["Finding", "Sign", "examine"]

CLOCKS_S = 5.0
"""What clocks may differ by."""
FULL = 0.8
"""Of maxmemory, above which a warning is due."""


class Sign(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, as a sentence."""

    sign: Sign
    text: str


def examine(
    app_dir: Path, *, template: Path | None, modules: Sequence[str], redis_url: str, allowed: int | None
) -> list[Finding]:
    """Look at the app in `app_dir` and at its Redis.

    Args:
        app_dir: its folder.
        template: its SAM template; None for the one in the folder, or the built-in one.
        modules: its job modules; empty for what SIDELAMB_JOBS says.
        redis_url: empty if none is known.
        allowed: connections that the app's database has left for workers; None if nobody said.
    """
    most = 10_000 if (app_dir / CONFIG_FILE).exists() else CapsuleConfig("", "").in_flight
    try:
        project = load_project(app_dir, template=template, modules=modules, in_flight=most)
        project = project.probed()
    except (LocalStackError, ConfigError) as error:
        return [Finding(Sign.WRONG, str(error))]
    findings = about_jobs(project) + about_functions(project.config, project.functions)
    findings += about_connections(project.config, allowed)
    if not redis_url:
        return [*findings, Finding(Sign.WARNING, "no Redis is known here; set SIDELAMB_REDIS_URL, or say --redis")]
    return findings + about_redis(redis_url, project.config)


def about_jobs(project: Project) -> list[Finding]:
    """Say what the app's modules register, and whether every queue they name is served."""
    found, config = project.jobs, project.config
    modules = ", ".join(project.modules)
    if not found.names:
        return [
            Finding(Sign.WRONG, f"{modules} declares no job; put @job on a function, or correct SIDELAMB_JOBS")
        ]
    missed = [queue for queue in found.queues if queue not in config.queues]
    findings = [Finding(Sign.OK, f"{modules}: {len(found.names)} jobs on {', '.join(found.queues)}")]
    findings += [
        Finding(
            Sign.WRONG,
            f"nobody serves the queue {queue!r}, so its jobs wait; add it to a capsule's queues",
        )
        for queue in missed
    ]
    return findings


def about_functions(config: Config, functions: Mapping[str, FunctionSpec]) -> list[Finding]:
    """Say whether capsules and functions agree on how long an invocation lives."""
    findings = []
    for capsule in config.capsules:
        timeout = functions[capsule.function].timeout_s
        if timeout > capsule.timeout:
            text = f"its function may run {timeout:g} s, it says {capsule.timeout:g}: every lease would be refused"
            findings.append(Finding(Sign.WRONG, f"{capsule.name}: {text}; set timeout = {timeout:g}"))
        elif timeout < capsule.timeout:
            text = f"its function ends after {timeout:g} s, it says {capsule.timeout:g}: leases return late"
            findings.append(Finding(Sign.WARNING, f"{capsule.name}: {text}; set timeout = {timeout:g}"))
    return findings or [Finding(Sign.OK, "capsules and functions agree on their timeouts")]


def sandboxes(config: Config) -> int:
    """Return how many sandboxes may run jobs at once."""
    return sum(capsule.in_flight for capsule in config.capsules)


def connections(config: Config) -> int:
    """Return how many database connections the workers may hold at once: one for each thread of each sandbox."""
    return sum(capsule.in_flight * capsule.threads for capsule in config.capsules)


def about_connections(config: Config, allowed: int | None) -> list[Finding]:
    """Say how many database connections the workers may hold, against what the database has left for them."""
    terms = " + ".join(f"{c.in_flight} sandboxes x {c.threads} threads" for c in config.capsules)
    most = connections(config)
    said = f"{terms} = {most} database connections at most, with a pool of one a thread"
    if allowed is None:
        return [Finding(Sign.OK, f"{said}; compare it with your database: --connections N")]
    if most <= allowed:
        return [Finding(Sign.OK, f"{said}; the database has {allowed}")]
    return [
        Finding(
            Sign.WRONG,
            f"{said}; the database has {allowed}: lower in_flight or threads, or put RDS Proxy in between",
        )
    ]


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What a look at Redis brought."""

    address: str
    info: Mapping[str, str]
    ahead_s: float
    """Of our clock against Redis's; positive if ours is ahead."""
    pollers: int
    namespace: str = ""


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
        return RedisFacts(link.address, info, ahead, alive, namespace)
    finally:
        link.close()


def parse_info(raw: bytes) -> dict[str, str]:
    """Return the fields of INFO."""
    lines = raw.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def about_redis(url: str, config: Config) -> list[Finding]:
    """Look at Redis and say what of it would lose jobs or stop them."""
    try:
        facts = look_at_redis(url, config.namespace)
    except (RedisError, ConfigError) as error:
        return [Finding(Sign.WRONG, " ".join(str(error).split()))]
    return judge_redis(facts, sandboxes(config))


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
    return [Finding(Sign.WARNING, f"its memory is {used / most:.0%} full; full, it takes no jobs")]


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
            f"{clients} sandboxes and its {info['connected_clients']} clients are over its maxclients, {most}",
        )
    ]


def _clock(ahead_s: float) -> list[Finding]:
    if abs(ahead_s) <= CLOCKS_S:
        return []
    way = "ahead of" if ahead_s > 0 else "behind"
    return [
        Finding(
            Sign.WRONG,
            f"this machine's clock is {abs(ahead_s):.0f} s {way} that of Redis; {CLOCKS_S:g} s are allowed",
        )
    ]


def _pollers(alive: int) -> Finding:
    if alive:
        return Finding(Sign.OK, f"pollers and Sidekiq processes alive there: {alive}")
    return Finding(Sign.WARNING, "no poller is alive there: jobs wait until one is")


def _whole(info: Mapping[str, Any], name: str) -> int:
    text = str(info.get(name, ""))
    return int(text) if text.isdigit() else 0
