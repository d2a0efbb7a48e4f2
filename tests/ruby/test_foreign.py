"""What clients in other languages write goes through a running stack, and Sidekiq's pages and API show all of it.

The very bytes that another client put there are not ours to change while they wait; whatever a worker or the
scheduler stored anew must be shown.
"""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest

from sidelamb.link import Link
from sidelamb.payload import decode
from sidelamb.store import Store
from sidelamb_handlers.promotion import promotion
from tests.system.ledger import read
from tests.wire.foreign import FOREIGN, foreign

KINDS = sorted(FOREIGN)
PAGES = [
    "/",
    "/busy",
    "/queues",
    "/queues/default",
    "/retries",
    "/scheduled",
    "/morgue",
    "/stats",
    "/stats/queues",
]
DETAILS = {"retry": "/retries/", "dead": "/morgue/", "schedule": "/scheduled/"}

READ_ALL = """
    sets = { "retry" => Sidekiq::RetrySet, "dead" => Sidekiq::DeadSet, "schedule" => Sidekiq::ScheduledSet }
    out = sets.to_h do |name, set|
      [name, set.new.map { |j| [j.jid, j.klass, j.args.size, j.queue, j.tags.map(&:upcase).size, j.created_at.year,
                                (j.error_backtrace || []).size, j.at.year] }]
    end
    out["queue"] = Sidekiq::Queue.new.map { |j| [j.jid, j.latency.abs < 60, j.enqueued_at.year, j.tags.size] }
    puts JSON.generate(out)
"""


def push(system, name: str, **fields: object) -> list[str]:
    """Push one of each kind as another client does; return their ids."""
    system.db.sadd("queues", "default")
    jids = [f"{name}-{kind}" for kind in KINDS]
    raws = [foreign(kind, name, jid, **fields) for kind, jid in zip(KINDS, jids, strict=True)]
    system.db.lpush("queue:default", *raws)
    return jids


def stored(system, kind: str) -> dict[str, bytes]:
    return {str(decode(raw)["jid"]): raw for raw in system.db.zrange(kind, 0, -1)}


def shows(system, web, *kinds: str) -> None:
    """Fail unless each page answers, and the page of each entry."""
    for path in PAGES:
        assert web.get(path), path
    for kind in kinds:
        for raw, score in system.db.zrange(kind, 0, -1, withscores=True):
            jid = decode(raw)["jid"]
            assert jid in web.get(f"{DETAILS[kind]}{quote(f'{score!r}-{jid}')}")


def test_those_that_fail_die_or_wait_are_shown_by_every_page_and_read_by_the_api(system, ruby, web):
    failed = push(system, "fail", retry=25)
    dead = {f"d-{kind}" for kind in KINDS if kind != "odd-retry"}
    system.db.lpush("queue:default", *(foreign(jid[2:], "fail", jid, retry=0) for jid in dead))
    unknown = push(system, "comes.later")
    wanted = {"retry": set(failed), "dead": dead, "schedule": set(unknown)}
    system.wait(lambda: {kind: set(stored(system, kind)) for kind in wanted} == wanted, 10)
    system.stack.kill_poller()
    shows(system, web, "retry", "dead", "schedule")
    seen = json.loads(ruby.run(READ_ALL))
    assert {jid for jid, *_ in seen["retry"]} == set(failed)
    assert {jid for jid, *_ in seen["dead"]} == dead
    assert {klass for each in ("retry", "dead") for _, klass, *_ in seen[each]} == {"fail"}
    for each in (*seen["retry"], *seen["dead"]):
        assert each[3] == "default"
    years = {jid: year for jid, _, _, _, _, year, *_ in seen["retry"]}
    assert {years[f"fail-{kind}"] for kind in ("iso", "whole-seconds", "nanoseconds")} <= {2026, 1970}
    assert years["fail-iso"] == years["fail-whole-seconds"] == 2026


def test_those_that_end_their_sandbox_are_shown(system, web, ruby):
    kinds = ["iso", "tags-text", "pretty", "no-queue"]
    for kind in kinds:
        system.db.lpush("queue:default", foreign(kind, "die", f"k-{kind}", kills=2, args=[]))
    system.wait(lambda: len(stored(system, "dead")) == len(kinds), 90)
    shows(system, web, "dead")
    assert {jid for jid, *_ in json.loads(ruby.run(READ_ALL))["dead"]} == {f"k-{kind}" for kind in kinds}


def test_those_whose_time_comes_run(system, web):
    due = {foreign(kind, "quick", f"s-{kind}"): time.time() + 1 for kind in KINDS}
    system.db.zadd("schedule", due)
    fitting = {payload["jid"] for payload in map(decode, due) if len(payload["args"]) == 1}
    system.wait(lambda: fitting <= set(read(system.ledger)), 20)
    shows(system, web)


def test_those_that_the_scheduler_put_into_a_queue_are_shown_and_can_be_deleted(system, web, ruby):
    system.stack.kill_poller()
    due = time.time() - 1
    for kind in KINDS:
        system.db.zadd("schedule", {foreign(kind, "quick", f"q-{kind}"): due})
    link, store = Link(system.server.url), Store()
    entries = [promotion(raw, time.time()) for raw in link.run(store.due("schedule", time.time()))]
    assert link.run(store.promote("schedule", time.time(), entries)) == (len(KINDS), 0)
    link.close()
    shows(system, web)
    seen = json.loads(ruby.run(READ_ALL))["queue"]
    assert len(seen) == len(KINDS)
    assert all(fresh for _, fresh, *_ in seen)
    for raw in system.db.lrange("queue:default", 0, -1):
        web.post("/queues/default", "/queues/default/delete", key_val=raw.decode())
    assert system.db.llen("queue:default") == 0


@pytest.mark.parametrize("button", ["retry", "kill"])
def test_the_buttons_of_the_retries_work_on_them(system, web, button):
    jids = push(system, "fail", retry=25)
    system.wait(lambda: set(stored(system, "retry")) == set(jids), 10)
    system.stack.kill_poller()
    keys = [f"{at!r}-{decode(raw)['jid']}" for raw, at in system.db.zrange("retry", 0, -1, withscores=True)]
    web.post("/retries", "/retries", key__=keys, **{button: "now"})
    assert system.db.zcard("retry") == 0
    left = system.db.zcard("dead") if button == "kill" else system.db.llen("queue:default")
    assert left == len(jids)
    shows(system, web, "dead")
