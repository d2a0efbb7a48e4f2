"""TLS, users and passwords, a socket: jobs get through, and what is wrong is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from sidelamb import Client, ConfigError, RedisRefused, RedisUncertain, RedisUnreachable
from sidelamb.alink import AsyncLink
from sidelamb.link import Link
from sidelamb.target import Place, target_of
from tests.redis import way
from tests.redis.servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TestTls:
    async def test_every_script_runs(self, tls: Server, certificates: Path) -> None:
        url = f"rediss://127.0.0.1:{tls.port}/0?ssl_ca_certs={certificates / 'ca.crt'}"
        link, alink = Link(url), AsyncLink(url)
        assert await way.go(link.run, "one") == way.EVERY_SCRIPT
        assert await way.go(alink.run, "two") == way.EVERY_SCRIPT
        await alink.close()
        link.close()

    async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(self, tls: Server) -> None:
        client = Client(f"rediss://127.0.0.1:{tls.port}/0")
        with pytest.raises(RedisUnreachable, match=r"Certainly not stored.*(?i:certificate)"):
            client.enqueue("work", 1)
        with pytest.raises(RedisUnreachable, match=r"Certainly not stored.*(?i:certificate)"):
            await client.aenqueue("work", 1)

    def test_plain_speech_to_it_is_no_stored_job(self, tls: Server) -> None:
        """It hangs up on what it cannot read."""
        with pytest.raises(RedisUncertain, match="uncertain"):
            Client(f"redis://127.0.0.1:{tls.port}/0?socket_timeout=2").enqueue("work", 1)

    def test_a_client_of_redis_py_brings_its_certificates(self, tls: Server, certificates: Path) -> None:
        with redis.Redis(port=tls.port, ssl=True, ssl_ca_certs=str(certificates / "ca.crt")) as theirs:
            Client(theirs).enqueue("work", 1)
            assert theirs.llen("queue:default") == 1


class TestUsers:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        """With a user `app` that may do what docs/redis.md says, on its own namespace only."""
        with Server(tmp_path) as server:
            allowed = ["+@all", "-@dangerous", "-@admin", "+info"]
            server.say("ACL", "SETUSER", "app", "on", ">s3cret/#", "~{app}:*", *allowed)
            server.say("ACL", "SETUSER", "default", "off")
            yield server

    async def test_every_script_runs_as_a_user_of_few_rights(self, server: Server) -> None:
        url = f"redis://app:s3cret%2F%23@127.0.0.1:{server.port}/0"
        link = Link(url)
        assert await way.go(link.run, "{app}") == way.EVERY_SCRIPT
        link.close()

    async def test_a_wrong_password_is_told_without_showing_it(self, server: Server) -> None:
        client = Client(f"redis://app:hunter2@127.0.0.1:{server.port}/0")
        for _ in range(2):
            with pytest.raises(RedisRefused, match=r"Certainly not stored.*Check user and password") as caught:
                client.enqueue("work", 1)
            assert "hunter2" not in str(caught.value)
        with pytest.raises(RedisRefused, match=r"Certainly not stored.*Check user and password"):
            await client.aenqueue("work", 1)

    def test_no_password_is_told(self, server: Server) -> None:
        with pytest.raises(RedisRefused, match=r"Certainly not stored.*password"):
            Client(server.url).enqueue("work", 1)

    def test_a_key_outside_of_its_namespace_is_told(self, server: Server) -> None:
        client = Client(f"redis://app:s3cret%2F%23@127.0.0.1:{server.port}/0", namespace="other")
        with pytest.raises(RedisRefused, match=r"Certainly not stored.*NOPERM"):
            client.enqueue("work", 1)


async def test_a_socket_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    with Server(tmp_path / "data", unixsocket=path) as server:
        client = Client(f"unix://{path}?db=1")
        client.enqueue("work", 1)
        await client.aenqueue("work", 2)
        await client.aclose()
        with server.client(db=1) as db:
            assert db.llen("queue:default") == 2


def test_more_clients_than_it_takes_is_a_refusal(tmp_path: Path) -> None:
    with Server(tmp_path, maxclients=2) as server, server.client() as one, server.client() as two:
        one.ping()
        two.ping()
        with pytest.raises(RedisRefused, match=r"Certainly not stored.*max number of clients.*maxclients"):
            Client(server.url).enqueue("work", 1)


class TestUrls:
    def test_say_where_sentinels_and_nodes_are(self) -> None:
        found = target_of("rediss+sentinel://u:p@a:1,[::1]:2,c/my%20master/3?sentinel_password=x&wait_replicas=1")
        assert found.places == (Place("a", 1), Place("::1", 2), Place("c", 26379))
        assert (found.service, found.secure, found.wait_replicas) == ("my master", True, 1)
        assert (found.kwargs["username"], found.kwargs["password"], found.kwargs["db"]) == ("u", "p", 3)
        assert found.sentinel_kwargs == {"password": "x"}
        assert target_of("redis+cluster://a,b:7").places == (Place("a", 6379), Place("b", 7))

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("redis://a:1,b:2/0", r"redis\+cluster://"),
            ("redis+sentinel://a:1", "names no primary"),
            ("redis+cluster://a:1/3", "database 0 only"),
            ("redis+other://a:1", "scheme"),
            ("redis://a:port", "not a Redis URL"),
            ("redis://a?socket_timout=1", "did you mean 'socket_timeout'"),
            ("redis://a?wait_replicas=many", "how many replicas"),
            ("redis://a?wait_replicas=-1", "how many replicas"),
        ],
    )
    def test_that_cannot_be_are_refused(self, url: str, says: str) -> None:
        with pytest.raises(ConfigError, match=says):
            target_of(url)

    def test_never_show_a_password_in_an_error(self) -> None:
        with pytest.raises(ConfigError) as caught:
            target_of("redis://app:hunter2@a:port")
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in repr(target_of("redis://app:hunter2@a"))
