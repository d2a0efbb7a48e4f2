"""A real sentinel that fails over: links follow, and with `wait_replicas` no acknowledged job is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.sentinel import Sentinel

from sidelamb import Client, ConfigError, RedisUncertain, RedisUnreachable, configure
from sidelamb.alink import AsyncLink
from sidelamb.errors import RedisError
from sidelamb.keys import Keys
from sidelamb.link import Link
from sidelamb.payload import decode
from tests.redis import way
from tests.redis.servers import Server, Watched, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One that does not fail over."""
    with Watched(tmp_path_factory.mktemp("steady")) as watched:
        yield watched


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with Watched(tmp_path) as watched:
        yield watched


def jids(server: Server) -> list[str]:
    with server.client() as db:
        return [decode(raw)["jid"] for raw in db.lrange("queue:default", 0, -1)]


class TestWaysIn:
    async def test_every_script_runs(self, steady: Watched) -> None:
        link, alink = Link(steady.url), AsyncLink(steady.url)
        assert await way.go(link.run, "one") == way.EVERY_SCRIPT
        assert await way.go(alink.run, "two") == way.EVERY_SCRIPT
        await alink.close()
        link.close()

    async def test_a_client_that_a_sentinel_of_redis_py_made(self, steady: Watched) -> None:
        sentinel = Sentinel([("127.0.0.1", steady.sentinel.port)], sentinel_kwargs={"socket_timeout": 2})
        client = Client(sentinel.master_for("mymaster"), namespace="theirs")
        client.enqueue("work", 1)
        await client.aenqueue("work", 2)
        await client.aclose()
        assert steady.primary.client().llen("theirs:queue:default") == 2
        with pytest.raises(ConfigError, match="master_for"):
            Client(sentinel.slave_for("mymaster"))

    def test_sentinels_that_are_away_are_passed_over(self, steady: Watched) -> None:
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{steady.sentinel.port}/mymaster"
        assert Client(url).enqueue("work", 1)

    def test_a_primary_that_none_knows_is_told(self, steady: Watched) -> None:
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{steady.sentinel.port}/other"
        with pytest.raises(
            RedisUnreachable, match=r"Certainly not stored.*No sentinel says where.*'other'.*does not"
        ):
            Client(url).enqueue("work", 1)

    def test_a_sentinel_is_asked_only_when_a_connection_is_opened(self, steady: Watched) -> None:
        client = Client(steady.url)
        client.enqueue("work", 1)
        with steady.sentinel.client() as sentinel:
            before = sentinel.info("stats")["total_connections_received"]
            for _ in range(20):
                client.enqueue("work", 1)
            assert sentinel.info("stats")["total_connections_received"] == before


class TestWaiting:
    def test_returns_when_the_replica_has_the_job(self, steady: Watched) -> None:
        configure(redis=steady.url, wait_replicas=1, namespace="w")
        client = Client()
        client.enqueue("work", 1)
        assert steady.replica.client().llen("w:queue:default") == 1
        client.enqueue_in(60, "work", 2)
        assert steady.replica.client().zcard("w:schedule") == 1
        assert client.enqueue_many("work", [(n,) for n in range(1_500)]) == 1_500
        assert steady.replica.client().llen("w:queue:default") == 1_501

    async def test_is_said_in_the_url_too(self, steady: Watched) -> None:
        client = Client(f"{steady.primary.url}?wait_replicas=1", namespace="u")
        await client.aenqueue("work", 1)
        await client.aclose()
        assert steady.replica.client().llen("u:queue:default") == 1

    @pytest.mark.parametrize("verb", ["enqueue", "enqueue_in"])
    async def test_in_vain_is_uncertain_and_says_that_the_primary_has_it(self, steady: Watched, verb: str) -> None:
        client = Client(f"{steady.url}?wait_replicas=2", namespace=verb, new_jid=lambda: "the-jid")
        args = ["work"] if verb == "enqueue" else [60, "work"]
        with pytest.raises(RedisUncertain, match=r"jid the-jid.*has it, but not 2 replicas") as caught:
            getattr(client, verb)(*args)
        assert caught.value.jids == ("the-jid",)
        with pytest.raises(RedisUncertain, match="not 2 replicas"):
            await getattr(client, f"a{verb}")(*args)
        await client.aclose()
        keys = Keys(verb)
        with steady.primary.client() as db:
            assert db.llen(keys.queue("default")) + db.zcard(keys.schedule) == 2

    def test_costs_no_round_trip_and_reading_does_not_wait(self, steady: Watched) -> None:
        link = Link(f"{steady.url}?wait_replicas=1")
        link.run(way.Store("r").look(["default"]))
        before = steady.primary.client().info("commandstats").get("cmdstat_wait", {"calls": 0})["calls"]
        link.run(way.Store("r").look(["default"]))
        assert steady.primary.client().info("commandstats").get("cmdstat_wait", {"calls": 0})["calls"] == before
        link.close()


