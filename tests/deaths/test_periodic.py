"""A scheduler dies at each round trip of a deploy's first pass: no tick is missing, and none is there twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from sidelamb import periodic, timetable
from sidelamb.api import Periodics
from sidelamb.client import Client
from sidelamb.timetable_calls import TimetableCalls
from sidelamb_handlers.declaring import Declaring
from sidelamb_handlers.scheduler import Scheduler
from tests.deaths.mortal import TICKS_AT, act
from tests.deaths.test_deaths import World, mothers, server  # noqa: F401 - fixtures

if TYPE_CHECKING:
    import pytest

    from sidelamb_local.redis_server import RedisServer
    from tests.deaths.test_deaths import Mother

OPERATION = "deploy and tick"
EARLIER = TICKS_AT - 180


def prepare(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the deploy before declared, three minutes ago; one of them is due since then."""
    monkeypatch.setattr(timetable, "declared", {})
    for name in ("stays", "changes", "goes"):
        periodic("* * * * *", name=name, missed="all", args=["t", "ok"])(act)
    with redis.Redis.from_url(world.url) as db:
        db.flushdb()
    client = Client(world.url)
    client.link.command(*TimetableCalls(client.store.keys).ask())
    declaring = Declaring({"SIDELAMB_STACK": "app"}, client.link, client.store)
    Scheduler(client.link, client.store, clock=lambda: EARLIER, declaring=declaring).make_pass(EARLIER + 60)
    client.link.close()


def found(world: World) -> dict[str, Any]:
    """What there is of it."""
    client = Client(world.url)
    periodics = Periodics(client)
    every = {
        one.name: (one.cron, one.next_at, [each.tick for each in periodics.history(one.name)]) for one in periodics
    }
    client.link.close()
    return {"every": every, "jobs": sorted(world.places().items())}


def test_no_tick_is_lost_or_repeated(
    server: RedisServer,  # noqa: F811
    mothers: list[Mother],  # noqa: F811
    tmp_path,
    monkeypatch,
):
    world = World(server.url, tmp_path / "ledger", mothers[0])
    prepare(world, monkeypatch)
    lived = world.run(OPERATION, 0)
    assert lived.code == 0, lived.err
    right = found(world)
    assert sorted(right["every"]) == ["changes", "new", "stays"]
    assert [len(ticks) for _, _, ticks in right["every"].values()] == [1, 0, 3]
    assert all(where == ["queue:default"] for _, where in right["jobs"])
    for n in range(1, int(lived.out) + 1):
        for when in ("before", "after"):
            prepare(world, monkeypatch)
            assert world.run(OPERATION, n, when).code == -9
            assert world.run(OPERATION, 0).code == 0
            assert found(world) == right, f"{when} round trip {n}"
