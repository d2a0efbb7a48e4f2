"""Jobs found wherever they are, followed into an invocation, and given another time: in a real browser."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from selenium.webdriver.common.by import By

import sidelamb
from sidelamb import Client
from sidelamb.api import Stats
from sidelamb.testing import drain
from sidelamb_handlers.web import anyone, web
from sidelamb_handlers.web.everywhere import look
from tests.waiting import until
from tests.web.hands import pick, press, press_plain, said
from tests.web.stand import SCRIPT, fill, job
from tests.web.test_safety import act

if TYPE_CHECKING:
    import redis
    from selenium.webdriver import Chrome

    from sidelamb_local.redis_server import RedisServer

LEASE = "default:ip-100"
REQUEST = "4a4d7d2e-00c1-4a51-9c1e-0b9f2f0d1c00"


def open_details(browser: Chrome, name: str) -> Any:
    """Open what is folded, and return it."""
    found = browser.find_element(By.ID, name)
    found.find_element(By.TAG_NAME, "summary").click()
    return found


def at_of(field: Any, text: str) -> None:
    """Write a time into a browser's field for one."""
    field.parent.execute_script("arguments[0].value = arguments[1]", field, text)


def offset() -> float:
    """Seconds that this machine's clock is ahead of UTC at that time."""
    return dt.datetime(2040, 1, 31, 6).astimezone().utcoffset().total_seconds()  # type: ignore[union-attr]


def caller(server: RedisServer) -> httpx.AsyncClient:
    app = web(Client(server.url), auth=anyone)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost")


def test_selected_jobs_are_given_another_time(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 6, hostile=False)
    browser.get(f"{site}/scheduled")
    pick(browser, 0, 1)
    open_details(browser, "later")
    press(browser, "Reschedule selected")
    assert "2 given another time" in said(browser)
    assert db.zcount("schedule", time.time() + 590, time.time() + 600.5) == 2


def test_a_time_is_of_the_viewers_own_clock(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 3, hostile=False)
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
    try:
        browser.get(f"{site}/retries")
        pick(browser, 0)
        details = open_details(browser, "later")
        assert "or at Asia/" in details.text
        at_of(details.find_element(By.NAME, "at"), "2040-01-31T06:00")
        press(browser, "Reschedule selected")
        assert db.zscore("retry", db.zrange("retry", -1, -1)[0]) == 2_211_582_600.0
    finally:
        browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_all_that_match_are_given_another_time_with_progress(db: redis.Redis, browser: Chrome, site: str) -> None:
    now = time.time()
    raws = {json.dumps(job(n, now)): now + 5_000 + n for n in range(1_500)}
    db.zadd("schedule", raws)
    browser.get(f"{site}/scheduled?class=shop.charge")
    details = open_details(browser, "everything")
    at_of(details.find_element(By.NAME, "at"), "2040-01-31T06:00")
    press(browser, "Reschedule all that match")
    until(lambda: "Done: 300 given another time" in said(browser))
    assert {score for _, score in db.zrange("schedule", -300, -1, withscores=True)} == {2_211_602_400.0 - offset()}
    assert db.zcard("schedule") == 1_500


def test_a_job_is_given_another_time_without_javascript(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 1, hostile=False)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{site}/retries")
        browser.find_element(By.CSS_SELECTOR, "tbody th a").click()
        assert "or at UTC" in open_details(browser, "later").text
        press_plain(browser, "Reschedule")
        assert "1 given another time" in said(browser)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize(
    ("path", "fields", "why"),
    [
        ("/scheduled", {}, "say when"),
        ("/scheduled/all", {"in": "0"}, "say when"),
        ("/scheduled/all", {"at": "2001-01-01T00:00"}, "has passed"),
        ("/scheduled", {"at": "soon"}, "is no time"),
        ("/dead/all", {"at": "2040-01-31T06:00"}, "no such action"),
    ],
)
async def test_what_is_no_time_moves_nothing(
    db: redis.Redis, web_server: RedisServer, path: str, fields: dict[str, str], why: str
) -> None:
    fill(db, 2, hostile=False)
    before = [db.zrange(name, 0, -1, withscores=True) for name in ("schedule", "dead")]
    async with caller(web_server) as http:
        answer = await act(http, path, do="reschedule", **fields)
        assert (answer.status_code, why in answer.text) == (400, True)
    assert [db.zrange(name, 0, -1, withscores=True) for name in ("schedule", "dead")] == before


