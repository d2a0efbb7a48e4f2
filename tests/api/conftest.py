"""A client on an empty Redis, and jobs to look at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import redis

from sidelamb import Client
from sidelamb_local.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_800_000_000.0


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("api-redis")) as server:
        yield server


@pytest.fixture
def db(api_server: RedisServer) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(api_server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(params=["", "{app}"], ids=["plain", "tagged"])
def client(request: pytest.FixtureRequest, api_server: RedisServer, db: redis.Redis) -> Client:
    return Client(api_server.url, namespace=request.param, clock=lambda: NOW)


def payload(jid: str, **fields: Any) -> bytes:
    return json.dumps(
        {"class": "Work", "args": [jid], "jid": jid, "queue": "mail", "retry": True, **fields},
        separators=(",", ":"),
    ).encode()
