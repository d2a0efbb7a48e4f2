"""The life of a job, row by row of the wire's fact sheet: what Sidekiq does to Redis, we do too, or better."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from sidelamb import (
    BadArgument,
    BadOption,
    Client,
    Discard,
    JobError,
    Kill,
    Malformed,
    Retry,
    Snooze,
    on_death,
    on_error,
)
from sidelamb.alink import AsyncLink
from sidelamb.errors import RedisRefused
from sidelamb.hooks import death_hooks, error_hooks
from sidelamb.payload import decode, encode
from sidelamb.store import DEAD_FOR_S, DEAD_MOST, Store
from sidelamb_handlers.decision import Outcome
from sidelamb_handlers.failure import Failure, on_failure
from sidelamb_handlers.metrics import Tally
from sidelamb_handlers.poller.heartbeat import Heartbeat
from sidelamb_handlers.poller.order import queue_order
from sidelamb_handlers.poller.patient import Patient
from sidelamb_handlers.scheduler import Scheduler
from tests.handlers.kit import NOW, STORE, everything, payload, push, reserve, waiting
from tests.wire.foreign import lines_of
from tests.wire.kit import run_pushed

DAY = time.strftime("%Y-%m-%d", time.gmtime())


def fail(fields: dict[str, Any], **options: Any) -> Any:
    asked = {"queue": "mail", "now": NOW, "random": lambda: 0.0, **options}
    return on_failure(fields, Failure("E", "boom"), **asked)


@pytest.fixture
def failing(job: Any) -> Any:
    """A job that fails."""

    @job
    def fails(*args: Any) -> None:
        raise ValueError("as it should")

    return fails


class TestPush:
    def test_the_queue_becomes_known_and_the_payload_lies_at_the_left(self, redis_url, db):
        """WIRE 5.1: SADD queues, LPUSH with enqueued_at; defaults, jid and created_at are filled in."""
        client = Client(redis_url, clock=lambda: NOW)
        first, second = client.push({"class": "A", "args": []}), client.push({"class": "A", "args": [1]})
        assert db.smembers("queues") == {b"default"}
        newest, oldest = map(decode, db.lrange("queue:default", 0, -1))
        assert (newest["jid"], oldest["jid"]) == (second, first)
        assert oldest == {
            "retry": True,
            "queue": "default",
            "class": "A",
            "args": [],
            "jid": first,
            "created_at": NOW,
            "enqueued_at": NOW,
        }

    def test_the_queue_is_known_before_anything_lies_in_it(self, client, db):
        """WIRE 5.1 step 1: a queue that cannot be pushed to, or a set that is none, leaves nothing half done."""
        db.set("queues", "x")
        with pytest.raises(RedisRefused):
            client.enqueue("A")
        assert set(everything(db)) == {b"queues"}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"args": []},
            {"class": "A"},
            {"class": "A", "args": "x"},
            {"class": 5, "args": []},
            {"class": "A", "args": [], "at": None},
            {"class": "A", "args": [], "at": "tomorrow"},
            {"class": "A", "args": [], "tags": "x"},
            {"class": "A", "args": [], "queue": ""},
        ],
    )
    def test_what_ruby_refuses_is_refused(self, wrong, client, db):
        """WIRE 5.1: validation errors."""
        with pytest.raises(BadOption):
            client.push(wrong)
        assert db.dbsize() == 0

    def test_retries_for_more_than_a_thousand_million_seconds_are_refused(self, client):
        """WIRE 5.1: retry_for > 1e9."""
        with pytest.raises(BadOption):
            client.job("A", retry_for=1e9 + 1)

    @pytest.mark.parametrize("arg", [(1,), {1: 2}, object(), b"x", float("nan"), {"a": {2}}])
    def test_arguments_are_plain_json(self, arg, client, db):
        """WIRE 5.1: strict args, exactly the types of JSON, recursively."""
        with pytest.raises((BadArgument, JobError)):
            client.enqueue("A", arg)
        assert db.dbsize() == 0

    @pytest.mark.parametrize("wrong", [{"retry_for": 1e9 + 1}, {"retry_for": "60"}, {"retry_queue": ""}])
    def test_so_is_what_a_payload_says_of_its_retries(self, wrong, client, db):
        """WIRE 5.1: retry_for > 1e9, in a payload too."""
        with pytest.raises(BadOption):
            client.push({"class": "A", "args": [], **wrong})
        assert db.dbsize() == 0

    def test_what_middleware_adds_is_stored_and_what_it_spoils_is_not(self, redis_url, db):
        """WIRE 5.1: middleware runs before the check of the arguments."""
        Client(redis_url, middleware=[lambda p, call: call({**p, "bid": "b1"})]).enqueue("A")
        assert decode(waiting(db)[0])["bid"] == "b1"
        with pytest.raises(BadArgument):
            Client(redis_url, middleware=[lambda p, call: call({**p, "args": [object()]})]).enqueue("A")
        assert db.llen("queue:default") == 1

    def test_middleware_may_stop_a_job(self, redis_url, db):
        """WIRE 5.1: client middleware may drop the job."""
        assert Client(redis_url, middleware=[lambda _p, _next: None]).enqueue("A") == ""
        assert db.dbsize() == 0


class TestBulk:
    def test_each_job_has_an_id_of_its_own_and_a_batch_is_a_thousand(self, client, db):
        """WIRE 5.2: push_bulk in batches of 1,000, each job with its own jid."""
        db.config_resetstat()
        assert client.enqueue_many("A", ((n,) for n in range(2_500))) == 2_500
        assert len({decode(raw)["jid"] for raw in waiting(db)}) == 2_500
        assert [decode(raw)["args"] for raw in waiting(db)[:2]] == [[0], [1]]
        assert db.info("commandstats")["cmdstat_lpush"]["calls"] <= 6

    def test_each_queue_gets_its_own(self, client, db):
        """WIRE 5.2: grouped by queue, as 8.0 does; 7.x pushed all onto the first job's queue."""
        client.push_many([{"class": "A", "args": [], "queue": q} for q in ("a", "b", "a")])
        assert (db.llen("queue:a"), db.llen("queue:b")) == (2, 1)
        assert db.smembers("queues") == {b"a", b"b"}

    def test_nothing_gives_nothing(self, client, db):
        """WIRE 5.2: an empty list gives no jobs."""
        assert client.enqueue_many("A", []) == 0
        assert db.dbsize() == 0

    def test_what_middleware_stops_is_not_stored(self, redis_url, db):
        """WIRE 5.2: middleware may stop some of many."""
        client = Client(redis_url, middleware=[lambda p, call: call(p) if p["args"] != [2] else None])
        assert client.enqueue_many("A", [(1,), (2,), (3,)]) == 2
        assert [decode(raw)["args"] for raw in waiting(db)] == [[1], [3]]

    def test_each_goes_its_own_way_whatever_the_first_one_does(self, client, db):
        """WIRE 5.2 and 5.3: a time of each; in Ruby all take the route of the first."""
        times = [None, NOW + 1e8, NOW - 1e9, NOW + 2e8]
        payloads = [{"class": "A", "args": [n], **({"at": at} if at else {})} for n, at in enumerate(times)]
        assert client.push_many(payloads) == 4
        assert [decode(raw)["args"] for raw in waiting(db)] == [[0], [2]]
        assert [(decode(raw)["args"], at) for raw, at in db.zrange("schedule", 0, -1, withscores=True)] == [
            ([1], NOW + 1e8),
            ([3], NOW + 2e8),
        ]