def test_a_job_is_found_by_its_id_wherever_it_is(filled: redis.Redis, browser: Chrome, site: str) -> None:
    ids = {
        "queue": json.loads(filled.lindex("queue:mail", 0))["jid"],
        "in flight": json.loads(filled.hget(f"sidelamb:lease:{LEASE}", "0:default"))["jid"],
        "retries": json.loads(filled.zrange("retry", -2, -2)[0])["jid"],
        "scheduled": json.loads(filled.zrange("schedule", -1, -1)[0])["jid"],
        "dead": json.loads(filled.zrange("dead", 2, 2)[0])["jid"],
    }
    for where, jid in ids.items():
        browser.get(f"{site}/search")
        browser.find_element(By.ID, "q").send_keys(jid)
        press(browser, "Search")
        until(lambda: "Found." in said(browser))
        row = browser.find_element(By.CSS_SELECTOR, "tbody tr")
        assert where in row.text
        row.find_element(By.CSS_SELECTOR, "th a").click()
        until(lambda: "Its life" in said(browser))
        assert jid in said(browser)
    browser.get(f"{site}/search?q=nothing-has-this")
    until(lambda: "nowhere in Redis" in said(browser))
    browser.get(f"{site}/search?q=document.title")
    assert SCRIPT in said(browser)
    assert browser.title != "owned"


async def test_a_search_that_takes_long_shows_what_it_has_and_goes_on(
    db: redis.Redis, web_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidelamb_handlers.web.everywhere.SCANNED_S", 0.0)
    now = time.time()
    db.sadd("queues", "low", "bad name")
    db.lpush("queue:low", *(json.dumps(job(n, now)) for n in range(2_500)))
    db.zadd("dead", {json.dumps(job(9_999, now, jid="wanted")): now})
    async with caller(web_server) as http:
        path, parts = "/search?q=wanted", 0
        while "Found." not in (text := (await http.get(path)).text):
            assert "partial" in text
            path = text.split("data-going")[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
            parts += 1
            assert parts < 20, "it does not end"
    assert parts >= 5


async def test_a_search_knows_how_many_it_has_looked_at(
    filled: redis.Redis, web_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidelamb_handlers.web.everywhere.SCANNED_S", 10.0)
    part = await look(Client(web_server.url), "no such words")
    here = await Stats(Client(web_server.url)).asummary()
    at_rest = here.enqueued + here.scheduled + here.retrying + here.dead
    assert (part.place, part.hits) == ("", [])
    assert abs(part.looked - at_rest) < 20, "more are in flight"


def test_an_invocation_leads_to_its_jobs_and_to_its_log(
    db: redis.Redis, browser: Chrome, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db, 1, hostile=False)
    browser.get(f"{site}/busy")
    assert not browser.find_elements(By.LINK_TEXT, "log"), "there is no stack, so no log in CloudWatch"
    monkeypatch.setenv("SIDELAMB_STACK", "shop")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    browser.get(f"{site}/busy")
    links = [one.get_attribute("href") or "" for one in browser.find_elements(By.LINK_TEXT, "log")]
    assert sum(REQUEST in link for link in links) == 2, "of the invocation and of its lease"
    press(browser, LEASE)
    assert REQUEST in said(browser)
    browser.find_element(By.CSS_SELECTOR, "tbody th a").click()
    until(lambda: "is in flight" in said(browser))
    assert REQUEST in (browser.find_element(By.LINK_TEXT, "log").get_attribute("href") or "")


def test_a_job_that_failed_twice_tells_both(db: redis.Redis, web_server: Any, browser: Chrome, site: str) -> None:
    runs = iter([ValueError("at first"), KeyError("then")])

    @sidelamb.job(name="tour.twice", max_retries=5)
    def twice() -> None:
        raise next(runs)

    client = Client(web_server.url)
    client.enqueue(twice)
    drain(client=client, raise_errors=False)
    browser.get(f"{site}/retries")
    browser.find_element(By.CSS_SELECTOR, "input.all").click()
    press(browser, "Retry now")
    drain(client=client, raise_errors=False)
    browser.get(f"{site}/retries")
    press(browser, "tour.twice")
    lines = [one.text for one in browser.find_elements(By.CSS_SELECTOR, ".life li.bad")]
    assert ["ValueError" in lines[0], "KeyError: 'then'" in lines[1], len(lines)] == [True, True, 2]
    assert all("failed after" in line for line in lines)


def test_every_page_has_a_key_and_the_help_names_it(db: redis.Redis, browser: Chrome, site: str) -> None:
    browser.get(f"{site}/queues")
    browser.find_element(By.TAG_NAME, "body").send_keys("?")
    until(lambda: browser.current_url.endswith("/about#k"))
    keys = browser.find_element(By.CSS_SELECTOR, ".keys").text
    for key, path, title in (
        ("b", "/batches", "batches"),
        ("p", "/periodic", "periodic"),
        ("l", "/guards", "locks"),
    ):
        assert title in keys
        browser.find_element(By.TAG_NAME, "body").send_keys("g" + key)
        until(lambda path=path: browser.current_url.endswith(path))
    browser.get(f"{site}/metrics?hours=1")
    browser.execute_script("document.getElementById('q')?.remove()")
    browser.find_element(By.TAG_NAME, "body").send_keys("/")
    until(lambda: browser.current_url.endswith("/search"))
