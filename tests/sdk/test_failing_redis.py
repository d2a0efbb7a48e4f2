"""When Redis fails: what an error says about the jobs it is about."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from jobs_of_tests import send

from sidelamb import Client, RedisRefused, RedisUncertain, RedisUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

NOBODY = "redis://127.0.0.1:1/0"


class Proxy:
    """A way to Redis that can lose the reply to the nth script call, after Redis has carried it out."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2].partition("/")[0])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0?socket_timeout=5"
        self.lose = -1
        """Which reply to lose, counted from 0."""
        self.calls = 0
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [near, far]
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        """Carry whole commands (a client of ours sends one and waits) and their replies."""
        try:
            while True:
                command = near.recv(1 << 16)
                if not command:
                    break
                script = b"EVALSHA" in command or b"EVAL\r\n" in command
                far.sendall(command)
                while True:
                    near.settimeout(0.02)
                    try:
                        more = near.recv(1 << 20)
                    except TimeoutError:
                        break
                    far.sendall(more)
                near.settimeout(None)
                reply = far.recv(1 << 16)
                if script and not reply.startswith(b"-NOSCRIPT"):
                    self.calls += 1
                    if self.calls - 1 == self.lose:
                        break
                near.sendall(reply)
        except OSError:
            pass
        near.close()
        far.close()

    def close(self) -> None:
        for each in self._sockets:
            each.close()


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    made = Proxy(redis_url)
    yield made
    made.close()


class TestALostReply:
    def test_is_told_as_uncertain_and_the_job_is_there_once(self, proxy: Proxy, db: redis.Redis) -> None:
        proxy.lose = 0
        with pytest.raises(RedisUncertain) as caught:
            Client(proxy.url, new_jid=lambda: "the-jid").enqueue(send, 1)
        assert caught.value.jids == ("the-jid",)
        assert "It is uncertain whether jobs_of_tests.send (jid the-jid) was stored." in str(caught.value)
        assert "Look for the jid before you enqueue again" in str(caught.value)
        assert db.llen("queue:default") == 1

    async def test_is_told_so_in_async_code(self, proxy: Proxy, db: redis.Redis) -> None:
        proxy.lose = 0
        client = Client(proxy.url, new_jid=lambda: "the-jid")
        with pytest.raises(RedisUncertain) as caught:
            await client.aenqueue(send, 1)
        assert caught.value.jids == ("the-jid",)
        assert db.llen("queue:default") == 1

    def test_of_a_schedule_is_made_good_by_asking_again(self, proxy: Proxy, db: redis.Redis) -> None:
        proxy.lose = 0
        assert Client(proxy.url).enqueue_in(60, send, 1)
        assert db.zcard("schedule") == 1

    @pytest.mark.parametrize("mode", ["blocking", "async"])
    def test_amid_many_tells_what_is_certain_and_what_is_not(
        self, mode: str, proxy: Proxy, db: redis.Redis
    ) -> None:
        proxy.lose = 2
        client = Client(proxy.url)
        seen: list[int] = []
        items = ((n,) for n in range(4_500))

        def enqueue() -> None:
            if mode == "blocking":
                client.enqueue_many(send, items, progress=seen.append)
            else:
                asyncio.run(client.aenqueue_many(send, items, progress=seen.append))

        with pytest.raises(RedisUncertain) as caught:
            enqueue()
        error = caught.value
        assert (error.stored, len(error.jids), seen) == (2_000, 1_000, [1_000, 2_000])
        assert str(error).startswith(
            "2,000 jobs were certainly stored before. It is uncertain whether a round trip"
        )
        assert error.jids[0] in str(error)
        stored = b"".join(db.lrange("queue:default", 0, -1))
        assert all(jid.encode() in stored for jid in error.jids)
        assert db.llen("queue:default") == 3_000


class TestAnUnreachableRedis:
    def test_is_told_as_certainly_not_stored(self) -> None:
        with pytest.raises(RedisUnreachable) as caught:
            Client(NOBODY, new_jid=lambda: "the-jid").enqueue(send, 1)
        assert caught.value.jids == ("the-jid",)
        assert str(caught.value).startswith("Certainly not stored: jobs_of_tests.send (jid the-jid). Redis at")

    async def test_is_told_so_in_async_code(self) -> None:
        with pytest.raises(RedisUnreachable, match=r"Certainly not stored: jobs_of_tests\.send"):
            await Client(NOBODY).aenqueue(send, 1)

    def test_is_told_for_pushes_and_for_many(self) -> None:
        client = Client(NOBODY)
        with pytest.raises(RedisUnreachable, match="Certainly not stored: X"):
            client.push({"class": "X", "args": []})
        with pytest.raises(RedisUnreachable, match="a round trip of 2 jobs") as caught:
            client.enqueue_many("X", [(), ()])
        assert (len(caught.value.jids), caught.value.stored) == (2, 0)


class TestARefusal:
    def test_is_told_as_certainly_not_stored(self, redis_url: str, db: redis.Redis) -> None:
        db.set("queue:default", "a string")
        with pytest.raises(
            RedisRefused, match=r"Certainly not stored: X \(jid [0-9a-f]{24}\).*WRONGTYPE"
        ) as caught:
            Client(redis_url).enqueue("X")
        assert len(caught.value.jids) == 1
        assert not db.exists("queues")

    def test_by_a_full_redis_tells_how_many_of_many_are_stored(self, redis_url: str, db: redis.Redis) -> None:
        client = Client(redis_url)
        used = db.info("memory")["used_memory"]

        def filling(stored: int) -> None:
            if stored == 2_000:
                db.config_set("maxmemory", used // 2)

        with pytest.raises(
            RedisRefused, match=r"^2,000 jobs were certainly stored before\. Certainly not stored"
        ) as c:
            client.enqueue_many("X", ((n,) for n in range(5_000)), progress=filling)
        db.config_set("maxmemory", 0)
        assert (c.value.stored, len(c.value.jids)) == (2_000, 1_000)
        assert db.llen("queue:default") == 2_000


class TestBeingInterrupted:
    async def test_tells_that_the_job_is_uncertain(self, redis_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            client = Client(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", new_jid=lambda: "the-jid")
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.2):
                    await client.aenqueue("X")
            cause: Any = caught.value.__cause__
            assert "uncertain whether X (jid the-jid) was stored" in cause.__notes__[0]
            await client.aclose()
