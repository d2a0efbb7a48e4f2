"""A process dies at each round trip of what batches go through: no event is called twice, and none is lost."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import redis

from sidelamb import Batch, Batches, Client, chain
from sidelamb.api import Queue
from sidelamb.link import Link
from sidelamb.store import Store
from sidelamb.testing import drain
from tests.deaths import mortal
from tests.deaths.test_deaths import World, mothers, server
from tests.handlers.kit import reserve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["mothers", "server"]

pytestmark = pytest.mark.timeout(120)

EVENTS = {"on_complete": mortal.heard, "on_success": mortal.heard, "on_death": mortal.heard}


def nothing(url: str) -> None:
    """An empty Redis."""


def a_lease(url: str, *, claim: bool = False) -> None:
    """A batch with a chain in it, all of it in a lease."""
    client, link = Client(url), Link(url)
    act = mortal.act.using(client=client, max_retries=0)
    with Batch("b", **EVENTS, client=client):
        for what in ("ok", "fail", "discard"):
            act.enqueue(what, what)
        chain(act.s("first", "ok"), act.si("second", "ok")).enqueue(client)
    reserve(link, "c:1")
    if claim:
        now = time.time()
        link.run(Store().claim("c:1", request_id="r/1", now=now, deadline=now + 60))
    link.close()


def come_to_rest(world: World) -> tuple[Counter[str], set[str]]:
    """Let all time run out and all jobs run; return how often each event was called, and who ran."""
    mortal.LEDGER = world.ledger
    assert world.run("keep time", 0).code == 0
    client = Client(world.url)
    drain(scheduled=True, raise_errors=False, client=client)
    client.close()
    lines = [line.split() for line in world.ledger.read_text().splitlines()] if world.ledger.exists() else []
    return Counter(who.partition("-")[0] for who, what in lines if what == "heard"), {who for who, _ in lines}


def deaths_of(world: World, prepare: Any, operation: str) -> Iterator[str]:
    """Give each death when it has been, and once that there was none."""

    def ready() -> None:
        with redis.Redis.from_url(world.url) as db:
            db.flushdb()
        world.ledger.unlink(missing_ok=True)
        prepare(world.url)

    for _ in range(2):  # the first one has to load the scripts
        ready()
        lived = world.run(operation, 0)
        assert lived.code == 0, lived.err
    yield "it lived"
    for trip in range(1, int(lived.out) + 1):
        for when in ("before", "after"):
            ready()
            assert world.run(operation, trip, when).code == -9
            yield f"it died {when} round trip {trip}"


@pytest.fixture
def world(server: Any, mothers: Any, tmp_path: Path) -> World:
    return World(f"{server.url.rpartition('/')[0]}/7", tmp_path / "ledger", mothers[0])


def test_a_batch_is_pushed_whole_or_not_at_all(world: World) -> None:
    client = Client(world.url)
    for death in deaths_of(world, nothing, "push a batch"):
        batches = Batches(client).page()
        assert [one.total for one in batches] in ([1_500], []), death
        assert Queue("default", client).size() == (1_500 if batches else 0), death
    client.close()


@pytest.mark.parametrize("operation", ["work", "keep time"])
def test_whoever_dies_ending_its_jobs_each_event_is_called_once(world: World, operation: str) -> None:
    def prepare(url: str) -> None:
        a_lease(url, claim=operation == "keep time")

    for death in deaths_of(world, prepare, operation):
        called, ran = come_to_rest(world)
        assert called == Counter(complete=1, death=1), death
        assert {"ok", "fail", "discard", "first", "second"} <= ran, death