class TestSchedule:
    def test_a_scheduled_entry_has_neither_time_in_it_and_makes_no_queue_known(self, client, db):
        """WIRE 5.3: ZADD schedule, payload without at and enqueued_at, no SADD queues."""
        client.push({"class": "A", "args": [], "at": NOW + 1e8, "enqueued_at": 5.5})
        ((raw, at),) = db.zrange("schedule", 0, -1, withscores=True)
        assert at == NOW + 1e8
        assert not {"at", "enqueued_at"} & set(decode(raw))
        assert db.keys("queue*") == []

    def test_a_time_in_the_past_is_an_immediate_push(self, client, db):
        """WIRE 5.3: a time in the past."""
        client.enqueue_at(NOW - 1e9, "A")
        client.enqueue_in(-5, "A")
        assert (db.llen("queue:default"), db.zcard("schedule")) == (2, 0)

    def test_an_interval_of_more_than_32_years_is_not_silently_a_time(self, client):
        """WIRE 5.3: Ruby takes n >= 1e9 for an absolute time; we say so instead."""
        with pytest.raises(BadOption, match="enqueue_at"):
            client.enqueue_in(1.7e9, "A")


class TestPromote:
    def test_due_entries_of_both_sets_enter_their_queues(self, db, link):
        """WIRE 5.4: enqueued_at is renewed, jid and created_at are kept, the queue is known; the others stay."""
        entry = {"created_at": 5.5, "enqueued_at": 6.5}
        db.zadd("retry", {payload("A", jid="r", queue="mail", **entry): NOW - 1})
        db.zadd("schedule", {payload("A", jid="s", **entry): NOW, payload("A", jid="later"): NOW + 1})
        assert Scheduler(link, STORE, clock=lambda: NOW).make_pass(NOW + 5).promoted == 2
        for queue, jid in (("mail", "r"), ("default", "s")):
            (stored,) = map(decode, waiting(db, queue))
            assert (stored["jid"], stored["created_at"], stored["enqueued_at"]) == (jid, 5.5, NOW)
        assert db.smembers("queues") == {b"mail", b"default"}
        assert db.zcard("schedule") == 1

    @pytest.mark.parametrize("raw", [b"junk", b"[1]", b'{"a":'])
    def test_a_malformed_entry_is_kept_in_dead(self, raw, db, link):
        """WIRE 5.4: Ruby loses it; WIRE 12.7: malformed bytes only ever into dead."""
        db.zadd("schedule", {raw: NOW})
        Scheduler(link, STORE, clock=lambda: NOW).make_pass(NOW + 5)
        assert db.zrange("dead", 0, -1, withscores=True) == [(raw, NOW)]

    @pytest.mark.parametrize("fields", [{"args": {"a": 1}}, {"tags": "x"}])
    def test_an_entry_that_ruby_refuses_to_push_is_not_lost(self, fields, db, link):
        """WIRE 5.4: an invalid payload raises in Ruby, and the job is lost."""
        db.zadd("schedule", {encode({"class": "A", "jid": "1", "queue": "default", "args": [], **fields}): NOW})
        Scheduler(link, STORE, clock=lambda: NOW).make_pass(NOW + 5)
        assert [decode(raw)["jid"] for raw in waiting(db)] == ["1"]

    def test_an_entry_that_still_has_its_time_in_it_is_promoted_once_and_for_all(self, db, link):
        """WIRE 5.4 and 2: with `at` inside, Ruby would bounce it back into schedule."""
        db.zadd("schedule", {payload("A", jid="1", at=NOW + 1e6): NOW})
        Scheduler(link, STORE, clock=lambda: NOW).make_pass(NOW + 5)
        (stored,) = map(decode, waiting(db))
        assert "at" not in stored
        assert not db.exists("schedule")


