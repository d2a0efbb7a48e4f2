"""The whole system for a test: real Redis, real poller, real sandboxes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from sidelamb import Client
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = Path(__file__).parent / "app"


class System:
    """A running stack, with what a test wants to know of it."""

    def __init__(self, stack: Stack, server: RedisServer, ledger: Path, lines: list[tuple[str, str]]) -> None:
        self.stack = stack
        self.server = server
        self.ledger = ledger
        self.lines = lines
        self.client = Client(server.url)
        self.db = redis.Redis.from_url(server.url)

    def wait(self, what: Callable[[], Any], within_s: float = 30.0) -> Any:
        """Return the first true answer of `what`; fail if none comes in time."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                answer = what()
            except redis.ConnectionError:
                answer = None
            if answer:
                return answer
            assert time.monotonic() < deadline, f"waited {within_s} s in vain; the last lines: {self.lines[-8:]}"
            time.sleep(0.02)

    def processed(self) -> int:
        """Return Sidekiq's counter of attempts."""
        return int(self.db.get("stat:processed") or 0)

    def at_rest(self) -> bool:
        """Whether no job is queued, leased or under suspicion."""
        queues = [b"queue:" + name for name in self.db.smembers("queues")]
        return not any(self.db.llen(q) for q in queues) and not self.db.keys("sidelamb:[las]*")

    def clear(self) -> None:
        """Wait until nothing is under way, and forget all that was."""
        self.wait(self.at_rest)
        self.db.flushall()
        self.ledger.write_bytes(b"")  # the sandboxes have it open
        self.lines.clear()


@contextmanager
def started(folder: Path) -> Iterator[System]:
    """A stack with two sandboxes on its own Redis, whose data survives a restart."""
    lines: list[tuple[str, str]] = []
    ledger = folder / "ledger"
    with RedisServer(folder / "redis") as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendfsync", "always")
        stack = Stack(
            APP,
            redis_url=server.url,
            concurrency=2,
            env={"LEDGER": str(ledger)},
            on_line=lambda function, line: lines.append((function, line)),
        )
        with stack:
            made = System(stack, server, ledger, lines)
            yield made
            made.db.close()


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A system of the test's own, which may break it."""
    with started(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def one_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with started(tmp_path_factory.mktemp("system")) as made:
        yield made


@pytest.fixture
def running(one_system: System) -> System:
    """A system that was running already, empty: for a test that breaks nothing."""
    one_system.clear()
    return one_system
