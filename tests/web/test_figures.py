"""Durations of one class, in each window that its page offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from sidelamb import Client
from sidelamb.link import Link
from sidelamb.store import Store
from sidelamb_handlers.metrics import Tally, hash_keys, histograms
from sidelamb_handlers.web import anyone, web
from sidelamb_handlers.web.figures import Figures
from sidelamb_handlers.web.pages.metrics import HOURS

if TYPE_CHECKING:
    import redis

    from sidelamb_local.redis_server import RedisServer

HOUR_S = 3600
NOW = 1_795_441_199.0
"""The last second of ten minutes: what ran just so many hours before is in no window of that length."""


def write(server: RedisServer, at: float, *times_ms: float, namespace: str = "", timed: bool = True) -> None:
    """Write attempts down as a heartbeat does: a poller's, or, without our histogram, one of Ruby's processes."""
    tally = Tally()
    for ms in times_ms:
        tally.add("shop.charge", ms, failed=False)
    found = {key: one for key, one in histograms(tally, at).items() if timed or not key.startswith("sidelamb:")}
    link = Link(server.url)
    link.run(Store(namespace).metrics(tally.amounts(), hash_keys(at), found))
    link.close()


async def page(server: RedisServer, hours: int) -> str:
    app = web(Client(server.url, clock=lambda: NOW), auth=anyone)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as http:
        answer = await http.get("/metric", params={"name": "shop.charge", "hours": hours})
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize("namespace", ["", "{app}"])
@pytest.mark.parametrize("hours", HOURS)
def test_each_window_has_the_times_of_what_ran_in_it(
    db: redis.Redis, web_server: RedisServer, hours: int, namespace: str
) -> None:
    begin = NOW - hours * HOUR_S
    for at, times_ms in (
        (begin, (50.0, 50.0)),
        (begin + (60 if hours <= 8 else 600), (50.0,)),
        (NOW, (50.0, 400_000.0)),
    ):
        write(web_server, at, *times_ms, namespace=namespace)
    figures = Figures(Client(web_server.url, namespace=namespace, clock=lambda: NOW))
    assert {n: count for n, count in enumerate(figures.histogram("shop.charge", hours)) if count} == {3: 2, 25: 1}
    assert figures.classes(hours)[1]["shop.charge"].processed == 3


async def test_the_page_of_72_hours_shows_what_ran_20_hours_ago(db: redis.Redis, web_server: RedisServer) -> None:
    write(web_server, NOW - 20 * HOUR_S, *[40.0] * 90, *[2_000.0] * 10)
    text = await page(web_server, 72)
    assert "<dt>50 %</dt><dd>&lt; 45 ms</dd>" in text
    assert "<dt>99 %</dt><dd>&lt; 2.5 s</dd>" in text
    assert "<dt>50 %</dt><dd>—</dd>" in await page(web_server, 8)


async def test_the_page_says_how_many_attempts_of_other_processes_have_no_times(
    db: redis.Redis, web_server: RedisServer
) -> None:
    write(web_server, NOW, 40.0, 40.0, 40.0)
    said = "that other Sidekiq processes ran"
    assert said not in await page(web_server, 24)
    write(web_server, NOW, 40.0, 40.0, timed=False)
    assert f"without 2 {said}, whose durations are kept for 8 hours" in await page(web_server, 24)
    text = await page(web_server, 8)
    assert said not in text
    assert "<dt>50 %</dt><dd>&lt; 45 ms</dd>" in text


@pytest.mark.parametrize("raw", [b"\xff", b"\0" * 7, b"\0" * 4_000, b"\0\0\0\1"])
async def test_a_string_of_another_length_is_read_as_far_as_it_goes(
    db: redis.Redis, web_server: RedisServer, raw: bytes
) -> None:
    db.set("sidelamb:histogram:shop.charge-23-13:30", raw)
    counts = Figures(Client(web_server.url, clock=lambda: NOW)).histogram("shop.charge", 24)
    assert counts == [int(raw == b"\0\0\0\1"), *[0] * 25]
