"""While Redis is away every page says so, and when it is back what was open goes on by itself."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import redis
from selenium.webdriver.common.by import By

from sidelamb import Client
from sidelamb_handlers.web import anyone, web
from sidelamb_local.redis_server import RedisServer
from tests.waiting import until
from tests.web.conftest import chrome_of
from tests.web.hands import press, said
from tests.web.stand import SHOWN, Served, failed, fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

GOES_S = 30.0
"""A page looks every five seconds."""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("away")) as server:
        yield server


class _Leaving:
    """The page, of which Redis goes away after one step of an action on many."""

    def __init__(self, server: RedisServer) -> None:
        self._app, self._server, self.steps = web(Client(server.url), auth=self._auth), server, 0
        self.is_over = False
        """Whether the session of who looks on has expired."""

    def _auth(self, request: Any) -> Any:
        return None if self.is_over else anyone(request)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)
        if scope["method"] == "POST" and scope["path"] == "/retries/all":
            self.steps += 1
            if self.steps == 1:
                self._server.stop()


async def test_every_page_says_so_and_recovers(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as db:
        fill(db, 3)
    transport = httpx.ASGITransport(app=web(Client(server.url), auth=anyone))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert {(await http.get(path)).status_code for path in SHOWN} == {200}
        server.stop()
        for path in SHOWN:
            answer = await http.get(path)
            assert answer.status_code == 503, path
            assert "cannot be reached" in answer.text
            assert 'data-live="5"' in answer.text
        server.start()
        assert {(await http.get(path)).status_code for path in SHOWN} == {200}


def test_an_open_page_and_an_action_on_many_say_so_and_go_on(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a browser of its own: its console has the outage."""
    monkeypatch.setattr("sidelamb_handlers.web.pages.sets.AT_ONCE_S", 0.0)
    now = time.time()
    with redis.Redis.from_url(server.url) as db:
        db.zadd("retry", {json.dumps(failed(n, now)): now + n for n in range(2_500)})
    browser = chrome_of()
    try:
        page = _Leaving(server)
        with Served(page) as site:
            _go_on(browser, server, site)
            page.is_over = True
            until(lambda: browser.find_element(By.ID, "live").text == "no answer", GOES_S)
            assert "No queue yet" in said(browser), "what it had stays there, marked as old"
            page.is_over = False
            until(lambda: browser.find_element(By.ID, "live").text == "live", GOES_S)
    finally:
        browser.quit()


def _go_on(browser: Chrome, server: RedisServer, site: str) -> None:
    browser.get(f"{site}/retries")
    browser.find_element(By.CSS_SELECTOR, "#everything summary").click()
    press(browser, "Delete all")
    until(lambda: browser.find_element(By.ID, "live").text == "no answer", GOES_S)
    assert "Looked at" in said(browser), "how far it is stays there"
    server.start()
    until(lambda: "Done: 2\u202f500 deleted" in said(browser), GOES_S)
    assert browser.find_element(By.ID, "live").text == ""
    browser.get(f"{site}/queues")
    assert "No queue yet" in said(browser)
    server.stop()
    until(lambda: "cannot be reached" in said(browser), GOES_S)
    server.start()
    until(lambda: "No queue yet" in said(browser), GOES_S)
    assert browser.title == "Queues · Sidelamb"
