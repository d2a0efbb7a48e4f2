"""Fixtures for the wire: what the handlers' tests use, and no settings from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidelamb import Client, settings
from tests.handlers.conftest import exits, job, jobs, link, make_worker
from tests.ruby.conftest import Ruby

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["exits", "job", "jobs", "link", "make_worker"]


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from elsewhere, and what a test configures is gone after it."""
    for name in ("SIDELAMB_REDIS_URL", "REDIS_URL", "SIDELAMB_NAMESPACE", "SIDELAMB_TIMESTAMPS"):
        monkeypatch.delenv(name, raising=False)
    settings.reset()
    yield
    settings.reset()


@pytest.fixture
def client(redis_url: str) -> Client:
    """A client of the test's Redis."""
    return Client(redis_url)


@pytest.fixture
def ruby(redis_url: str, tmp_path: Path) -> Iterator[Ruby]:
    """Ruby's Sidekiq on the test's Redis."""
    made = Ruby(redis_url, tmp_path)
    yield made
    made.stop()