class TestFetch:
    def test_a_weight_is_the_chance_to_be_looked_at_first(self):
        """WIRE 5.5: with weights each queue is looked at once a call, its weight the chance to be the first."""
        dice = random.Random(5).random
        orders = [queue_order(["a", "b", "c"], [7, 2, 1], dice) for _ in range(2_000)]
        assert all(sorted(order) == ["a", "b", "c"] for order in orders)
        first = Counter(order[0] for order in orders)
        assert [round(first[name] / 2_000, 1) for name in "abc"] == [0.7, 0.2, 0.1]

    def test_the_right_end_comes_first_and_queues_in_their_order(self, db, link):
        """WIRE 5.5: right end next to run; strict order of queues."""
        low = push(db, payload("A", 1), payload("A", 2), queue="low")
        high = push(db, payload("B", 1), payload("B", 2), queue="high")
        (held,) = reserve(link, queues=("high", "low"))
        assert list(held.jobs.values()) == high + low

    def test_a_job_that_was_fetched_is_not_gone(self, db, link):
        """WIRE 5.5: Ruby's pop is gone from Redis; ours lies in a lease."""
        (raw,) = push(db, payload("A"))
        reserve(link)
        assert db.llen("queue:default") == 0
        assert raw in db.hvals("sidelamb:lease:c:1")


