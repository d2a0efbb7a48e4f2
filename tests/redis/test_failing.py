"""Redis as it fails: what each failure means for a job that is being enqueued, and for calls safe to repeat."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Client, RedisRefused, RedisUncertain, RedisUnreachable
from sidelamb.alink import AsyncLink
from sidelamb.link import Link
from sidelamb.payload import encode
from sidelamb.store import Settled, Store
from tests.handlers.proxy import Proxy
from tests.redis.servers import Server, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STORE = Store()
LOOK = STORE.look(["default"])
JOB = encode({"class": "work", "args": [], "jid": "j", "queue": "default"})


@pytest.fixture(params=["blocking", "async"])
def do(request: pytest.FixtureRequest) -> Callable[[str, Any], Any]:
    """Runs something on a new link: `do(url, lambda link: link.run(call))`, in blocking or in async code."""

    def blocking(url: str, *steps: Callable[[Any], Any]) -> Any:
        link = Link(url)
        try:
            for step in steps:
                answer = step(link)
        finally:
            link.close()
        return answer

    def within_a_loop(url: str, *steps: Callable[[Any], Any]) -> Any:
        async def run() -> Any:
            link = AsyncLink(url)
            try:
                for step in steps:
                    answer = step(link)
                    answer = await answer if inspect.isawaitable(answer) else answer
            finally:
                await link.close()
            return answer

        return asyncio.run(run())

    return blocking if request.param == "blocking" else within_a_loop


def enqueue(link: Any) -> Any:
    return link.run(STORE.enqueue([("default", JOB)]))


def look(link: Any) -> Any:
    return link.run(LOOK)


class Script:
    """A server that reads a command and does what its script says: bytes to send, or None to hang up."""

    def __init__(self, *replies: bytes | None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0?socket_timeout=2"
        self.heard: list[bytes] = []
        self._replies = list(replies)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._replies:
            near, _ = self._listener.accept()
            with near, contextlib.suppress(OSError):
                near.settimeout(5)
                while self._replies and (data := near.recv(1 << 16)):
                    self.heard.append(data)
                    reply = self._replies.pop(0)
                    if reply is None:
                        break
                    near.sendall(reply)
                    if not reply.endswith(b"\r\n"):
                        break
        self._listener.close()


class TestAReplyThatIsCut:
    @pytest.mark.parametrize("part", [None, b":", b"$100\r\nabc", b"*3\r\n:1\r\n"])
    def test_leaves_an_enqueue_uncertain_and_is_sent_once(self, do: Any, part: bytes | None) -> None:
        server = Script(part, b":1\r\n", b":1\r\n")
        with pytest.raises(RedisUncertain, match="may have been carried out or not"):
            do(server.url, enqueue)
        assert len(server.heard) == 1

    @pytest.mark.parametrize(
        "second",
        [None, b"-OOM command not allowed\r\n", b"-LOADING Redis is loading\r\n"],
        ids=["cut", "full", "loading"],
    )
    def test_and_then_another_failure_is_still_uncertain(self, do: Any, second: bytes | None) -> None:
        """What may have been done once is not certainly undone because a second try was declined."""
        server = Script(None, second, second, None)
        with pytest.raises(RedisUncertain):
            do(server.url, lambda link: link.run(STORE.schedule([(1.0, JOB)])))

    def test_and_then_nobody_there_is_still_uncertain(self, do: Any) -> None:
        server = Script(None)
        with pytest.raises(RedisUncertain):
            do(server.url, lambda link: link.run(STORE.schedule([(1.0, JOB)])))


class TestAServerThatDeclines:
    """Each answer proves that nothing ran."""

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            ("LOADING Redis is loading the dataset in memory", "try again in a moment"),
            ("READONLY You can't write against a read only replica.", "connect to the primary"),
            ("MASTERDOWN Link with MASTER is down", "failed over"),
            ("CLUSTERDOWN The cluster is down", "failed over"),
            ("OOM command not allowed when used memory > 'maxmemory'.", "raise maxmemory"),
            ("NOREPLICAS Not enough good replicas to write.", "min-replicas-to-write"),
            ("MISCONF Errors writing to the AOF file", "look into its log"),
            ("ERR max number of clients reached", "maxclients"),
            ("BUSY Redis is busy running a script.", "BUSY"),
        ],
    )
    def test_certainly_did_not_store_the_job(self, do: Any, answer: str, says: str) -> None:
        server = Script(*[f"-{answer}\r\n".encode()] * 4)
        with pytest.raises(RedisRefused, match=says):
            do(server.url, enqueue)

    def test_because_another_is_the_primary_is_asked_anew_once(self, do: Any) -> None:
        """WIRE 5.1: once after a reconnect. A name means another server since a failover; the job goes again."""
        server = Script(b"-READONLY You can't write against a read only replica.\r\n", b":1\r\n")
        assert do(server.url, enqueue) == 1
        assert len(server.heard) == 2


class TestARealOne:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        with Server(tmp_path, appendonly="yes", appendfsync="always") as server:
            yield server

    @pytest.fixture
    def replica(self, server: Server, tmp_path: Path) -> Iterator[Server]:
        server.say("CONFIG", "SET", "repl-diskless-sync-delay", 0)
        with Server(tmp_path / "replica", replicaof=f"127.0.0.1 {server.port}") as replica:
            until(lambda: replica.client().info("replication")["master_link_status"] == "up")
            yield replica

    def test_that_forgot_the_scripts_is_told_them_again(self, do: Any, server: Server) -> None:
        def forget(_: Any) -> None:
            server.say("SCRIPT", "FLUSH")

        assert do(server.url, enqueue, forget, enqueue) == 1
        assert server.client().llen("queue:default") == 2

    def test_that_was_killed_and_is_back_takes_jobs_on_the_same_link(self, do: Any, server: Server) -> None:
        def kill(link: Any) -> None:
            server.kill()

        def restart(_: Any) -> None:
            server.start()

        async def fails(link: Any) -> None:
            with pytest.raises(RedisUnreachable):
                await enqueue(link)

        def fails_blocking(link: Any) -> None:
            with pytest.raises(RedisUnreachable):
                enqueue(link)

        is_async = "within_a_loop" in do.__qualname__
        assert do(server.url, enqueue, kill, fails if is_async else fails_blocking, restart, enqueue) == 1
        assert server.client().llen("queue:default") == 2

    def test_that_is_full_declines_and_lets_jobs_drain(self, do: Any, server: Server) -> None:
        for _ in range(3):
            do(server.url, enqueue)
        reserve = STORE.reserve(
            ["c:1"], ["default"], capsule="c", poller="p", expires=9e9, cap=1, most_jobs=1, most_bytes=9_999
        )
        do(server.url, lambda link: link.run(reserve))
        do(server.url, lambda link: link.run(STORE.claim("c:1", request_id="r", now=1.0, deadline=9e9)))
        server.say("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(RedisRefused, match="Redis is full"):
            do(server.url, enqueue)
        settle = STORE.settle("c:1", "c", now=1.0, done=["0:default"], request_id="r")
        assert do(server.url, lambda link: link.run(settle)) == Settled(1, 0)
        server.say("CONFIG", "SET", "maxmemory", 0)
        assert do(server.url, enqueue) == 1

    def test_that_is_a_replica_declines(self, do: Any, replica: Server) -> None:
        with pytest.raises(RedisRefused, match="This is a replica: connect to the primary"):
            do(replica.url, enqueue)
        assert do(replica.url, look).waiting == {"default": 0}

    def test_that_becomes_the_primary_takes_jobs_on_the_same_link(self, do: Any, replica: Server) -> None:
        def promote(_: Any) -> None:
            replica.say("REPLICAOF", "NO", "ONE")

        assert do(replica.url, look, promote, enqueue) == 1

    def test_that_is_loading_declines_and_takes_jobs_after_that(self, do: Any, server: Server) -> None:
        with server.client() as db:
            pipe = db.pipeline()
            for n in range(4_000):
                pipe.rpush("other", f"{n}" * 20)
            pipe.execute()
        server.kill()
        server._options |= {"key_load_delay": 500, "loading_process_events_interval_bytes": 1024}
        server.start()
        with pytest.raises(RedisRefused, match="loading its data: try again in a moment"):
            do(server.url, enqueue)
        until(lambda: server.client().info("persistence")["loading"] == 0)
        assert do(server.url, enqueue) == 1
        assert server.client().llen("queue:default") == 1


class TestAHalfOpenConnection:
    """A NAT, or a sandbox that was frozen, drops connections without a word."""

    @pytest.fixture
    def proxy(self, redis_url: str) -> Iterator[Proxy]:
        proxy = Proxy(redis_url)
        yield proxy
        proxy.close()

    def test_costs_one_time_limit_however_many_there_were(self, proxy: Proxy) -> None:
        link = Link(proxy.url, socket_timeout=0.3)
        threads = [threading.Thread(target=look, args=(link,)) for _ in range(6)]
        proxy.delay_s = 0.05  # so that each needs one of its own
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        proxy.delay_s = 0.0
        proxy.freeze()
        look(link)
        began = time.monotonic()
        for _ in range(6):
            look(link)
        assert time.monotonic() - began < 0.3, "none of these met a frozen connection"
        link.close()

    async def test_costs_one_time_limit_in_async_code(self, proxy: Proxy) -> None:
        link = AsyncLink(proxy.url, socket_timeout=0.3)
        await asyncio.gather(*(look(link) for _ in range(6)))
        proxy.freeze()
        await look(link)
        began = time.monotonic()
        await asyncio.gather(*(look(link) for _ in range(6)))
        assert time.monotonic() - began < 0.3
        await link.close()

    async def test_that_idled_is_not_used_again(self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also the push in async code of a thawed sandbox, which is sent once only."""
        from sidelamb import spares

        client = Client(proxy.url)
        client.enqueue("work", 1)
        await client.aenqueue("work", 1)
        proxy.freeze()
        monkeypatch.setattr(spares, "STALE_AFTER_S", 0.0)
        client.enqueue("work", 1)
        await client.aenqueue("work", 1)
        await client.aclose()


def test_an_unreachable_redis_is_told_within_its_connect_timeout(do: Any) -> None:
    """A full backlog drops what comes, as a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fill = [socket.socket() for _ in range(4)]
        for each in fill:
            each.setblocking(False)
            each.connect_ex(address)
        began = time.monotonic()
        with pytest.raises(RedisUnreachable, match="cannot be reached"):
            do(f"redis://127.0.0.1:{address[1]}?socket_connect_timeout=0.2", enqueue)
        assert time.monotonic() - began < 2
        for each in fill:
            each.close()
