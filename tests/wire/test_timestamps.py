"""Timestamps are float seconds, or whole milliseconds where that is set; both are read."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sidelamb import Client, ConfigError, Snooze, configure, settings
from sidelamb.payload import decode
from sidelamb.store import Store
from sidelamb_handlers.scheduler import Scheduler, from_environment
from tests.handlers.kit import NOW, payload, waiting
from tests.wire.kit import run_pushed

MS = 1_795_405_727_500


@pytest.fixture(params=["configured", "environment"])
def in_ms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Milliseconds are set, in either way."""
    if request.param == "configured":
        configure(timestamps="ms")
    else:
        monkeypatch.setenv("SIDELAMB_TIMESTAMPS", "ms")


def queued(db) -> dict[str, Any]:
    (raw,) = waiting(db)
    return decode(raw)


def test_seconds_are_the_default(redis_url, db):
    Client(redis_url, clock=lambda: NOW).enqueue("a")
    assert (queued(db)["created_at"], queued(db)["enqueued_at"]) == (NOW, NOW)
    assert settings.stamp(NOW) == NOW


@pytest.mark.usefixtures("in_ms")
class TestMilliseconds:
    def test_a_client_writes_them(self, redis_url, db):
        Client(redis_url, clock=lambda: NOW).enqueue("a")
        stored = queued(db)
        assert (stored["created_at"], stored["enqueued_at"]) == (MS, MS)
        assert type(stored["created_at"]) is type(stored["enqueued_at"]) is int

    def test_a_client_writes_them_for_many(self, redis_url, db):
        Client(redis_url, clock=lambda: NOW).enqueue_many("a", [(1,), (2,)])
        assert {decode(raw)["created_at"] for raw in waiting(db)} == {MS}

    def test_a_client_writes_them_for_payloads_and_keeps_a_time_that_is_given(self, redis_url, db):
        client = Client(redis_url, clock=lambda: NOW)
        client.push_many([{"class": "a", "args": []}, {"class": "a", "args": [], "created_at": 5.5}])
        assert [decode(raw)["created_at"] for raw in waiting(db)] == [MS, 5.5]

    def test_a_scheduled_job_has_its_time_in_seconds_as_its_score(self, redis_url, db):
        Client(redis_url, clock=lambda: NOW).job("a", expires_in=60).enqueue_in(10)
        ((raw, at),) = db.zrange("schedule", 0, -1, withscores=True)
        assert at == NOW + 10
        assert decode(raw)["created_at"] == MS
        assert decode(raw)["expiry"] == NOW + 70

    def test_a_worker_writes_them_at_failures(self, job, db, link, make_worker):
        @job
        def fails() -> None:
            raise ValueError

        for retried in (False, True):
            fields = {"retry_count": 0, "failed_at": NOW} if retried else {}
            run_pushed(db, link, make_worker, payload("fails", jid=f"j{retried}", **fields))
        first, second = sorted(map(decode, db.zrange("retry", 0, -1)), key=lambda p: p["retry_count"])
        assert abs(first["failed_at"] - time.time() * 1000) < 60_000
        assert type(first["failed_at"]) is type(second["retried_at"]) is int
        assert second["failed_at"] == NOW
        assert abs(db.zrange("retry", 0, 0, withscores=True)[0][1] - time.time()) < 60

    def test_the_scheduler_writes_them_at_promotions(self, db, link):
        db.zadd("schedule", {payload("a"): NOW, payload("b", tags="x"): NOW, payload("c", enqueued_at="x"): NOW})
        assert Scheduler(link, Store(), clock=lambda: NOW).make_pass(NOW + 5).promoted == 3
        assert [decode(raw)["enqueued_at"] for raw in waiting(db)] == [MS, MS, MS]

    def test_a_wait_of_an_hour_is_an_hour(self, job, db, link, make_worker):
        @job
        def snoozes() -> None:
            raise Snooze(3600)

        run_pushed(db, link, make_worker, payload("snoozes"))
        ((_, at),) = db.zrange("schedule", 0, -1, withscores=True)
        assert 3590 < at - time.time() < 3601


@pytest.mark.parametrize("unit", [1, 1000])
def test_both_are_read_by_a_worker(unit, job, db, link, make_worker):
    stamp = time.time() - 10 if unit == 1 else int((time.time() - 10) * unit)
    seen: list[float | None] = []

    @job
    def looks() -> None:
        from sidelamb import current_job

        seen.append(current_job().enqueued_at)

    run_pushed(db, link, make_worker, payload("looks", enqueued_at=stamp))
    assert seen[0] is not None
    assert 9 < time.time() - seen[0] < 60


@pytest.mark.parametrize("failed_at", [NOW - 100.0, int((NOW - 100) * 1000)])
def test_both_count_for_the_window_of_retries(failed_at):
    from sidelamb_handlers.decision import Outcome
    from sidelamb_handlers.failure import Failure, on_failure

    def outcome(retry_for: int) -> Outcome:
        job = {"retry_for": retry_for, "failed_at": failed_at, "retry_count": 3}
        return on_failure(job, Failure("E", "m"), queue="q", now=NOW, random=lambda: 0.0).outcome

    assert outcome(99) is Outcome.DEAD
    assert outcome(101) is Outcome.RETRY


@pytest.mark.parametrize("value", ["s", "MS", 5, True, ["ms"], "seconds"])
def test_anything_else_is_refused_in_one_line(value):
    with pytest.raises(ConfigError, match="expected 'float'") as caught:
        configure(timestamps=value)
    assert "\n" not in str(caught.value)


def test_a_wrong_variable_is_told_at_the_start_of_client_worker_and_scheduler(
    redis_url, monkeypatch, make_worker, jobs
):
    monkeypatch.setenv("SIDELAMB_TIMESTAMPS", "millis")
    for start in (
        lambda: Client(redis_url),
        make_worker,
        lambda: from_environment({"SIDELAMB_REDIS_URL": redis_url}),
    ):
        with pytest.raises(ConfigError, match=r"SIDELAMB_TIMESTAMPS is 'millis' \(str\)") as caught:
            start()
        assert "\n" not in str(caught.value)


def test_a_wrong_variable_ends_a_poller_before_it_takes_a_job(monkeypatch, capsys):
    from sidelamb_handlers.poller.__main__ import main

    monkeypatch.setenv("SIDELAMB_TIMESTAMPS", "millis")
    assert main([]) == 2
    assert "SIDELAMB_TIMESTAMPS is 'millis'" in capsys.readouterr().err


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("SIDELAMB_TIMESTAMPS", "")
    assert settings.timestamps() == "float"
