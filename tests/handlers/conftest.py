"""Fixtures for the handlers: jobs of a test's own, real workers, a Redis that can be cut off."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Client, server
from sidelamb.job import Job
from sidelamb.link import Link
from sidelamb.registry import Registry
from sidelamb_handlers.eventloop import KeptLoop
from sidelamb_handlers.poller.flight import new_lease_id
from tests.handlers.kit import Context, end_loop, event_for, push, reserve
from tests.handlers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from sidelamb_handlers.worker import Worker

with pytest.MonkeyPatch.context() as _patch:  # both build what they need at import, as at a cold start
    _patch.setenv("SIDELAMB_JOBS", "json")
    _patch.setenv("SIDELAMB_REDIS_URL", "redis://127.0.0.1:1/0")
    from sidelamb_handlers import scheduler as _scheduler_module  # noqa: F401
    from sidelamb_handlers import worker as worker_module


@pytest.fixture
def link(redis_url: str) -> Iterator[Link]:
    """A blocking way to the test's Redis."""
    link = Link(redis_url)
    yield link
    link.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    """Who enqueues."""
    client = Client(redis_url)
    yield client
    client.close()


@pytest.fixture
def kept() -> Iterator[KeptLoop]:
    """A sandbox's event loop."""
    kept = KeptLoop()
    yield kept
    end_loop(kept)


@pytest.fixture
def run(link: Link, make_worker: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Has one worker run what waits in `default`, in one invocation."""
    made: list[Any] = []

    def once(threads: int = 1) -> dict[str, Any]:
        if not made:
            made.append(make_worker())
        (held,) = reserve(link, new_lease_id("c"))
        answer: dict[str, Any] = made[0].handle(event_for(held, threads=threads), Context())
        return answer

    return once


@pytest.fixture
def leased(db: redis.Redis, link: Link) -> Callable[..., Any]:
    """Puts payloads into a queue and takes them into a lease; returns its event."""

    def take(*raws: bytes, lease: str = "c:1", queue: str = "default", **options: Any) -> Any:
        push(db, *raws, queue=queue)
        (held,) = reserve(link, lease, queues=(queue,), cap=1_000)
        assert len(held.jobs) == len(raws)
        return event_for(held, **options)

    return take


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """A way to the test's Redis that can be cut."""
    proxy = Proxy(redis_url)
    yield proxy
    proxy.close()


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The jobs that this test's workers know: none yet."""
    own = Registry()
    monkeypatch.setattr(worker_module, "registry", own)
    monkeypatch.setattr(server, "_layers", [])
    return own


@pytest.fixture
def job(jobs: Registry) -> Callable[..., Any]:
    """`@job` for the test's own registry; a job is named as its function is."""

    def declare(function: Any = None, **options: Any) -> Any:
        if function is None:
            return lambda given: declare(given, **options)
        made: Job[..., Any] = Job(function, {"name": function.__name__, **options})
        jobs.add(made)
        return made

    return declare


@pytest.fixture
def exits() -> list[int]:
    """The codes with which workers asked their process to end."""
    return []


@pytest.fixture
def make_worker(redis_url: str, jobs: Registry, exits: list[int]) -> Iterator[Callable[..., Worker]]:
    """Builds workers as a cold start does."""
    made: list[Worker] = []

    def build(
        url: str = redis_url, *, exit_process: Callable[[int], Any] = exits.append, **environ: str
    ) -> Worker:
        settings = {"SIDELAMB_JOBS": "json", "SIDELAMB_REDIS_URL": url, **environ}
        made.append(worker_module.Worker(settings, exit_process=exit_process))
        return made[-1]

    yield build
    for worker in made:
        end_loop(worker._loop)
        if worker._link is not None:
            worker._link.close()


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What was logged."""
    seen: list[dict[str, Any]] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append({**record.__dict__, "text": record.getMessage()})

    handler = Note()
    logger = logging.getLogger("sidelamb")
    logger.addHandler(handler)
    yield seen
    logger.removeHandler(handler)
