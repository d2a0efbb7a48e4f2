"""The page as a person has it: a real browser, every page, every action, and one whole story."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium.webdriver.common.by import By

import sidelamb
from sidelamb import Batches, Client
from sidelamb.api import Locks
from sidelamb.testing import drain
from tests.waiting import until
from tests.web.conftest import size
from tests.web.hands import labelled, pick, press, press_plain, said, write
from tests.web.stand import SCRIPT, SHOWN, entries, failed, fill, url_of

if TYPE_CHECKING:
    import redis
    from selenium.webdriver import Chrome

PAGES = (
    *SHOWN,
    "/retries?q=bank",
    "/metric?name=shop.charge",
    "/periodic/one?name=reports.nightly",
    "/nowhere",
    "/queue?name=none",
)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_and_nothing_sticks_out(
    filled: redis.Redis, browser: Chrome, site: str, theme: str, width: int
) -> None:
    key = next(key for key in entries(filled, "retry") if key.startswith("17"))
    job = f"/job?in=retries&key={key.replace('~', '%7E')}"
    browser.add_cookie({"name": "sidelamb_theme", "value": theme, "path": "/"})
    size(browser, width)
    for path in (*PAGES, job):
        browser.get(f"{site}{path}")
        wider = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")  # type: ignore[no-untyped-call]
        assert wider <= 0, f"{path} at {width} is {wider} px too wide"
        browser.execute_script(AXE_SCRIPT)  # type: ignore[no-untyped-call]
        found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]  # type: ignore[no-untyped-call]
        assert not found, (path, width, [(v["id"], [n["html"] for n in v["nodes"]]) for v in found])
        assert browser.title != "owned"


def test_a_name_that_is_a_script_is_shown_and_not_run(filled: redis.Redis, browser: Chrome, site: str) -> None:
    for path in ("/queues", "/retries", "/busy", "/metrics", "/batches", "/periodic", "/guards"):
        browser.get(f"{site}{path}")
        assert SCRIPT in browser.find_element(By.TAG_NAME, "body").text
        assert browser.title != "owned"


def test_select_and_act(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 8, hostile=False)
    browser.get(f"{site}/retries")
    pick(browser, 0, 1)
    assert "2 selected" in said(browser)
    press(browser, "Kill")
    assert "2 sent to the dead" in said(browser)
    assert (db.zcard("retry"), db.zcard("dead")) == (6, 10)
    pick(browser, 0)
    press(browser, "Delete")
    assert db.zcard("retry") == 5
    browser.find_element(By.CSS_SELECTOR, "input.all").click()
    press(browser, "Retry now")
    assert "5 put on their queues" in said(browser)
    assert db.zcard("retry") == 0
    browser.get(f"{site}/scheduled")
    pick(browser, 0)
    press(browser, "Retry now")
    assert db.zcard("schedule") == 7
    browser.get(f"{site}/dead")
    pick(browser, 0)
    press(browser, "Delete")
    assert db.zcard("dead") == 9


def test_act_on_all_that_match_with_progress(db: redis.Redis, browser: Chrome, site: str) -> None:
    now, raws = time.time(), {}
    for n in range(3_000):
        raws[json.dumps(failed(n, now))] = now + n
    db.zadd("retry", raws)
    browser.get(f"{site}/retries?by=error")
    until(lambda: "Looked at all" in said(browser))
    press(browser, "CardDeclined")
    assert "error CardDeclined" in said(browser)
    press(browser, "Act on all that match…")
    press(browser, "Delete all that match")
    until(lambda: "Done: 1\u202f000 deleted" in said(browser))
    assert db.zcard("retry") == 2_000
    browser.get(f"{site}/retries")
    press(browser, "Act on all 2\u202f000…")
    press(browser, "Retry now all")
    until(lambda: "Done: 2\u202f000 put on their queues" in said(browser))
    assert db.zcard("retry") == 0


def test_search_groups_and_their_links(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 12, hostile=False)
    browser.get(f"{site}/dead")
    field = browser.find_element(By.ID, "q")
    field.send_keys("user3001@")
    press(browser, "Search")
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == 1
    assert "Looked at all 12: 1 match" in said(browser)
    press(browser, "class")
    press(browser, "mail.welcome")
    assert "class mail.welcome" in said(browser)


def test_queues_pause_clear_and_delete(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 8, hostile=False)
    browser.get(f"{site}/queues")
    labelled(browser, "Pause mail")
    assert db.sismember("paused", "mail")
    labelled(browser, "Resume mail")
    assert not db.sismember("paused", "mail")
    press(browser, "mail")
    pick(browser, 0)
    press(browser, "Delete selected")
    assert db.llen("queue:mail") == 1
    press(browser, "Clear…")
    press(browser, "Delete them all")
    assert "Nothing waits here" in said(browser)
    assert not db.llen("queue:mail")


def test_a_batch_shows_its_tree_and_is_cancelled(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 2, hostile=False)
    browser.get(f"{site}/batches")
    press(browser, "Import of November")
    assert "its photos" in said(browser)
    press(browser, "its photos")
    assert "0 of 4 through" in said(browser)
    press(browser, "Cancel…")
    press(browser, "Cancel it")
    assert "1 cancelled." in said(browser)
    (bid,) = [one.bid for one in Batches(Client(url_of(db))).page() if one.cancelled_at]
    assert browser.current_url.count(bid)


def test_a_periodic_job_is_paused_resumed_and_run(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 2, hostile=False)
    waiting = db.llen("queue:default")
    browser.get(f"{site}/periodic")
    labelled(browser, "Pause cache.warm")
    assert db.sismember("sidelamb:periodic:paused", "cache.warm")
    labelled(browser, "Resume cache.warm")
    assert not db.sismember("sidelamb:periodic:paused", "cache.warm")
    press(browser, "cache.warm")
    press(browser, "Run now")
    assert "1 enqueued." in said(browser)
    assert "by hand" in said(browser)
    assert db.llen("queue:default") == waiting + 1


def test_places_and_locks_are_given_back(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 2, hostile=False)
    browser.get(f"{site}/guards")
    labelled(browser, "Give back the lock of lock1")
    assert "1 given back." in said(browser)
    assert [lock.jid for lock in Locks(Client(url_of(db)))] == ["lock0", "lock2"]
    browser.find_element(By.NAME, "q").send_keys("lock2")
    press(browser, "Find")
    assert "lock0" not in said(browser)
    assert "lock2" in said(browser)
    press(browser, "bank")
    labelled(browser, "Give back the place of job1")
    assert "2 of 5 taken" in said(browser)
    press(browser, "Reset…")
    press(browser, "Reset it")
    assert "bank" not in said(browser)


def test_pollers_are_told_to_be_quiet_and_to_stop(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 2, hostile=False)
    browser.get(f"{site}/busy")
    assert "4a4d7d2e" in said(browser)
    name = "ip-10-0-1-17:1:9f2c4a"
    labelled(browser, f"Quiet {name}")
    assert db.lrange(f"{name}-signals", 0, -1) == [b"TSTP"]
    labelled(browser, f"Stop {name}")
    assert b"TERM" in db.lrange(f"{name}-signals", 0, -1)
    press(browser, "All of them…")
    press(browser, "Quiet all")
    assert "2 told to take no more" in said(browser)


def test_it_is_live_without_losing_what_one_does(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 2, hostile=False)
    browser.get(f"{site}/busy")
    browser.execute_script("document.querySelector('h1').mine = 'kept'")  # type: ignore[no-untyped-call]
    db.delete("processes")
    until(lambda: "No poller is alive" in said(browser))
    kept = browser.execute_script("return document.querySelector('h1').mine")  # type: ignore[no-untyped-call]
    assert kept == "kept", "the page was replaced, not changed"


def test_the_theme_stays(db: redis.Redis, browser: Chrome, site: str) -> None:
    browser.get(f"{site}/queues")
    press(browser, "dark", "header")
    assert browser.current_url.endswith("/queues")
    ground = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(ground) == "rgb(20, 23, 26)"  # type: ignore[no-untyped-call]


def test_keys_lead_about(filled: redis.Redis, browser: Chrome, site: str) -> None:
    browser.get(f"{site}/queues")
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("gr")
    until(lambda: browser.current_url.endswith("/retries"))
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("j")
    browser.switch_to.active_element.send_keys("x")
    assert "1 selected" in said(browser)


def test_it_all_works_without_javascript(db: redis.Redis, browser: Chrome, site: str) -> None:
    fill(db, 4, hostile=False)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{site}/retries")
        pick(browser, 0)
        press_plain(browser, "Delete")
        assert db.zcard("retry") == 3
        browser.find_element(By.CSS_SELECTOR, "#everything summary").click()
        press_plain(browser, "Kill all")
        assert "Done: 3 sent to the dead" in said(browser)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_tour(db: redis.Redis, web_server: Any, browser: Chrome, site: str) -> None:
    """Find the failed job, read why, fix its argument, retry it, watch it succeed: with a real worker."""
    charged = []

    @sidelamb.job(name="tour.charge", max_retries=3)
    def charge(card: str) -> None:
        if card != "4242":
            raise ValueError(f"no such card: {card}")
        charged.append(card)

    client = Client(web_server.url)
    client.enqueue(charge, "4241")
    drain(client=client, raise_errors=False)
    assert db.zcard("retry") == 1
    browser.get(f"{site}/")
    press(browser, "Retries")
    press(browser, "tour.charge")
    assert "no such card: 4241" in said(browser)
    write(browser, "f-args", "[4242")
    press(browser, "Retry with these")
    assert "cannot be read as JSON" in said(browser)
    field = browser.find_element(By.ID, "f-args")
    assert field.get_attribute("value") == "[4242", "what one wrote is kept"
    write(browser, "f-args", '["4242"]')
    press(browser, "Retry with these")
    assert "1 put on their queues" in said(browser)
    browser.get(f"{site}/queues")
    assert "default" in said(browser)
    drain(client=client)
    assert charged == ["4242"]
    browser.get(f"{site}/retries")
    assert "Nothing waits for another attempt" in said(browser)
