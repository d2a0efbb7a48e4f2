"""`sidelamb doctor`: looks at an app's settings, code and Redis, and says what would hurt on AWS.

It reads and changes nothing. What it finds are facts with what to do next; what it cannot see from this machine
(quotas, security groups, another team's database clients) it does not guess.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from sidelamb.errors import ConfigError, RedisError
from sidelamb_handlers.config import FILE as CONFIG_FILE
from sidelamb_handlers.config import CapsuleConfig, written
from sidelamb_local.deployed import as_deployed, poller_config
from sidelamb_local.errors import LocalStackError
from sidelamb_local.finding import Finding, Sign
from sidelamb_local.project import load_project
from sidelamb_local.redis_facts import judge_redis, look_at_redis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sidelamb_handlers.config import Config
    from sidelamb_local.project import Project
    from sidelamb_local.template import FunctionSpec

__all__ = ["examine", "functions_here"]


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
        project = load_project(app_dir, template=template, modules=modules, in_flight=most).probed()
        project = project if (app_dir / CONFIG_FILE).exists() else on_aws(project)
    except (LocalStackError, ConfigError) as error:
        return [Finding(Sign.WRONG, str(error)), *about_redis(redis_url, _namespace_here(), 0)]
    findings = about_jobs(project) + about_functions(project.config, project.functions)
    findings += about_connections(project.config, allowed)
    return findings + about_redis(redis_url, project.config.namespace, sandboxes(project.config))


def on_aws(project: Project) -> Project:
    """Return the app as its stack has it: what the poller's task is told, and the functions' own parameters.

    Raises:
        LocalStackError: samconfig.toml or the template cannot be read.
        ConfigError: the task would not start with its settings.
    """
    if project.is_built_in:
        return project
    stack = as_deployed(project.template)
    config = poller_config(stack)
    return replace(project, config=config, functions=stack.functions) if config else project


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
            f"nobody serves the queue {queue!r}, so its jobs wait; add it to a capsule's queues, "
            "or to the stack's parameter Queues",
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


def functions_here() -> list[str]:
    """Return the names of functions, as Lambda knows them, that this folder or the environment says."""
    try:
        said = written()
    except ConfigError:
        return []  # what is wrong with it, the look at the app says
    tables = said.get("capsules")
    named = (
        [one.get("function") for one in tables.values() if isinstance(one, dict)]
        if isinstance(tables, dict)
        else []
    )
    named += [
        os.environ.get("SIDELAMB_FUNCTION"),
        said.get("scheduler"),
        os.environ.get("SIDELAMB_SCHEDULER_FUNCTION"),
    ]
    return [name for name in named if isinstance(name, str)]


def about_redis(url: str, namespace: str, clients: int) -> list[Finding]:
    """Look at Redis, which `clients` sandboxes will talk to, and say what would lose jobs or stop them."""
    if not url:
        return [Finding(Sign.WARNING, "no Redis is known here; set SIDELAMB_REDIS_URL, or say --redis")]
    try:
        facts = look_at_redis(url, namespace)
    except (RedisError, ConfigError) as error:
        return [Finding(Sign.WRONG, " ".join(str(error).split()))]
    return judge_redis(facts, clients)


def _namespace_here() -> str:
    """Return the namespace that is meant where there is no app, or one that cannot be read."""
    try:
        said = written().get("namespace")
    except ConfigError:
        said = ""
    return os.environ.get("SIDELAMB_NAMESPACE") or (said if isinstance(said, str) else "")