class TestAck:
    @pytest.mark.parametrize("ending", ["finished", "retried", "skipped", "malformed"])
    def test_it_leaves_its_lease_when_it_is_decided(self, ending, job, db, link, make_worker):
        """WIRE 5.6: acked when finished, retried, skipped or malformed."""

        @job
        def ends(*args: Any) -> None:
            if ending == "retried":
                raise ValueError
            if ending == "skipped":
                raise Snooze(5)

        run_pushed(db, link, make_worker, b'"x"' if ending == "malformed" else payload("ends"))
        assert not db.keys("sidelamb:lease*")

    def test_it_stays_leased_while_its_outcome_cannot_be_written(self, failing, db, link, make_worker):
        """WIRE 5.6: not acked when the retry could not be stored."""
        db.set("retry", "no zset")
        answer = run_pushed(db, link, make_worker, payload("fails"), seconds=2)
        assert answer["status"] == "unsettled"
        assert db.keys("sidelamb:lease:*")


class TestMalformed:
    def test_raw_bytes_go_to_dead_and_are_not_counted(self, jobs, db, link, make_worker):
        """WIRE 5.7: raw bytes to dead with score now; not counted."""
        raw = b'"not a job"'
        run_pushed(db, link, make_worker, raw)
        ((stored, at),) = db.zrange("dead", 0, -1, withscores=True)
        assert stored == raw
        assert at == pytest.approx(time.time(), abs=30)
        assert not db.exists("stat:processed", "stat:failed", "retry", "queue:default")

    def test_error_handlers_are_told_and_dead_is_trimmed(self, jobs, db, link, make_worker):
        """WIRE 5.7: set trimmed, error handlers called; death handlers are for jobs."""
        now = time.time()
        db.zadd("dead", {f"old{n}": now - DEAD_FOR_S - 60 for n in range(3)})
        told: list[Any] = []
        hooks = [
            on_error(lambda payload, error: told.append((payload, type(error)))),
            on_death(lambda payload, error: told.append("dead")),
        ]
        try:
            run_pushed(db, link, make_worker, b'["not", "a job"]')
        finally:
            error_hooks.remove(hooks[0])
            death_hooks.remove(hooks[1])
        assert told == [({"raw": ["not", "a job"]}, Malformed)]
        assert db.zrange("dead", 0, -1) == [b'["not", "a job"]']