class Producer:
    """Enqueues without a pause, and notes what it was told of each job."""

    def __init__(self, url: str) -> None:
        self.told: dict[str, str] = {}
        self._stop = threading.Event()
        self._client = Client(url)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def count(self, what: str) -> int:
        return list(self.told.values()).count(what)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.told[self._client.enqueue("work", 1)] = "stored"
            except RedisError as error:
                what = "perhaps" if isinstance(error, RedisUncertain) else "not stored"
                assert ("Certainly not stored" in str(error)) == (what == "not stored")  # noqa: PT017
                self.told[error.jids[0]] = what
                time.sleep(0.02)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)


class TestAFailover:
    @pytest.mark.parametrize("wait", [False, True], ids=["without WAIT", "with WAIT"])
    def test_after_a_crash_is_followed_and_what_was_told_is_true(self, watched: Watched, wait: bool) -> None:
        producer = Producer(watched.url + ("?wait_replicas=1" if wait else ""))
        try:
            until(lambda: producer.count("stored") > 50)
            watched.primary.kill()
            until(lambda: watched.replica.client().info("replication")["role"] == "master")
            watched.primary.start_as_replica_of(watched.replica)
            until(lambda: watched.replica.client().info("replication")["connected_slaves"] == 1)
            before = producer.count("stored")
            until(lambda: producer.count("stored") > before + 50)
        finally:
            producer.stop()
        there = jids(watched.replica)
        assert len(there) == len(set(there)), "nothing twice"
        assert not set(there) & {jid for jid, what in producer.told.items() if what == "not stored"}
        stored = [jid for jid, what in producer.told.items() if what == "stored"]
        lost = [n for n, jid in enumerate(stored) if jid not in set(there)]
        assert not (wait and lost)
        assert lost == list(range(lost[0], lost[0] + len(lost))) if lost else True, (
            "only the last before the crash"
        )

    async def test_in_good_order_is_followed_by_links_that_were_idle(self, watched: Watched) -> None:
        """Their connections lead to a replica now, if they lead anywhere."""
        client = Client(watched.url)
        client.enqueue("work", 1)
        await client.aenqueue("work", 2)
        until(lambda: len(jids(watched.replica)) == 2)
        watched.fail_over()
        client.enqueue("work", 3)
        await client.aenqueue("work", 4)
        await client.aclose()
        until(lambda: len(jids(watched.replica)) == 4)

    async def test_frees_a_peek_that_blocks(self, watched: Watched) -> None:
        link, key = AsyncLink(watched.url), Keys().queue("default")
        peek = asyncio.create_task(link.command(b"BLMOVE", key, key, b"RIGHT", b"RIGHT", 60, timeout=70.0))
        await asyncio.to_thread(until, lambda: watched.primary.client().info("clients")["blocked_clients"])
        await asyncio.to_thread(watched.fail_over)
        with pytest.raises(RedisError):
            await asyncio.wait_for(peek, 10)
        await link.close()

    def test_of_a_primary_that_is_known_by_name_only_needs_no_sentinel(self, watched: Watched) -> None:
        """ElastiCache's primary endpoint: the name means another server, the old one is a replica."""
        there = {"port": watched.primary.port}
        link = Link(f"redis://127.0.0.1:{there['port']}")
        answer: Any = link.run(way.Store().enqueue([("default", way.job(1))]))
        assert answer == 1
        watched.fail_over()
        with redis.Redis(port=watched.primary.port) as old:
            assert old.info("replication")["role"] == "slave"
        link._route._here = link._route._here._replace(port=watched.replica.port)  # what DNS would say now
        assert link.run(way.Store().enqueue([("default", way.job(2))])) == 1
        link.close()
