"""Fixtures for the testing kit: jobs, settings and modules of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import configure, registry, server, settings
from sidelamb.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from elsewhere; what a test registers or configures is gone after it."""
    for name in ("SIDELAMB_REDIS_URL", "REDIS_URL", "SIDELAMB_NAMESPACE", "SIDELAMB_JOBS", "SIDELAMB_MAX_PAYLOAD"):
        monkeypatch.delenv(name, raising=False)
    for kept in ("_jobs", "_aliases", "_functions", "_modules"):
        monkeypatch.setattr(registry, kept, {})
    monkeypatch.setattr(server, "_layers", [])
    settings.reset()
    yield
    settings.reset()


@pytest.fixture
def job() -> Callable[..., Any]:
    """`@job`; a job is named as its function is."""

    def declare(function: Any = None, **options: Any) -> Any:
        if function is None:
            return lambda given: declare(given, **options)
        made: Job[..., Any] = Job(function, {"name": function.__name__, **options})
        registry.add(made)
        return made

    return declare


@pytest.fixture
def configured(redis_url: str) -> str:
    """This process enqueues into the test's Redis."""
    configure(redis=redis_url)
    return redis_url
