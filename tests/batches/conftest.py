"""Fixtures for batches: jobs of a test's own, run by real workers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Client, settings
from tests.handlers.conftest import exits, job, jobs, lines, link, make_worker
from tests.handlers.kit import Context, event_for, reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from sidelamb.link import Link

__all__ = ["exits", "job", "jobs", "lines", "link", "make_worker"]


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    """A client of the test's Redis, which is the process's."""
    client = Client(redis_url)
    state = settings._State
    before = state.settings, state.client
    settings.configure(redis=redis_url)
    state.client = client
    yield client
    state.settings, state.client = before
    client.close()


@pytest.fixture
def work(link: Link, make_worker: Callable[..., Any], client: Client) -> Callable[..., list[Any]]:
    """Runs what waits, a lease after the other, until nothing does; returns the outcomes."""
    worker = make_worker()
    count = iter(range(10**6))

    def run(most: int = 1000, queues: tuple[str, ...] = ("default",)) -> int:
        ran = 0
        while ran < most:
            leases = reserve(link, f"c:{next(count)}", queues=queues, most_jobs=min(most - ran, 100))
            if not leases:
                break
            ran += worker.handle(event_for(leases[0]), Context())["ran"]
        return ran

    return run


@pytest.fixture
def retry_now(db: redis.Redis) -> Callable[[str], int]:
    """Puts all of a set back onto the queue, as a person does."""
    from sidelamb.api import DeadSet, RetrySet

    def again(name: str = "retry") -> int:
        return {"retry": RetrySet, "dead": DeadSet}[name]().retry_all().moved

    return again


@pytest.fixture
def heard() -> list[tuple[str, Any, Any]]:
    """What callbacks were called with: (event, status, options)."""
    return []


@pytest.fixture
def calls(job: Callable[..., Any], heard: list[tuple[str, Any, Any]]) -> dict[str, Any]:
    """Callbacks that note it, as a batch takes them."""

    def noting(event: str) -> Any:
        def callback(status: Any, options: Any) -> None:
            heard.append((event, status, options))

        callback.__name__ = event
        return job(callback)

    return {f"on_{event}": noting(event) for event in ("complete", "success", "death")}


def payloads(db: redis.Redis, queue: str = "default") -> list[dict[str, Any]]:
    """What waits in a queue, the next to run first."""
    return [json.loads(raw) for raw in db.lrange(f"queue:{queue}", 0, -1)[::-1]]
