"""Fixtures for the SDK: settings and a registry of one's own for each test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sidelamb import Client, configure, registry, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

sys.path.insert(0, str(Path(__file__).parent))  # jobs_of_tests is a module of its own, as an app's jobs are


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from elsewhere, and what a test registers or configures is gone after it."""
    for name in ("SIDELAMB_REDIS_URL", "REDIS_URL", "SIDELAMB_NAMESPACE", "SIDELAMB_MAX_PAYLOAD"):
        monkeypatch.delenv(name, raising=False)
    for kept in ("_jobs", "_aliases", "_functions", "_modules"):
        monkeypatch.setattr(registry, kept, dict(getattr(registry, kept)))
    settings.reset()
    yield
    settings.reset()


@pytest.fixture
def configured(redis_url: str) -> None:
    """This process enqueues into the test's Redis."""
    configure(redis=redis_url)


@pytest.fixture
def client(redis_url: str) -> Client:
    return Client(redis_url)


@pytest.fixture
def queued(db: redis.Redis) -> Callable[..., list[Any]]:
    """Reads the payloads of a queue, the first enqueued first."""

    def read(queue: str = "default") -> list[Any]:
        return [orjson.loads(raw) for raw in reversed(db.lrange(f"queue:{queue}", 0, -1))]

    return read


@pytest.fixture
def scheduled(db: redis.Redis) -> Callable[[], list[tuple[Any, float]]]:
    """Reads (payload, score) of the schedule, the earliest first."""

    def read() -> list[tuple[Any, float]]:
        return [(orjson.loads(raw), at) for raw, at in db.zrange("schedule", 0, -1, withscores=True)]

    return read