class TestFailure:
    def test_the_stored_bytes_are_the_original_ones(self, job, db, link, make_worker):
        """WIRE 5.8 step 1: changes that the job makes to its payload are not stored."""

        @job
        def changes(items: list[int]) -> None:
            items.append(2)
            raise ValueError

        raw = (
            b'{"class":"changes","args":[[1.50,1180591620717411303424]],"jid":"1","retry":true,"queue":"default"}'
        )
        run_pushed(db, link, make_worker, raw)
        assert db.zrange("retry", 0, -1)[0].startswith(raw[:-1])

    def test_without_retry_the_jobs_own_number_counts_and_false_drops_it(self):
        """WIRE 5.8 step 2: retry missing, the class's option; false, dropped and not in dead."""
        assert fail({}, default_retries=0).outcome is Outcome.DEAD
        assert fail({}, default_retries=3).outcome is Outcome.RETRY
        assert fail({"retry": False}).outcome is Outcome.DISCARDED

    def test_a_dropped_job_tells_the_death_hooks(self, failing, db, link, make_worker):
        """WIRE 5.8 step 2: retry false, death handlers run."""
        told: list[Any] = []
        hook = on_death(lambda payload, error: told.append((payload["jid"], type(error))))
        try:
            run_pushed(db, link, make_worker, payload("fails", jid="d1", retry=False))
        finally:
            death_hooks.remove(hook)
        assert told == [("d1", ValueError)]
        assert not db.exists("dead", "retry")

    def test_first_and_later_failures_write_their_fields(self):
        """WIRE 5.8 step 3: failed_at and retry_count 0, then retried_at and one more; the queue of retries."""
        first = fail({"retry": True, "retry_queue": "slow"}).changes
        assert (first["failed_at"], first["retry_count"], first["queue"]) == (NOW, 0, "slow")
        later = fail({"retry": True, "failed_at": 5.5, "retry_count": 0}).changes
        assert (later["retried_at"], later["retry_count"], later["queue"]) == (NOW, 1, "mail")
        assert "failed_at" not in later

    def test_the_error_is_stored_so_that_every_reader_can_show_it(self, job, db, link, make_worker):
        """WIRE 5.8 step 3: the first 10,000 characters, valid UTF-8; the backtrace compressed, its first lines."""

        @job
        def fails(*args: Any) -> None:
            raise ValueError("\ud800é" * 6_000)

        run_pushed(db, link, make_worker, payload("fails", 1), payload("fails", 2, backtrace=True))
        plain, traced = sorted(map(decode, db.zrange("retry", 0, -1)), key=len)
        assert plain["error_message"] == "?é" * 5_000
        assert "error_backtrace" not in plain
        assert any(line.endswith("in fails") for line in lines_of(traced["error_backtrace"]))

    def test_a_window_counts_instead_of_a_number(self):
        """WIRE 5.8 step 4: with retry_for only the window counts; retry n means n + 1 executions."""
        assert (
            fail({"retry": 1, "retry_for": 60, "failed_at": NOW - 59, "retry_count": 9}).outcome is Outcome.RETRY
        )
        assert (
            fail({"retry": 99, "retry_for": 60, "failed_at": NOW - 61, "retry_count": 0}).outcome is Outcome.DEAD
        )
        assert fail({"retry": 2, "failed_at": 5.5, "retry_count": 0}).outcome is Outcome.RETRY
        assert fail({"retry": 2, "failed_at": 5.5, "retry_count": 1}).outcome is Outcome.DEAD

    @pytest.mark.parametrize(("said", "delay"), [(3600, 3600), (None, 15), (-1, 15), ("soon", 15)])
    def test_a_job_may_say_when_and_what_it_says_wrongly_is_the_default(
        self, said, delay, job, db, link, make_worker
    ):
        """WIRE 5.8 step 5: a positive number of seconds; anything else, or an error, is the formula."""

        @job(backoff=lambda _attempt, _error: said)
        def fails() -> None:
            raise ValueError

        run_pushed(db, link, make_worker, payload("fails"))
        ((raw, at),) = db.zrange("retry", 0, -1, withscores=True)
        assert delay <= at - decode(raw)["failed_at"] < delay + 10

    @pytest.mark.parametrize(
        ("word", "left"), [(Discard(), "nowhere"), (Kill(), "dead"), (Retry(in_=60), "retry")]
    )
    def test_a_job_may_say_what_becomes_of_it(self, word, left, job, db, link, make_worker):
        """WIRE 5.8 step 5: :discard drops it, :kill is as exhausted, a number is its delay."""

        @job
        def speaks() -> None:
            raise word

        run_pushed(db, link, make_worker, payload("speaks"))
        assert [name for name in ("retry", "dead", "schedule") if db.exists(name)] == [left] * (left != "nowhere")
        for raw, at in db.zrange("retry", 0, -1, withscores=True):
            assert at == pytest.approx(decode(raw)["failed_at"] + 60, abs=0.001)

    def test_what_is_stopped_to_go_on_later_has_not_failed(self, job, db, link, make_worker):
        """WIRE 5.8: on any exception except the shutdown interrupt."""

        @job
        def walks(*, cursor: int | None = None) -> Any:
            for n in range(cursor or 0, 200):
                time.sleep(0.01)
                yield n + 1

        run_pushed(db, link, make_worker, payload("walks"), seconds=1)
        (stored,) = map(decode, waiting(db))
        assert not {"retry_count", "failed_at", "error_class"} & set(stored)
        assert not db.exists("retry", "dead")

    @pytest.mark.parametrize(("count", "least", "most"), [(None, 15, 24), (0, 16, 35), (23, 331_791, 332_040)])
    def test_the_score_is_the_formula_of_the_new_count(self, count, least, most):
        """WIRE 5.8 step 6: now + count^4 + 15 + an integer below 10 (count + 1)."""
        fields = {"retry": True, **({} if count is None else {"retry_count": count, "failed_at": 5.5})}
        assert fail(fields).at == NOW + least
        assert fail(fields, random=lambda: 0.9999999).at == NOW + most

    @pytest.mark.parametrize(("retry", "outcome"), [(0, Outcome.DEAD), (False, Outcome.DISCARDED)])
    def test_zero_is_not_false(self, retry, outcome):
        """WIRE 5.8: 0 and -1 are truthy in Ruby."""
        assert fail({"retry": retry}).outcome is outcome
        assert fail({"retry": True, "retry_count": -1, "failed_at": 5.5}).changes["retry_count"] == 0


