"""Queues that other clients have called what `Queue` takes for no name: seen, looked into, paused and cleared."""

from __future__ import annotations

import json
import re
import time
from html import unescape
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By

from sidelamb_handlers.web.queue_names import spoken
from tests.web.hands import pick, press, said
from tests.web.hostile import TEXTS
from tests.web.stand import job
from tests.web.test_safety import act, caller

if TYPE_CHECKING:
    import redis
    from selenium.webdriver import Chrome

    from sidelamb_local.redis_server import RedisServer

NAMES = {
    "spaces": b" a  b ",
    "slashes": b"../../x//y?name=z&do=clear#e%2e+",
    "emoji": "🦊\u200d🏴".encode(),
    "very long": b"x" * 100_000,
    "long": "ü".encode() * 300,
    "empty": b"",
    "no text": b"\xff\xfe",
    "as it is shown": rb"\xff\xfe",
    "half of a letter": b"mail\xc3",
    "a digest": b"~0123456789abcdef0123",
    "lines": b"a\r\nb\0",
    "its text is turned round": "\u202eliam".encode(),
    **{text[:20]: text.encode() for text in TEXTS},
}


def put(db: redis.Redis, *names: bytes) -> None:
    for n, name in enumerate(names):
        db.sadd("queues", name)
        db.lpush(b"queue:" + name, *(json.dumps(job(10 * n + k, time.time())) for k in range(2)))


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
async def test_each_is_found_by_its_link_and_steered(
    db: redis.Redis, web_server: RedisServer, name: bytes
) -> None:
    put(db, name, b"default", b"\xfe")
    async with caller(web_server) as http:
        links = re.findall(r'<th scope="row"><a href="([^"]+)"', (await http.get("/queues")).text)
        assert len(links) == 3
        pages = {unescape(link): (await http.get(unescape(link))).text for link in links}
        jid = json.loads(db.lindex(b"queue:" + name, 0))["jid"]
        (link,) = [link for link, text in pages.items() if jid in text]
        named = unescape(re.findall(r'name="name" value="([^"]*)"', pages[link])[0])
        key, page = re.findall(r'name="key" value="(\w+)"', pages[link])[0], {"name": named, "from": "one"}
        shown = await http.get("/job", params={"in": "queue", "name": named, "key": key})
        assert jid in shown.text
        back = unescape(re.findall(r'class="crumb"><a href="([^"]+)"', shown.text)[0])
        assert (await http.get(back)).status_code == 200
        assert "Found." in (await http.get("/search", params={"q": jid})).text
        assert (await act(http, "/queues", **page, do="pause")).headers["location"] == link
        assert db.smembers("paused") == {name}
        assert (await act(http, "/queue", name=named, key=key, do="delete")).status_code == 303
        assert db.llen(b"queue:" + name) == 1
        after = await act(http, "/queues", **page, do="clear")
        assert (await http.get(after.headers["location"])).status_code == 200
        assert not db.exists(b"queue:" + name)
        assert (db.llen("queue:default"), db.llen(b"queue:\xfe")) == (2, 2)
        assert (await act(http, "/queues", **page, do="resume")).status_code == 303
        assert not db.exists("paused")


async def test_a_name_that_nobody_has_given_is_no_queue(db: redis.Redis, web_server: RedisServer) -> None:
    async with caller(web_server) as http:
        for name in ("a b", "", "~0123456789abcdef0123"):
            assert (await http.get("/queue", params={"name": name})).status_code == 404
            assert (await act(http, "/queues", name=name, do="pause")).status_code == 404
    assert not db.exists("paused")


async def test_the_dashboard_says_which_waits_and_no_name_turns_the_sentence(
    db: redis.Redis, web_server: RedisServer
) -> None:
    db.sadd("queues", "\u202eliam", "mail", "old")
    for name, waits in (("\u202eliam", 240), ("mail", 239)):
        db.lpush(f"queue:{name}", json.dumps(job(1, 0, enqueued_at=time.time() - waits)))
    db.lpush("queue:old", json.dumps(job(1, 0, enqueued_at=None)))
    async with caller(web_server) as http:
        text = (await http.get("/")).text
        assert "The oldest job in <bdi>\u202eliam</bdi> waits 4 min" in text
        assert "The oldest job in mail waits 3 min 59 s" in text
        rows = {row.split("<")[0]: row for row in (await http.get("/queues")).text.split("<bdi>")}
        assert "4 min" in rows["\u202eliam"]
        assert " ms" not in rows["old"], "nobody knows since when"


async def test_of_two_that_look_alike_each_is_steered_alone(db: redis.Redis, web_server: RedisServer) -> None:
    raws = [NAMES["as it is shown"], NAMES["no text"]]
    put(db, *raws)
    async with caller(web_server) as http:
        for raw, others in ((raws[0], 2), (raws[1], 0)):
            assert (await act(http, "/queues", name=spoken(raw), do="clear")).status_code == 303
            await act(http, "/queues", name=spoken(raw), do="clear")  # an old form means nobody else
            assert (db.llen(b"queue:" + raw), db.llen(b"queue:" + raws[1])) == (0, others)


def test_by_hand_in_a_browser(db: redis.Redis, browser: Chrome, site: str) -> None:
    by_hand = [NAMES[name] for name in ("spaces", "empty", "no text", "as it is shown", "lines", "very long")]
    put(db, *by_hand)
    browser.get(f"{site}/queues")
    count = len(by_hand)
    for left in range(count, 0, -1):
        row = browser.find_element(By.CSS_SELECTOR, "tbody tr")
        row.find_element(By.CSS_SELECTOR, "th a").click()
        pick(browser, 0)
        press(browser, "Delete selected")
        assert "1 deleted" in said(browser)
        press(browser, "Clear…")
        press(browser, "Delete them all")
        browser.get(f"{site}/queues")
        assert db.scard("queues") == left - 1
    assert "No queue yet" in said(browser)
    assert browser.title != "owned"
