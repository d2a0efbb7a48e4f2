"""The page in a browser over a stack that runs: what is pressed there is what jobs, poller and scheduler do."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import redis
from selenium.webdriver.common.by import By

from sidelamb import Batch, Client
from sidelamb.api import DeadSet, ScheduledSet
from sidelamb_handlers.web import anyone, web
from sidelamb_handlers.web.audit import LOGGER
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import POLLER, Stack
from tests.waiting import until
from tests.web.conftest import fresh
from tests.web.crowd import MANY, gather
from tests.web.hands import choose, labelled, pick, press, said, write
from tests.web.hostile import TEXTS, addresses
from tests.web.stand import SHOWN, Served, entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

APP = Path(__file__).parent / "shop"
BEAT_S = 14.0
"""A poller hears at each beat, every ten seconds."""


class Live:
    """A running stack, the page over it, and what came of both."""

    def __init__(self, db: redis.Redis, url: str, site: str, folder: Path) -> None:
        self.db, self.site, self.folder = db, site, folder
        self.client = Client(url)
        self.ledger = folder / "ledger"
        self.stack = Stack(
            APP,
            jobs=["shop_jobs"],
            redis_url=url,
            concurrency=2,
            env={"LEDGER": str(self.ledger)},
            on_line=lambda source, line: self.lines.append((source, line)),
            data_dir=folder / "data",
        )
        self.lines: list[tuple[str, str]] = []
        """What stack, poller and functions have said."""
        self.actions: list[dict[str, Any]] = []
        """What the audit has said."""

    def enqueue(self, name: str, *args: Any, **options: Any) -> str:
        """Enqueue a job as the app would."""
        made = self.client.job(name, **options)
        return made.enqueue(*args)

    def did(self) -> list[list[Any]]:
        """Return what the jobs have written down: each its id, and what it did."""
        said = self.ledger.read_text() if self.ledger.exists() else ""
        return [json.loads(line) for line in said.splitlines(keepends=True) if line.endswith("\n")]

    def has(self, *what: Any) -> int:
        """Return how many jobs did that."""
        return sum(one[1:] == list(what) for one in self.did())

    def told(self, text: str) -> bool:
        """Say whether the poller has said so."""
        return any(text in line for source, line in list(self.lines) if source == POLLER)

    def size(self, name: str) -> int:
        """Return how many entries a set has."""
        return int(self.db.zcard(name))  # type: ignore[arg-type]

    def audited(self) -> list[str]:
        """Return which actions the audit has seen since it was asked last; each names who, what and how many."""
        seen, self.actions[:] = list(self.actions), []
        assert all(one["who"] == "local" and one["what"] and one["count"] for one in seen), seen
        return [one["audit"] for one in seen]


class Heard(logging.Handler):
    """Keeps the audit's lines."""

    def __init__(self, into: list[dict[str, Any]]) -> None:
        super().__init__()
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        self._into.append(json.loads(record.getMessage()))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One stack for the file, with thousands of jobs beside those that a test is about."""
    folder = tmp_path_factory.mktemp("live")
    with RedisServer(folder / "redis") as server, redis.Redis.from_url(server.url) as db:
        gather(db, server.url, time.time())
        with Served(web(Client(server.url), auth=anyone)) as site:
            live = Live(db, server.url, site, folder)
            handler = Heard(live.actions)
            LOGGER.addHandler(handler)
            with live.stack:
                yield live
            LOGGER.removeHandler(handler)


@pytest.fixture
def live(running: Live) -> Live:
    running.audited()
    return running


@pytest.fixture
def page(live: Live, chrome: Chrome) -> Iterator[Chrome]:
    """The browser, on the page over the stack."""
    with fresh(chrome, live.site):
        yield chrome


def found(page: Chrome, address: str) -> None:
    """Search, until the one that is meant is found: it goes on by itself."""
    page.get(address)
    until(lambda: "1 match" in said(page))


def test_every_page_opens_over_thousands_and_whatever_they_are_called(live: Live, page: Chrome) -> None:
    assert live.size("dead") > MANY
    job = f"/job?in=retries&key={quote(next(entries(live.db, 'retry')))}"
    for path in (*SHOWN, *addresses(TEXTS[0])[:5], job):
        page.get(f"{live.site}{path}")
        assert page.find_element(By.TAG_NAME, "h1").is_displayed(), path
        assert page.title != "owned", path
        ran = "return [...document.querySelectorAll('main script, main img, [href^=\"javascript:\" i]')].length"
        assert page.execute_script(ran) == 0, path  # type: ignore[no-untyped-call]
    page.get(f"{live.site}/queues")
    assert f"{TEXTS[0]}" in said(page)
    page.get(f"{live.site}/retries")
    assert f"Retries {live.size('retry'):_}".replace("_", "\u202f") in said(page)


def test_whatever_an_argument_is_the_job_gets_it(live: Live, page: Chrome) -> None:
    """From the page's own form as from the app, through Redis, the event and the sandbox, letter by letter."""
    jid = live.enqueue("shop.charge", "first", max_retries=0)
    until(lambda: DeadSet(live.client).find(jid))
    found(page, f"{live.site}/dead?q={jid}")
    press(page, "shop.charge")
    assert "no such card: first" in said(page)
    args = json.dumps(["4242", *TEXTS])
    field = page.find_element(By.ID, "f-args")
    page.execute_script("arguments[0].value = arguments[1]", field, args)  # type: ignore[no-untyped-call]
    press(page, "Retry with these")
    assert "1 put on their queues" in said(page)
    until(lambda: DeadSet(live.client).find(jid))
    found(page, f"{live.site}/dead?q={jid}")
    press(page, "shop.charge")
    assert "positional argument" in said(page)
    kept = json.loads(page.find_element(By.ID, "f-args").get_attribute("value") or "")
    assert kept == ["4242", *TEXTS]
    direct = live.enqueue("shop.note", *TEXTS)
    until(lambda: [direct, *TEXTS, {}] in live.did())
    write(page, "f-args", '["4242"]')
    press(page, "Retry with these")
    until(lambda: [jid, "charged", "4242"] in live.did())
    assert live.audited() == ["job.retry", "job.retry"]