class TestExhausted:
    def test_it_goes_to_dead_which_is_trimmed_by_age_and_number(self, failing, db, link, make_worker):
        """WIRE 5.9: ZADD dead now; trimmed to 180 days and to a number of entries, one more than Sidekiq's."""
        now = time.time()
        db.zadd("dead", {f"old{n}": now - DEAD_FOR_S - 60 + n for n in range(3)})
        db.zadd("dead", {f"new{n}": now - 1000 + n / 1000 for n in range(DEAD_MOST)})
        run_pushed(db, link, make_worker, payload("fails", retry=0, jid="d1"))
        assert db.zcard("dead") == DEAD_MOST
        ((raw, at),) = db.zrange("dead", -1, -1, withscores=True)
        assert decode(raw)["jid"] == "d1"
        assert at == pytest.approx(now, abs=30)
        assert db.zscore("dead", "new0") is None
        assert db.zscore("dead", "new1") is not None

    def test_one_whose_dead_is_false_is_dropped(self, failing, db, link, make_worker):
        """WIRE 5.9: `dead` false, dropped."""
        run_pushed(db, link, make_worker, payload("fails", retry=0, dead=False))
        assert not db.exists("dead", "retry")
        assert db.get("stat:failed") == b"1"

    def test_a_hook_may_drop_it(self, job, db, link, make_worker):
        """WIRE 5.9: the hook of exhausted retries may say discard."""

        @job(on_exhausted=lambda _payload, _error: "discard")
        def fails() -> None:
            raise ValueError

        run_pushed(db, link, make_worker, payload("fails", retry=0))
        assert not db.exists("dead")

    @pytest.mark.parametrize("fields", [{"retry": 0, "dead": False}, {"retry": False}])
    def test_death_handlers_are_each_guarded_and_told_of_what_is_dropped(
        self, fields, failing, db, link, make_worker
    ):
        """WIRE 5.9: every death handler, each guarded; `discarded_at` in what they see of a dropped job."""
        told: list[Any] = []

        def broken(payload: Any, error: Any) -> None:
            raise SystemExit(3)

        hooks = [on_death(broken), on_death(lambda payload, _: told.append(payload["discarded_at"]))]
        try:
            run_pushed(db, link, make_worker, payload("fails", **fields))
        finally:
            for hook in hooks:
                death_hooks.remove(hook)
        (at,) = told
        assert type(at) is int
        assert at == pytest.approx(time.time() * 1000, abs=30_000)

    def test_the_hook_is_asked_of_what_is_dropped_too(self, job, db, link, make_worker):
        """WIRE 5.9: the hook comes first, then `dead`."""
        asked: list[Any] = []

        @job(on_exhausted=lambda payload, error: asked.append((payload["retry_count"], type(error))))
        def fails() -> None:
            raise ValueError

        run_pushed(db, link, make_worker, payload("fails", retry=0, dead=False))
        assert asked == [(0, ValueError)]
        assert not db.exists("dead")


