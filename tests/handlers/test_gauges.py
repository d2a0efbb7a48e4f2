"""What the scheduler's minute tells CloudWatch, read from a real Redis."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb_handlers import scheduler as module
from sidelamb_handlers.gauges import lines, lost_line, seen
from sidelamb_handlers.scheduler import Scheduler, _Metrics
from tests.handlers.kit import NOW, STORE, Context, payload, push, reserve

if TYPE_CHECKING:
    import redis

    from sidelamb import Client
    from tests.handlers.proxy import Proxy


def wait(db: redis.Redis, queue: str, n: int, ago: float = 30.0) -> None:
    push(db, *(payload("work", i, enqueued_at=time.time() - ago) for i in range(n)), queue=queue)


def told(client: Client) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines("shop", NOW, seen(client))]


def test_an_idle_stack_is_one_line(client):
    (line,) = told(client)
    names = {m["Name"]: line[m["Name"]] for d in line["_aws"]["CloudWatchMetrics"] for m in d["Metrics"]}
    assert names == {"ScheduleSize": 0, "RetrySize": 0, "DeadSize": 0, "OldestJobAge": 0, "Pollers": 0}


def test_a_queue_in_which_something_waits_has_a_line_of_its_own(client, db):
    wait(db, "mail", 3, 90)
    wait(db, "low", 1, 20)
    db.sadd("queues", "empty")
    first, *of_queues = told(client)
    assert first["OldestJobAge"] == pytest.approx(90, abs=5)
    assert [(line["Queue"], line["QueueDepth"]) for line in of_queues] == [("mail", 3), ("low", 1)]
    assert of_queues[1]["OldestJobAge"] == pytest.approx(20, abs=5)


def test_a_queue_whose_key_another_program_uses_hides_no_other(client, db):
    wait(db, "mail", 1, 90)
    db.sadd("queues", "foo")
    db.set("queue:foo", "x")
    first, *of_queues = told(client)
    assert first["OldestJobAge"] == pytest.approx(90, abs=5)
    assert [line["Queue"] for line in of_queues] == ["mail"]


def test_a_paused_queue_raises_no_alarm(client, db):
    wait(db, "mail", 1, 9_000)
    db.sadd("paused", "mail")
    first, of_queue = told(client)
    assert first["OldestJobAge"] == 0
    assert of_queue["OldestJobAge"] > 8_000


def test_of_many_queues_the_longest_have_metrics(client, db):
    for n in range(1, 31):
        wait(db, f"q{n}", n)
    _, *of_queues = told(client)
    assert [line["Queue"] for line in of_queues] == [f"q{n}" for n in range(30, 10, -1)]


def test_sets_pollers_and_leases_that_nobody_reaps_are_counted(client, db, link):
    db.zadd("schedule", {b"a": 1, b"b": 2})
    db.zadd("retry", {b"a": 1})
    db.zadd("dead", {b"a": 1, b"b": 2, b"c": 3})
    db.sadd("processes", "ours", "rubys", "gone")
    db.hset("ours", mapping={"info": '{"tag":"sidelamb"}', "beat": time.time()})
    db.hset("rubys", mapping={"info": '{"tag":"app"}', "beat": time.time()})
    for n, expires in enumerate((time.time() - 300, time.time() - 5, time.time() + 30)):
        push(db, payload("work", n))
        reserve(link, f"c:{n}", expires=expires)
    (line,) = told(client)
    sizes = {name: line[name] for name in ("ScheduleSize", "RetrySize", "DeadSize", "Pollers", "StuckLeases")}
    assert sizes == {"ScheduleSize": 2, "RetrySize": 1, "DeadSize": 3, "Pollers": 1, "StuckLeases": 1}


def test_lost_leases_are_a_line_of_any_pass():
    assert json.loads(lost_line("shop", NOW, 2))["LostLeases"] == 2


class TestHandler:
    @pytest.fixture(autouse=True)
    def of_this_redis(self, monkeypatch, link, redis_url):
        monkeypatch.setattr(module, "_scheduler", lambda: Scheduler(link, STORE))
        self.metrics = _Metrics({"SIDELAMB_STACK": "shop", "SIDELAMB_REDIS_URL": redis_url})
        monkeypatch.setattr(module, "_metrics", self.metrics)
        yield
        if self.metrics._client is not None:
            self.metrics._client.close()

    def written(self, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]

    def test_the_minutes_pass_tells_and_one_that_a_poller_woke_does_not(self, capsys):
        module.handler({"source": "sidelamb.poller"}, Context())
        assert self.written(capsys) == []
        module.handler({"source": "aws.scheduler"}, Context())
        (line,) = self.written(capsys)
        assert (line["Stack"], line["Pollers"]) == ("shop", 0)

    def test_one_that_a_poller_woke_tells_of_leases_that_were_lost(self, capsys, db, link):
        push(db, payload("work"))
        reserve(link, "c:1", expires=time.time() - 5)
        module.handler({"source": "sidelamb.poller"}, Context())
        (line,) = self.written(capsys)
        assert line["LostLeases"] == 1

    def test_redis_that_goes_away_meanwhile_is_a_line_and_no_failure(self, monkeypatch, proxy: Proxy, lines):
        self.metrics._environ = {"SIDELAMB_STACK": "shop", "SIDELAMB_REDIS_URL": proxy.url}
        proxy.cut()
        assert module.handler({}, Context())["status"] == "settled"
        assert "what waits could not be looked at" in lines[-1]["text"]

    def test_without_a_stack_nothing_is_written(self, monkeypatch, capsys):
        monkeypatch.setattr(module, "_metrics", _Metrics({}))
        module.handler({}, Context())
        assert self.written(capsys) == []
