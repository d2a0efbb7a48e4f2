"""Fixtures for batches: jobs of a test's own, run by real workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidelamb import Client
from tests.handlers.conftest import exits, job, jobs, link, make_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["exits", "job", "jobs", "link", "make_worker"]


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    """A client of the test's Redis."""
    client = Client(redis_url)
    yield client
    client.close()