class TestShutdown:
    def test_unstarted_jobs_go_back_to_the_right_end_unchanged(self, db, link):
        """WIRE 5.10: RPUSH of raw, unchanged strings, so that they run next, in their old order."""
        raws = push(db, payload("A", 1), b'{ "pretty": "\\u00e9" }', payload("A", 3))
        held = reserve(link, "c:1", "c:2", most_jobs=1)
        link.run(STORE.release("c", held))
        assert waiting(db) == raws

    def test_a_poller_that_leaves_takes_itself_off_the_list(self, redis_url, db):
        """WIRE 5.10: SREM processes, UNLINK of the work."""

        async def live() -> None:
            link = AsyncLink(redis_url)
            capsule: Any = SimpleNamespace(config=CONFIG, flights={}, metrics=Tally())
            beat = Heartbeat("h:1:a", [capsule], store=Store(), redis=Patient(link), on_signal=print)
            await beat.beat()
            assert db.smembers("processes") == {b"h:1:a"}
            await beat.gone()
            await link.close()

        asyncio.run(live())
        assert not db.exists("processes", "h:1:a:work", "h:1:a:workers")


CONFIG = SimpleNamespace(name="d", in_flight=1, queues=("default",), weights=())


class TestStats:
    def test_every_attempt_counts_and_failures_twice(self, failing, job, db, link, make_worker):
        """WIRE 5.12: processed counts every attempt including failures; totals and UTC days, five years."""

        @job
        def good() -> None: ...

        run_pushed(db, link, make_worker, payload("fails", 1), payload("fails", 2, retry=0), payload("good"))
        for name, amount in (("processed", b"3"), ("failed", b"2")):
            assert db.get(f"stat:{name}") == db.get(f"stat:{name}:{DAY}") == amount
            assert db.ttl(f"stat:{name}") == -1
            assert 0 <= 5 * 365 * 86_400 - db.ttl(f"stat:{name}:{DAY}") < 60

    def test_what_was_put_off_counts_as_nothing(self, job, db, link, make_worker):
        """WIRE 5.12: an attempt that did not happen is none."""

        @job
        def later() -> None:
            raise Snooze(60)

        run_pushed(db, link, make_worker, payload("later"))
        assert not db.exists("stat:processed", "stat:failed")

    def test_an_interruption_counts_as_nothing_and_the_last_execution_once(self, job, db, link, make_worker):
        """WIRE 5.12: in Ruby an interrupted iterable counts, and as failed; here it is no attempt."""

        @job
        def walks(*, cursor: int | None = None) -> Any:
            for n in range(cursor or 0, 60):
                time.sleep(0.01)
                yield n + 1

        run_pushed(db, link, make_worker, payload("walks"), seconds=0.6)
        assert not db.exists("stat:processed", "stat:failed")
        run_pushed(db, link, make_worker)
        assert db.get("stat:processed") == b"1"
        assert not db.exists("stat:failed")
