"""Fixtures for the poller: capsules, and a Lambda inside this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.alink import AsyncLink
from sidelamb_handlers.config import CapsuleConfig
from sidelamb_handlers.poller.capsule import Capsule
from sidelamb_handlers.poller.patient import Patient
from tests.handlers.kit import STORE, Sandboxes, stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@pytest.fixture
async def make_patient(redis_url: str) -> AsyncIterator[Callable[..., Patient]]:
    """Makes patient ways to the test's Redis."""
    made: list[AsyncLink] = []

    def build(url: str = redis_url) -> Patient:
        made.append(AsyncLink(url))
        return Patient(made[-1])

    yield build
    for link in made:
        await link.close()


@pytest.fixture
async def background(make_patient: Callable[..., Patient]) -> AsyncIterator[Callable[..., asyncio.Task[Any]]]:
    """Runs a coroutine beside the test, and ends it after it."""
    tasks: list[asyncio.Task[Any]] = []

    def start(coroutine: Any) -> asyncio.Task[Any]:
        tasks.append(asyncio.create_task(coroutine))
        return tasks[-1]

    yield start
    await stop(tasks)


@pytest.fixture
async def make_capsule(
    make_patient: Callable[..., Patient], background: Callable[..., asyncio.Task[Any]]
) -> AsyncIterator[Callable[..., Capsule]]:
    """Makes capsules named `c`, each with a way to Redis of its own; whatever flies at the end is dropped."""
    made: list[Capsule] = []

    def build(invoker: Any, *, redis: Patient | None = None, poller: str = "p", **config: Any) -> Capsule:
        settings = CapsuleConfig(**{"name": "c", "function": "worker", **config})
        made.append(Capsule(settings, poller, store=STORE, redis=redis or make_patient(), invoker=invoker))
        return made[-1]

    yield build
    await stop(task for capsule in made for task in capsule._tasks)


@pytest.fixture
def sandboxes(make_worker: Callable[..., Any]) -> Sandboxes:
    """A Lambda inside this process, with the test's own jobs."""
    return Sandboxes(make_worker)