def test_nothing_of_a_paused_queue_starts_until_it_is_resumed(live: Live, page: Chrome) -> None:
    live.enqueue("shop.mail", "before", queue="mail")
    page.get(f"{live.site}/queues")
    labelled(page, "Pause mail")
    live.enqueue("shop.mail", "paused", queue="mail")
    live.enqueue("shop.note", "beside it")
    until(lambda: live.has("beside it", {}))
    assert not live.has("mailed", "paused")
    page.refresh()
    labelled(page, "Resume mail")
    until(lambda: live.has("mailed", "paused"))
    assert live.audited() == ["queue.pause", "queue.resume"]


def test_what_was_cleared_or_deleted_never_runs(live: Live, page: Chrome) -> None:
    page.get(f"{live.site}/queue?name=mail")
    press(page, "Pause")
    jids = [live.enqueue("shop.mail", "never", queue="mail") for _ in range(3)]
    page.refresh()
    pick(page, 0)
    press(page, "Delete selected")
    assert live.db.llen("queue:mail") == 2
    press(page, "Clear…")
    press(page, "Delete them all")
    kept = live.enqueue("shop.mail", "kept", queue="mail")
    press(page, "Resume")
    until(lambda: [kept, "mailed", "kept"] in live.did())
    assert not {jid for jid, *_ in live.did()} & set(jids)
    assert live.audited() == ["queue.pause", "job.delete", "queue.clear", "queue.resume"]


