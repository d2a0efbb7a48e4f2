"""A real Redis Cluster, of one node and of three: every script, every way in, and nodes that come and go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import redis
import redis.asyncio as aredis

from sidelamb import Batch, Batches, Client, RedisRefused, RedisUnreachable, chain, configure, group
from sidelamb.alink import AsyncLink
from sidelamb.errors import RedisError
from sidelamb.keys import Keys
from sidelamb.link import Link
from sidelamb.payload import encode
from sidelamb.store import Store
from tests.redis import way
from tests.redis.servers import Cluster, until

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACES = ["{app}", "{b}", "{zz}"]
KEYS = Keys("{app}")


def everything(cluster: Cluster, queue: str = "default", namespace: str = "{app}") -> list[bytes]:
    with redis.RedisCluster.from_url(cluster.url) as client:
        return list(client.lrange(f"{namespace}:queue:{queue}", 0, -1))


def redirections(cluster: Cluster) -> int:
    """How often a node has said MOVED."""
    stats = [node.client().info("errorstats") for node in cluster.nodes]
    return sum(each.get("errorstat_MOVED", {"count": 0})["count"] for each in stats)


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_every_script_runs_wherever_the_keys_are(cluster: Cluster, namespace: str) -> None:
    link = Link(cluster.url)
    assert await way.go(link.run, namespace) == way.EVERY_SCRIPT
    link.close()


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_every_script_runs_in_async_code(cluster: Cluster, namespace: str) -> None:
    link = AsyncLink(cluster.url)
    assert await way.go(link.run, namespace) == way.EVERY_SCRIPT
    await link.close()


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_a_blocking_peek_wakes_at_a_push(cluster: Cluster, namespace: str) -> None:
    key = Keys(namespace).queue("default")
    link = AsyncLink(cluster.url)
    peek = asyncio.create_task(link.command(b"BLMOVE", key, key, b"RIGHT", b"RIGHT", 20, timeout=25.0))
    with redis.RedisCluster.from_url(cluster.url) as db:
        owner = next(n for n in cluster.nodes if n.port == db.get_node_from_key(key.decode()).port)
    blocked = lambda: owner.client().info("clients")["blocked_clients"]  # noqa: E731
    await asyncio.to_thread(until, blocked)
    await Client(cluster.url, namespace=namespace).aenqueue("work", 1)
    assert b'"work"' in await peek
    assert len(everything(cluster, namespace=namespace)) == 1
    await link.close()


class TestWaysIn:
    @pytest.mark.parametrize("marked", [False, True], ids=["any node", "redis+cluster"])
    def test_a_url(self, cluster: Cluster, marked: bool) -> None:
        nodes = ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes)
        client = Client(f"redis+cluster://{nodes}" if marked else cluster.url, namespace="{app}")
        client.enqueue("work", 1)
        client.enqueue_in(-1, "work", 2)
        assert client.enqueue_many("work", [(n,) for n in range(2_500)]) == 2_500
        client.enqueue_in(60, "later")
        assert len(everything(cluster)) == 2_502

    def test_a_cluster_client_of_redis_py(self, cluster: Cluster) -> None:
        with redis.RedisCluster.from_url(cluster.url) as theirs:
            configure(redis=theirs, namespace="{app}")
            client = Client()
            client.enqueue("work", 1)
            asyncio.run(client.aenqueue("work", 2))
        assert len(everything(cluster)) == 2

    async def test_an_async_cluster_client_of_redis_py(self, cluster: Cluster) -> None:
        theirs = aredis.RedisCluster.from_url(cluster.url)
        client = Client(theirs, namespace="{app}")
        client.enqueue("work", 1)
        await client.aenqueue("work", 2)
        await client.aclose()
        await theirs.aclose()
        assert len(everything(cluster)) == 2

    def test_nodes_that_are_away_are_passed_over(self, cluster: Cluster) -> None:
        client = Client(f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.nodes[0].port}", namespace="{app}")
        client.enqueue("work", 1)
        assert len(everything(cluster)) == 1


class TestBatches:
    @pytest.mark.parametrize("namespace", NAMESPACES)
    def test_a_batch_with_a_workflow_in_it(self, cluster: Cluster, namespace: str) -> None:
        client = Client(cluster.url, namespace=namespace)
        work = client.job("work")
        with Batch("outer", on_success=work, client=client) as batch:
            assert work.enqueue_many((n,) for n in range(1_001)) == 1_001
            chain(group(work.s(n) for n in range(3)), work.s(), work.s()).enqueue(client)
        status = batch.status()
        assert (status.total, [one.children[0].total for one in status.children]) == (1_001, [3])
        batch.cancel()
        assert [one.state for one in Batches(client).page()].count("cancelled") == 1
        assert len(everything(cluster, namespace=namespace)) == 1_004


class TestWithoutAHashTag:
    def test_enqueueing_is_refused_with_what_to_set(self, cluster: Cluster) -> None:
        with pytest.raises(RedisRefused, match=r"Certainly not stored.*CROSSSLOT.*SIDELAMB_NAMESPACE=\{app\}"):
            Client(cluster.url).enqueue("work", 1)


class TestAMovingSlot:
    def test_jobs_arrive_once_while_it_moves_and_after(self, three_nodes: Cluster) -> None:
        """MIGRATING and IMPORTING: what is not here any more is asked for there (ASK)."""
        slot = three_nodes.nodes[0].say("CLUSTER", "KEYSLOT", "{app}:queue:default")
        source = three_nodes.owner("{app}")
        target = next(node for node in three_nodes.nodes if node is not source)
        client = Client(source.url, namespace="{app}")
        client.enqueue("work", 0)
        ids = {node: node.say("CLUSTER", "MYID") for node in (source, target)}
        target.say("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.say("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        client.enqueue("work", 1)
        keys = source.say("CLUSTER", "GETKEYSINSLOT", slot, 100)
        source.say("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        client.enqueue("work", 2)
        for node in (target, source, *three_nodes.nodes):
            node.say("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        client.enqueue("work", 3)
        try:
            assert len(everything(three_nodes)) == 4
        finally:
            target.say("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[source])
            source.say("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[target])
            keys = target.say("CLUSTER", "GETKEYSINSLOT", slot, 100)
            target.say("MIGRATE", "127.0.0.1", source.port, "", 0, 5000, "KEYS", *keys)
            for node in (source, target, *three_nodes.nodes):
                node.say("CLUSTER", "SETSLOT", slot, "NODE", ids[source])
        client.enqueue("work", 4)
        assert len(everything(three_nodes)) == 5

    def test_keys_that_are_apart_for_a_moment_are_waited_for(self, three_nodes: Cluster) -> None:
        """TRYAGAIN, until the rest has followed."""
        slot = three_nodes.nodes[0].say("CLUSTER", "KEYSLOT", "{app}:queue:default")
        source = three_nodes.owner("{app}")
        target = next(node for node in three_nodes.nodes if node is not source)
        client = Client(source.url, namespace="{app}")
        client.enqueue("work", 0)
        ids = {node: node.say("CLUSTER", "MYID") for node in (source, target)}
        target.say("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.say("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        source.say("MIGRATE", "127.0.0.1", target.port, "{app}:queues", 0, 5000)
        try:
            with pytest.raises(RedisRefused, match=r"Certainly not stored.*TRYAGAIN"):
                client.enqueue("work", 1)
        finally:
            source.say("CLUSTER", "SETSLOT", slot, "STABLE")
            target.say("MIGRATE", "127.0.0.1", source.port, "{app}:queues", 0, 5000)
            target.say("CLUSTER", "SETSLOT", slot, "STABLE")
        client.enqueue("work", 2)
        assert len(everything(three_nodes)) == 2


def test_when_the_owner_of_the_slot_dies_its_replica_is_found(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3, 1, cluster_require_full_coverage="no") as cluster:
        namespace = "{b}"  # slot 3300: the first node's, which has the replica
        assert cluster.owner(namespace) is cluster.nodes[0]
        client = Client(cluster.nodes[1].url, namespace=namespace)
        client.enqueue("work", 0)
        until(lambda: cluster.nodes[3].client().info("replication")["master_repl_offset"] > 0)
        cluster.nodes[0].say("WAIT", 1, 1000)
        cluster.nodes[0].kill()
        with pytest.raises(RedisUnreachable, match="Certainly not stored"):
            client.enqueue("work", 1)

        def enqueue() -> bool:
            try:
                client.enqueue("work", 2)
            except RedisError as error:
                assert "Certainly not stored" in str(error)  # noqa: PT017 - every failure on the way
                return False
            return True

        until(enqueue)
        until(lambda: cluster.nodes[3].client().info("replication")["role"] == "master")
        assert len(cluster.nodes[3].client().lrange("{b}:queue:default", 0, -1)) == 2


async def test_two_namespaces_on_one_link_each_go_their_way(three_nodes: Cluster) -> None:
    link = Link(three_nodes.url)
    for n in range(3):
        for namespace in NAMESPACES:
            payload = encode({"class": "work", "args": [n], "jid": str(n), "queue": "default"})
            link.run(Store(namespace).enqueue([("default", payload)]))
    assert all(len(everything(three_nodes, namespace=each)) == 3 for each in NAMESPACES)
    before = sum(
        node.client().info("errorstats").get("errorstat_MOVED", {}).get("count", 0) for node in three_nodes.nodes
    )
    for namespace in NAMESPACES * 3:
        link.run(Store(namespace).look(["default"]))
    after = sum(
        node.client().info("errorstats").get("errorstat_MOVED", {}).get("count", 0) for node in three_nodes.nodes
    )
    assert before == after, "once learned, a slot's place is known"
    link.close()


def test_a_scan_goes_where_the_keys_are(three_nodes: Cluster) -> None:
    for namespace in NAMESPACES:
        Client(three_nodes.url, namespace=namespace).enqueue("work", 1)
        link = Link(three_nodes.url)
        found, cursor = [], b"0"
        while True:
            cursor, keys = link.command(b"SCAN", cursor, b"MATCH", f"{namespace}:*".encode(), b"COUNT", 100)
            found += keys
            if cursor == b"0":
                break
        assert sorted(found) == [f"{namespace}:{name}".encode() for name in ("queue:default", "queues")]
        link.close()
