"""What a poller says at its start about the Redis that it finds."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.alink import AsyncLink
from sidelamb.errors import ConfigError
from sidelamb.store import Store
from sidelamb_handlers.poller import startup
from sidelamb_handlers.poller.patient import Patient
from sidelamb_handlers.poller.startup import check, worries
from tests.redis.servers import Cluster, Server, until

if TYPE_CHECKING:
    from pathlib import Path

POLLER = [sys.executable, "-P", "-m", "sidelamb_handlers.poller"]


async def checked(url: str, caplog: Any, namespace: str = "") -> list[str]:
    """The warnings."""
    link = AsyncLink(url)
    try:
        await check(Patient(link), Store(namespace))
    finally:
        await link.close()
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


class TestACluster:
    async def test_without_a_hash_tag_is_refused(self, cluster: Cluster, caplog: Any) -> None:
        for namespace in ("", "app", "{}", "a{b"):
            with pytest.raises(ConfigError, match=r"is a cluster.*SIDELAMB_NAMESPACE=\{app\}"):
                await checked(cluster.url, caplog, namespace)

    async def test_with_one_is_fine(self, cluster: Cluster, caplog: Any) -> None:
        assert await checked(cluster.url, caplog, "{app}") == []
        assert await checked(cluster.url, caplog, "my{app}") == []

    async def test_is_looked_at_where_the_keys_are(self, three_nodes: Cluster, caplog: Any) -> None:
        owner = three_nodes.owner("{app}")
        owner.say("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            (line,) = await checked(three_nodes.url, caplog, "{app}")
        finally:
            owner.say("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert line == "Redis may evict jobs: its maxmemory-policy is allkeys-lru; set it to noeviction"

    def test_ends_the_poller_with_one_line(self, one_node_for_all: Cluster, tmp_path: Path) -> None:
        env = os.environ | {
            "SIDELAMB_REDIS_URL": one_node_for_all.url,
            "SIDELAMB_FUNCTION": "worker",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_REGION": "eu-west-1",
        }
        ended = subprocess.run(
            POLLER, check=False, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 2
        (line,) = (line for line in ended.stderr.splitlines() if " INFO " not in line)
        assert line.startswith("sidelamb: Redis at 127.0.0.1:")
        assert "is a cluster, and the namespace '' would spread the keys" in line


async def test_a_replica_is_a_warning_that_names_the_primary(tmp_path: Path, caplog: Any) -> None:
    with (
        Server(tmp_path / "a") as primary,
        Server(tmp_path / "b", replicaof=f"127.0.0.1 {primary.port}") as replica,
    ):
        until(lambda: replica.client().info("replication")["master_link_status"] == "up")
        (line,) = await checked(replica.url, caplog)
    assert "is a replica and takes no writes" in line
    assert f"(127.0.0.1:{primary.port})" in line


async def test_a_user_who_may_not_ask_is_a_warning(tmp_path: Path, caplog: Any) -> None:
    with Server(tmp_path) as server:
        server.say("ACL", "SETUSER", "default", "-info")
        (line,) = await checked(server.url, caplog)
    assert "could not be seen" in line
    assert "NOPERM" in line


async def test_one_that_is_too_old_to_know_our_commands_is_told_as_that(
    tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis 6.0 has no ZRANGE BYSCORE, and none of what the scripts ask of 6.2."""
    monkeypatch.setattr(startup, "REDIS_LEAST", (99, 0))
    with Server(tmp_path) as server:
        server.say("ACL", "SETUSER", "default", "-zrange", "-zmscore", "-lpos", "-copy", "-getdel")
        (line,) = await asyncio.wait_for(checked(server.url, caplog), 10)
    assert "is too old: jobs will not move; update it to 99.0 or newer" in line


async def test_a_redis_that_comes_late_is_checked_when_it_comes(tmp_path: Path, caplog: Any) -> None:
    server = Server(tmp_path, maxmemory_policy="allkeys-lru")
    task = asyncio.create_task(checked(server.url, caplog))
    while not caplog.messages:  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.start)
    try:
        lines = await task
    finally:
        server.kill()
    assert len(lines) == 3
    assert "cannot be reached" in lines[0]
    assert "works again" in lines[1]
    assert "allkeys-lru" in lines[2]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"redis_version": "6.0.16"}, "Redis 6.0.16 is too old: jobs will not move; update it to 6.2 or newer"),
        ({"redis_version": "5.0.7"}, "Redis 5.0.7 is too old: jobs will not move; update it to 6.2 or newer"),
        ({"redis_version": "6.2.0"}, ""),
        ({"redis_version": "7.0.15"}, ""),
        ({"redis_version": "10.0.1"}, ""),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.5"}, ""),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, ""),
        ({"redis_version": "7.2.4", "valkey_version": "7.1.9"}, "Valkey 7.1.9 is too old: jobs will not move"),
        ({}, ""),
        ({"redis_version": "unstable"}, ""),
    ],
)
def test_what_is_too_old_is_said(facts: dict[str, str], says: str) -> None:
    found = worries(facts)
    assert len(found) == bool(says)
    assert all(line.startswith(says) for line in found)