def test_what_is_retried_now_runs_and_what_is_killed_or_deleted_does_not(live: Live, page: Chrome) -> None:
    soon = [live.client.enqueue_in(80_000 + n, "shop.note", "sooner", n) for n in range(3)]
    page.get(f"{live.site}/scheduled")
    choose(page, soon[0])
    press(page, "Retry now")
    until(lambda: [soon[0], "sooner", 0, {}] in live.did())
    choose(page, soon[1])
    press(page, "Kill")
    choose(page, soon[2])
    press(page, "Delete")
    page.get(f"{live.site}/dead")
    choose(page, soon[1])
    press(page, "Delete")
    assert not {jid for jid, *_ in live.did()} & set(soon[1:])
    assert not any(one.find(jid) for jid in soon for one in (DeadSet(live.client), ScheduledSet(live.client)))
    assert live.audited() == ["job.retry", "job.kill", "job.delete", "job.delete"]


def test_what_is_given_another_time_waits_for_it_and_then_runs_once(live: Live, page: Chrome) -> None:
    """One by its own page, two that are selected, and all that match."""
    jids = [live.client.enqueue_in(80_000 + n, "shop.note", "later", n) for n in range(6)]
    dues = lambda: {  # noqa: E731
        json.loads(raw)["jid"]: due
        for raw, due in live.db.zrange("schedule", 0, -1, withscores=True)
        if b'"later"' in raw
    }
    at_first, now = dues(), time.time()
    found(page, f"{live.site}/scheduled?q={jids[0]}")
    press(page, "shop.note")
    reschedule(page, "later", "Reschedule")
    assert "1 given another time" in said(page)
    page.get(f"{live.site}/scheduled")
    for jid in jids[1:3]:
        choose(page, jid)
    reschedule(page, "later", "Reschedule selected")
    assert "2 given another time" in said(page)
    moved = dues()
    assert all(now + 600 <= moved[jid] <= time.time() + 600 for jid in jids[:3])
    assert all(moved[jid] == at_first[jid] for jid in jids[3:]), "nobody else"
    page.get(f"{live.site}/scheduled?class=shop.note&q=later")
    reschedule(page, "everything", "Reschedule all that match", "2040-01-31T06:00")
    until(lambda: "Done: 6 given another time" in said(page))
    assert len(set(dues().values())) == 1
    assert min(dues().values()) > now + 80_010
    assert not live.has("later", 0, {})
    for raw in [raw for raw in live.db.zrange("schedule", 0, -1) if b'"later"' in raw]:
        live.db.zadd("schedule", {raw: time.time() - 1})  # as if it were then
    until(lambda: len([one for one in live.did() if one[1] == "later"]) >= 6)
    assert sorted(one[0] for one in live.did() if one[1] == "later") == sorted(jids)
    assert not dues()
    assert live.audited() == ["job.reschedule"] * 3


def reschedule(page: Chrome, folded: str, button: str, at: str = "") -> None:
    """Unfold the times, choose one, and press."""
    details = page.find_element(By.ID, folded)
    details.find_element(By.TAG_NAME, "summary").click()
    if at:
        field = details.find_element(By.NAME, "at")
        page.execute_script("arguments[0].value = arguments[1]", field, at)  # type: ignore[no-untyped-call]
    press(page, button)


def test_all_that_match_are_retried_and_each_runs_once(live: Live, page: Chrome) -> None:
    dead, before = live.size("dead"), live.size("retry")
    raws = {
        json.dumps({"class": "shop.note", "args": ["again", n], "jid": f"again{n}", "queue": "default"}): 1e9 + n
        for n in range(300)
    }
    live.db.zadd("retry", {raw: at + 8e9 for raw, at in raws.items()})
    page.get(f"{live.site}/retries?by=class")
    until(lambda: "shop.note 300" in said(page))
    press(page, "shop.note")
    press(page, "Act on all that match…")
    press(page, "Kill all that match")
    until(lambda: "Done: 300 sent to the dead" in said(page))
    assert (live.size("retry"), live.size("dead")) == (before, dead + 300)
    page.get(f"{live.site}/dead?class=shop.note&q=again")
    press(page, "Act on all that match…")
    press(page, "Retry now all that match")
    until(lambda: "Done: 300 put on their queues" in said(page))
    until(lambda: sum(one[1] == "again" for one in live.did()) == 300)
    assert len({one[2] for one in live.did() if one[1] == "again"}) == 300
    assert live.size("dead") == dead
    assert set(live.audited()) == {"job.kill", "job.retry"}


