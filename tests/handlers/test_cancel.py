"""Cancelled jobs, wherever they are, on a real Redis and real workers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Client, current_job
from sidelamb.keys import Keys
from sidelamb.link import Link
from sidelamb_handlers import attempt as attempt_module
from sidelamb_handlers import iteration as iteration_module
from sidelamb_handlers import states as states_module
from sidelamb_handlers.scheduler import Scheduler
from tests.handlers.kit import STORE, Context, event_for, payload, push, reserve, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from tests.handlers.proxy import Proxy


class Cancelling:
    """Enqueues, cancels, and runs what waits."""

    def __init__(self, db: redis.Redis, link: Link, make_worker: Callable[..., Any], url: str) -> None:
        self.db, self.link, self.make_worker = db, link, make_worker
        self.client = Client(url)
        self.leases = 0

    def take(self, **options: Any) -> Any:
        self.leases += 1
        (held,) = reserve(self.link, f"c:{self.leases}", cap=1_000)
        return event_for(held, **options)

    def execute(self, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.make_worker().handle(self.take(**options), Context(5))
        return answer

    def marks(self) -> set[bytes]:
        return {key for key in self.db.scan_iter() if key.startswith((b"it-", b"sidelamb:cancelled"))}


@pytest.fixture
def cancelling(db: redis.Redis, link: Link, make_worker: Callable[..., Any], redis_url: str) -> Cancelling:
    return Cancelling(db, link, make_worker, redis_url)


@pytest.fixture
def ran(job: Any) -> list[int]:
    """What the job `work` was called with."""
    ran: list[int] = []

    def work(n: int) -> None:
        ran.append(n)

    job(work)
    return ran


class TestACancelledJob:
    def test_that_is_queued_is_dropped_and_its_neighbours_run(self, cancelling, ran, db):
        push(db, *(payload("work", n) for n in range(4)))
        cancelling.client.cancel("work-2")
        assert cancelling.execute()["status"] == "settled"
        assert ran == [0, 1, 3]
        assert cancelling.marks() == set()
        assert db.get("stat:processed") == b"4"
        assert db.get("stat:failed") is None

    def test_is_logged_with_the_reason(self, cancelling, ran, db, caplog):
        push(db, payload("work", 1))
        cancelling.client.cancel("work-1")
        cancelling.execute()
        (line,) = [record.__dict__ for record in caplog.records if record.name == "sidelamb"]
        assert (line["outcome"], line["reason"]) == ("discarded", "cancelled")

    def test_that_is_scheduled_is_dropped_when_its_time_comes(self, cancelling, ran, db, link):
        db.zadd("schedule", {payload("work", 1): time.time() - 1})
        cancelling.client.cancel("work-1")
        Scheduler(link, STORE).make_pass(time.time() + 5)
        cancelling.execute()
        assert ran == []
        assert cancelling.marks() == set()

    def test_that_waits_for_a_retry_is_dropped_when_its_time_comes(self, cancelling, ran, db, link):
        db.zadd("retry", {payload("work", 1, retry_count=0, failed_at=1.0): time.time() - 1})
        cancelling.client.cancel("work-1")
        Scheduler(link, STORE).make_pass(time.time() + 5)
        cancelling.execute()
        assert ran == []
        assert db.zcard("retry") == db.zcard("dead") == 0

    def test_that_is_leased_and_not_claimed_is_dropped(self, cancelling, ran, db):
        push(db, payload("work", 1))
        event = cancelling.take()
        cancelling.client.cancel("work-1")
        cancelling.make_worker().handle(event, Context(5))
        assert ran == []

    def test_of_a_name_that_nobody_knows_is_dropped_too(self, cancelling, jobs, db):
        push(db, payload("unknown", 1))
        cancelling.client.cancel("unknown-1")
        cancelling.execute()
        assert db.zcard("schedule") == 0
        assert cancelling.marks() == set()

    def test_twice_is_cancelled_once(self, cancelling, ran, db):
        push(db, payload("work", 1))
        cancelling.client.cancel("work-1")
        cancelling.client.cancel("work-1")
        cancelling.execute()
        assert ran == []
        assert cancelling.marks() == set()

    def test_that_is_done_stays_done(self, cancelling, ran, db):
        push(db, payload("work", 1))
        cancelling.execute()
        cancelling.client.cancel("work-1")
        assert ran == [1]
        assert not waiting(db)
        assert 0 < db.ttl("sidelamb:cancelled") <= 30 * 86_400
        push(db, payload("work", 2))
        cancelling.execute()
        assert ran == [1, 2], "and disturbs nobody"

    def test_that_fails_while_it_runs_is_not_run_again(self, cancelling, job, db):
        runs = []

        def work(n: int) -> None:
            runs.append(n)
            cancelling.client.cancel(current_job().jid)
            raise ValueError("no")

        job(work)
        push(db, payload("work", 1))
        cancelling.execute()
        ((raw, _),) = db.zpopmin("retry")
        push(db, raw)
        cancelling.execute()
        assert runs == [1]

    def test_is_run_without_redis_to_ask(self, cancelling, ran, db):
        """Detached: the poller claims, and its worker sees no marks."""
        push(db, payload("work", 1))
        cancelling.client.cancel("work-1")
        cancelling.execute(detached=True)
        assert ran == [1]

    def test_runs_when_the_marks_cannot_be_read(self, cancelling, ran, db, caplog):
        push(db, payload("work", 1))
        db.set("sidelamb:cancelled", "no zset")
        cancelling.execute()
        assert ran == [1]
        assert "could not be read" in caplog.text

    def test_that_is_iterable_tells_its_callbacks(self, cancelling, job, db):
        told: list[str] = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            told.append("ran")
            yield 1

        made = job(work)
        made.on_cancel(lambda me: told.append(f"cancelled {me.jid}"))
        push(db, payload("work"))
        cancelling.client.cancel("work-0")
        cancelling.execute()
        assert told == ["cancelled work-0"]
        assert cancelling.marks() == set()
        assert db.get("stat:processed") == b"1"
        assert db.get("stat:failed") is None

    def test_by_rubys_web_ui_is_an_iterable_one(self, cancelling, job, db):
        """It writes the mark alone for a job that never ran, which its own reader then cannot read."""
        done = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            done.append(1)
            yield 1

        job(work)
        db.hset("it-work-0", "cancelled", int(time.time()))
        push(db, payload("work"))
        cancelling.execute()
        assert done == []
        assert cancelling.marks() == set()
        assert not waiting(db)

    def test_that_iterates_stops_at_its_next_checkpoint(self, cancelling, job, db, monkeypatch):
        monkeypatch.setattr(iteration_module, "CHECKPOINT_S", 0.0)
        done: list[int] = []
        told: list[str] = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            for n in range(100):
                done.append(n)
                if n == 4:
                    cancelling.client.cancel("work-0")
                yield n

        made = job(work)
        made.on_cancel(lambda me: told.append("cancel"))
        made.on_complete(lambda me: told.append("complete"))
        push(db, payload("work"))
        cancelling.execute()
        assert done == [0, 1, 2, 3, 4]
        assert told == ["cancel"]
        assert cancelling.marks() == set()
        assert not waiting(db)

    def test_that_was_cancelled_while_it_stopped_does_not_go_on(self, cancelling, job, db):
        def work(*, cursor: int | None = None) -> Iterator[int]:
            cancelling.client.cancel("work-0")
            while True:
                time.sleep(0.01)
                yield 1

        job(work)
        push(db, payload("work"))
        cancelling.make_worker().handle(cancelling.take(), Context(1))
        assert not waiting(db)
        assert cancelling.marks() == set()


class TestAsking:
    def test_costs_an_ordinary_job_nothing(self, cancelling, ran, db):
        push(db, payload("work", 1))
        event, worker = cancelling.take(), cancelling.make_worker()
        db.config_resetstat()
        worker.handle(event, Context(5))
        stats = db.info("commandstats")
        sent = stats["cmdstat_evalsha"]["calls"]
        assert sent == 2, "claim and settle"
        assert "cmdstat_zmscore" not in stats

    def test_costs_one_round_trip_an_invocation_while_anything_is_cancelled(self, cancelling, ran, db):
        push(db, *(payload("work", n) for n in range(100)))
        cancelling.client.cancel("another")
        event, worker = cancelling.take(), cancelling.make_worker()
        db.config_resetstat()
        worker.handle(event, Context(5))
        assert db.info("commandstats")["cmdstat_zmscore"]["calls"] == 1
        assert len(ran) == 100

    def test_a_running_job_is_told(self, cancelling, job, db, monkeypatch):
        monkeypatch.setattr(attempt_module, "LOOK_S", 0.0)
        seen = []

        def work(n: int) -> None:
            seen.append(current_job().cancelled)
            cancelling.client.cancel(current_job().jid)
            seen.append(current_job().cancelled)

        job(work)
        push(db, payload("work", 1))
        cancelling.execute()
        assert seen == [False, True]
        assert cancelling.marks() == set(), "what was seen goes with the job"

    def test_leaves_an_iterable_job_nothing_to_leave_behind(self, cancelling, job, db):
        def work(*, cursor: int | None = None) -> Iterator[bool]:
            yield current_job().cancelled

        job(work)
        db.hset("it-work-0", mapping={"ex": 1, "c": "null", "rt": 0})
        push(db, payload("work"))
        cancelling.execute()
        assert cancelling.marks() == set()

    def test_a_running_coroutine_is_told(self, cancelling, job, db, monkeypatch):
        monkeypatch.setattr(attempt_module, "LOOK_S", 0.0)
        seen = []

        async def work(n: int) -> None:
            await cancelling.client.acancel(current_job().jid)
            await cancelling.client.aclose()
            await asyncio.sleep(0)
            seen.append(current_job().cancelled)

        job(work)
        push(db, payload("work", 1))
        cancelling.execute()
        assert seen == [True]

    def test_again_within_a_second_does_not_go_to_redis(self, cancelling, job, db):
        seen = []

        def work(n: int) -> None:
            db.config_resetstat()
            seen.extend(current_job().cancelled for _ in range(1_000))
            seen.append(db.info("commandstats")["cmdstat_hexists"]["calls"])

        job(work)
        push(db, payload("work", 1))
        cancelling.execute()
        assert seen == [False] * 1_000 + [1]

    def test_without_redis_is_answered_with_no(self, cancelling, job, db):
        seen = []

        def work(n: int) -> None:
            seen.append(current_job().cancelled)

        job(work)
        push(db, payload("work", 1))
        cancelling.client.cancel("work-1")
        cancelling.execute(detached=True)
        assert seen == [False]

    def test_a_redis_that_cannot_answer_is_answered_with_no(self, cancelling, job, db):
        seen = []

        def work(n: int) -> None:
            db.set(f"it-{current_job().jid}", "no hash")
            seen.append(current_job().cancelled)

        job(work)
        push(db, payload("work", 1))
        cancelling.execute()
        assert seen == [False]


def test_states_that_cannot_be_removed_are_a_warning(caplog: pytest.LogCaptureFixture, proxy: Proxy) -> None:
    away = Link(proxy.url)
    proxy.cut()
    states_module.States(away, Keys()).forget(["a", "b"])
    assert "the states of 2 finished jobs could not be removed" in caplog.text
    away.close()
