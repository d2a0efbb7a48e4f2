"""A client on an empty Redis of each kind, and jobs to look at."""

from __future__ import annotations

import functools
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import redis

from sidelamb import Client
from sidelamb_local.redis_server import RedisServer
from tests.redis.servers import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = 1_800_000_000.0


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("api-redis")) as server:
        yield server


@pytest.fixture(scope="session")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Cluster]]:
    """Clusters of so many nodes, each started when it is first asked for."""
    with ExitStack() as stack:
        yield functools.cache(
            lambda nodes: stack.enter_context(Cluster(tmp_path_factory.mktemp(f"api-cluster-{nodes}"), nodes))
        )


@pytest.fixture(params=["plain", "tagged", "cluster of one", "cluster of three"])
def place(request: pytest.FixtureRequest) -> tuple[str, str, type[Any]]:
    """An empty Redis: its URL, a namespace, and redis-py's class for it."""
    if request.param in {"plain", "tagged"}:
        url = request.getfixturevalue("api_server").url
        with redis.Redis.from_url(url) as client:
            client.flushall()
        return url, "{app}" if request.param == "tagged" else "", redis.Redis
    cluster = request.getfixturevalue("clusters")(1 if request.param == "cluster of one" else 3)
    cluster.clear()
    return cluster.url, "{app}", redis.RedisCluster


@pytest.fixture(scope="session")
def speakers() -> Iterator[Callable[[type[Any], str], Any]]:
    """redis-py's clients, each made once: one for a cluster learns all of Redis's commands first."""
    with ExitStack() as stack:
        yield functools.cache(lambda cls, url: stack.enter_context(cls.from_url(url)))


@pytest.fixture
def db(place: tuple[str, str, type[Any]], speakers: Callable[[type[Any], str], Any]) -> Any:
    url, _, cls = place
    return speakers(cls, url)


@pytest.fixture
def client(place: tuple[str, str, type[Any]]) -> Client:
    url, namespace, _ = place
    return Client(url, namespace=namespace, clock=lambda: NOW)


def payload(jid: str, **fields: Any) -> bytes:
    return json.dumps(
        {"class": "Work", "args": [jid], "jid": jid, "queue": "mail", "retry": True, **fields},
        separators=(",", ":"),
    ).encode()