def test_a_periodic_job_runs_when_it_is_told_and_not_while_it_is_paused(live: Live, page: Chrome) -> None:
    until(lambda: live.db.hexists("sidelamb:periodic", "leap"), 15)
    page.get(f"{live.site}/periodic")
    labelled(page, "Pause leap")
    past = live.client.now() - 60
    live.db.zadd("sidelamb:periodic:due", {"leap": past, "yearly": past})
    until(lambda: live.has("closed") == 1)
    press(page, "leap")
    press(page, "Run now")
    until(lambda: live.has("closed") == 2)
    press(page, "Resume")
    live.db.zadd("sidelamb:periodic:due", {"leap": past})
    until(lambda: live.has("closed") == 3)
    assert live.audited() == ["periodic.pause", "periodic.run", "periodic.resume"]


def test_a_cancelled_batch_runs_no_more_and_calls_nobody(live: Live, page: Chrome) -> None:
    live.db.sadd("paused", "mail")
    report, client = live.client.job("shop.report"), live.client
    for name in ("cancelled", "through"):
        with Batch(name, on_success=report, options={}, client=client):
            live.enqueue("shop.mail", name, queue="mail")
    page.get(f"{live.site}/batches")
    press(page, "cancelled")
    press(page, "Cancel…")
    press(page, "Cancel it")
    live.db.srem("paused", "mail")
    until(lambda: live.has("reported", "through"))
    assert not live.has("mailed", "cancelled")
    assert not live.has("reported", "cancelled")
    assert live.audited() == ["batch.cancel"]


def test_a_place_that_is_given_back_is_the_next_jobs(live: Live, page: Chrome) -> None:
    end = live.folder / "end"
    live.enqueue("shop.ask", "first", str(end))
    until(lambda: live.has("asks", "first"))
    live.enqueue("shop.ask", "second", "")
    page.get(f"{live.site}/guards")
    press(page, "line")
    assert "1 of 1 taken" in said(page)
    until(lambda: live.db.zcount("schedule", 0, time.time() + 60))  # the second has found no place
    assert not live.has("asks", "second")
    page.find_element(By.XPATH, "//button[normalize-space()='Give back']").click()
    until(lambda: live.has("asks", "second"))
    end.touch()
    page.get(f"{live.site}/limit?kind=concurrent&name=bank")
    press(page, "Reset…")
    press(page, "Reset it")
    assert not live.db.exists("sidelamb:limit:concurrent:bank")
    assert live.audited() == ["limit.release", "limit.reset"]


def test_a_lock_that_is_given_back_lets_the_next_one_in(live: Live, page: Chrome) -> None:
    sync = live.client.job("shop.sync", unique_for=3600)
    first = sync.enqueue_in(80_000, 1)
    assert sync.enqueue(1) == first, "kept out"
    page.get(f"{live.site}/guards?q={first}")
    press(page, "Give back")
    second = sync.enqueue(1)
    assert second != first
    until(lambda: [second, "synced", 1] in live.did())
    assert live.audited() == ["lock.release"]


def test_a_quiet_poller_takes_no_more_and_a_stopped_one_ends(live: Live, page: Chrome) -> None:
    [name] = [n for n in live.db.smembers("processes") if b":%d:" % live.stack.poller_pid in n]
    page.get(f"{live.site}/busy")
    labelled(page, f"Quiet {name.decode()}")
    until(lambda: live.told("TSTP: taking no more jobs"), BEAT_S)
    waits = live.enqueue("shop.note", "after the quiet")
    page.get(f"{live.site}/busy")
    labelled(page, f"Stop {name.decode()}")
    until(lambda: live.stack.poller_pid is None, BEAT_S)
    assert not live.has("after the quiet", {})
    live.stack.restart_poller()
    until(lambda: [waits, "after the quiet", {}] in live.did())
    assert live.audited() == ["process.quiet", "process.stop"]
