"""Iterable jobs, run by real workers on a real Redis."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Discard, JobError, Retry, Snooze, current_job, server_middleware
from sidelamb.payload import decode
from sidelamb.state import KEPT_S
from sidelamb_handlers import iteration as iteration_module
from sidelamb_handlers import watch as watch_module
from tests.handlers.kit import GOLDEN, Context, event_for, payload, push, reserve, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import redis

    from sidelamb.link import Link

JID = "d888aeae6bdd402e11c5199e"
STATE = f"it-{JID}"


class Iterating:
    """Runs the executions of one job, each in a sandbox and an invocation of its own."""

    def __init__(self, db: redis.Redis, link: Link, make_worker: Callable[..., Any]) -> None:
        self.db, self.link, self.make_worker = db, link, make_worker
        self.leases = 0

    def enqueue(self, name: str = "work", *args: Any, **fields: Any) -> bytes:
        return push(self.db, payload(name, *args, jid=JID, **fields))[0]

    def take(self, **options: Any) -> Any:
        """Take what waits into a lease; its event."""
        self.leases += 1
        (held,) = reserve(self.link, f"c:{self.leases}", cap=1_000)
        return event_for(held, **options)

    def execute(self, seconds: float = 5.0, url: str = "", **options: Any) -> dict[str, Any]:
        """Run one invocation with what waits; its answer."""
        worker = self.make_worker(url) if url else self.make_worker()
        answer: dict[str, Any] = worker.handle(self.take(**options), Context(seconds))
        return answer

    def state(self) -> dict[str, str]:
        return {field.decode(): value.decode() for field, value in self.db.hgetall(STATE).items()}

    def retry(self) -> dict[str, Any]:
        """The payload of the one job that waits for a retry."""
        ((raw, _),) = self.db.zrange("retry", 0, -1, withscores=True)
        return decode(raw)

    def retry_now(self) -> None:
        """Have it wait in its queue instead."""
        ((raw, _),) = self.db.zpopmin("retry")
        push(self.db, raw)


@pytest.fixture
def iterating(db: redis.Redis, link: Link, make_worker: Callable[..., Any]) -> Iterating:
    return Iterating(db, link, make_worker)


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every item, and a watch that looks all the time."""
    monkeypatch.setattr(iteration_module, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(watch_module, "TICK_S", 0.02)


def counting(job: Any, done: list[int], *, up_to: int, each_s: float = 0.0, **options: Any) -> Any:
    """Declare a job that notes one item after the other."""

    def work(*, cursor: int | None = None) -> Iterator[int]:
        for n in range(cursor or 0, up_to):
            time.sleep(each_s)
            done.append(n)
            yield n + 1

    return job(work, **options)


def golden_state(name: str) -> dict[str, str]:
    entries = json.loads((GOLDEN / "sidekiq-7310" / name).read_text())
    (entry,) = [entry for entry in entries if entry["key_text"] == STATE]
    return {field: base64.b64decode(value).decode() for field, value in entry["value"].items()}


class TestAnExecution:
    def test_runs_through_all_items_and_leaves_nothing(self, iterating, job, db):
        done: list[int] = []
        counting(job, done, up_to=1_000)
        iterating.enqueue()
        answer = iterating.execute()
        assert done == list(range(1_000))
        assert answer["status"] == "settled"
        assert set(db.keys()) == {b"queues", b"stat:processed", *db.keys("stat:processed:*")}
        assert db.get("stat:processed") == b"1"

    def test_of_an_async_generator_is_the_same(self, iterating, job, db, swift):
        done: list[int] = []

        async def work(table: str, *, cursor: int | None = None) -> AsyncIterator[int]:
            for n in range(cursor or 0, 50):
                await asyncio.sleep(0)
                done.append(n)
                yield n + 1

        job(work)
        iterating.enqueue("work", "users")
        iterating.execute()
        assert done == list(range(50))
        assert not db.exists(STATE)

    def test_may_be_asked_to_begin_at_a_cursor(self, iterating, job):
        done: list[int] = []
        counting(job, done, up_to=5)
        iterating.enqueue(kwargs={"cursor": 3})
        iterating.execute()
        assert done == [3, 4]

    def test_knows_its_executions_and_its_cursor(self, iterating, job, db):
        seen: list[Any] = []

        def work(*, cursor: int | None = None) -> Iterator[Any]:
            me = current_job()
            seen.append((me.executions, me.cursor, cursor))
            yield {"id": 7}
            seen.append((me.executions, me.cursor, cursor))

        job(work)
        db.hset(STATE, mapping={"ex": 2, "c": '{"id": 5}', "rt": "1.5"})
        iterating.enqueue()
        iterating.execute()
        assert seen == [(3, {"id": 5}, {"id": 5}), (3, {"id": 7}, {"id": 5})]

    def test_of_an_ordinary_job_is_always_the_first(self, iterating, job):
        seen: list[Any] = []
        job(lambda: seen.append((current_job().executions, current_job().cursor)), name="work")
        iterating.enqueue()
        iterating.execute()
        assert seen == [(1, None)]

    def test_costs_two_round_trips_more_than_a_job(self, iterating, job, db):
        """Its state is read, and removed; an ordinary job pays nothing."""
        counting(job, [], up_to=3)
        job(lambda: None, name="ordinary")
        calls = []
        for name in ("work", "ordinary"):
            iterating.enqueue(name)
            event, worker = iterating.take(), iterating.make_worker()
            db.script_flush()
            db.config_resetstat()
            worker.handle(event, Context(5))
            stats = db.info("commandstats")
            calls.append(stats["cmdstat_eval"]["calls"])  # after a flush each script is sent once by its text
        assert calls == [4, 2]

    def test_without_redis_runs_through(self, iterating, job, db):
        done: list[int] = []
        counting(job, done, up_to=10)
        iterating.enqueue()
        answer = iterating.execute(detached=True)
        assert done == list(range(10))
        assert [outcome for outcome, *_ in answer["outcomes"].values()] == ["succeeded"]
        assert not db.exists(STATE)

    def test_of_a_job_without_an_id_has_no_state(self, iterating, job, db):
        counting(job, [], up_to=3)
        push(db, b'{"class":"work","args":[],"queue":"default"}')
        iterating.execute()
        assert not db.keys("it-*")
        assert db.get("stat:failed") is None

    def test_that_returns_a_generator_nobody_would_run_is_a_failure(self, iterating, job):
        def inner() -> Iterator[int]:
            yield 1

        job(lambda: inner(), name="work")  # noqa: PLW0108 - as a decorator below @job does
        iterating.enqueue()
        iterating.execute()
        assert "put @job on the generator itself" in iterating.retry()["error_message"]


class TestACheckpoint:
    def test_is_written_every_few_seconds_as_ruby_writes_it(self, iterating, job, swift, db):
        states: list[Any] = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            yield 89
            states.append((iterating.state(), db.ttl(STATE)))
            yield 90

        job(work)
        iterating.enqueue()
        iterating.execute()
        ((state, ttl),) = states
        ruby = golden_state("12-iterable-running.json")
        assert state.keys() == ruby.keys()
        assert (state["ex"], state["c"]) == ("1", "89")
        assert type(json.loads(state["rt"])) in {int, float}
        assert ttl == KEPT_S

    def test_comes_five_seconds_after_the_last(self, iterating, job, monkeypatch):
        monkeypatch.setattr(iteration_module, "CHECKPOINT_S", 0.2)
        cursors = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            for n in range(60):
                time.sleep(0.01)
                yield n
                cursors.append(iterating.state().get("c"))

        job(work)
        iterating.enqueue()
        iterating.execute()
        assert 2 <= len(set(cursors) - {None}) <= 3

    @pytest.mark.parametrize("cursor", [0, -5, 2**60, 1.5, "a", "ü€", True, [1, [2]], {"a": None}, ""])
    def test_keeps_any_json_value(self, iterating, job, cursor):
        seen: list[Any] = []

        def work(*, cursor: Any = None) -> Iterator[Any]:
            seen.append(cursor)
            yield wanted
            if len(seen) == 1:
                raise ValueError("no")

        wanted = cursor
        job(work)
        iterating.enqueue()
        iterating.execute()
        iterating.retry_now()
        iterating.execute()
        assert seen == [None, cursor]
        assert type(seen[1]) is type(cursor)

    @pytest.mark.parametrize("cursor", [(1, 2), {1}, object(), float("nan"), 2**70, {1: 2}, b"x", "\ud800"])
    def test_of_what_json_cannot_say_is_a_failure_at_once(self, iterating, job, cursor):
        def work(*, cursor: Any = None) -> Iterator[Any]:
            yield wanted
            raise AssertionError("it went on")

        wanted = cursor
        job(work)
        iterating.enqueue()
        iterating.execute()
        assert iterating.retry()["error_class"] == "sidelamb.errors.BadArgument"
        assert "work: field 'cursor'" in iterating.retry()["error_message"]

    def test_does_not_follow_a_list_that_the_job_goes_on_changing(self, iterating, job):
        def work(*, cursor: Any = None) -> Iterator[Any]:
            place = [0]
            yield place
            place[0] = 1
            raise ValueError("in the middle of the next item")

        job(work)
        iterating.enqueue()
        iterating.execute()
        assert iterating.state()["c"] == "[0]"

    def test_is_tried_again_when_redis_was_away(self, iterating, job, swift, proxy, caplog):
        states = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            proxy.cut()
            yield 1
            proxy.mend()
            states.append(iterating.state())
            yield 2
            states.append(iterating.state())

        job(work)
        iterating.enqueue()
        assert iterating.execute(url=proxy.url)["status"] == "settled"
        assert [state.get("c") for state in states] == [None, "2"]
        assert "could not be written down" in caplog.text

    def test_is_written_although_redis_is_full(self, iterating, job, swift, db):
        states = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            db.config_set("maxmemory", 1)
            yield 1
            db.config_set("maxmemory", 0)
            states.append(iterating.state())

        job(work)
        iterating.enqueue()
        iterating.execute()
        assert states[0]["c"] == "1"


class TestAnInterruption:
    def test_comes_before_the_end_of_the_invocation_and_the_next_goes_on(self, iterating, job, db):
        done: list[int] = []
        counting(job, done, up_to=120, each_s=0.01)
        raw = iterating.enqueue(enqueued_at=1.5)
        other = push(db, payload("other"), queue="default")[0]
        db.lrem("queue:default", 1, other)
        began = time.monotonic()
        event = iterating.take()
        db.lpush("queue:default", other)
        answer = iterating.make_worker().handle(event, Context(1.5))
        assert time.monotonic() - began < 1.5
        assert answer["status"] == "settled"
        assert 30 < len(done) < 120
        assert iterating.state() == {"ex": "1", "c": str(len(done)), "rt": iterating.state()["rt"]}
        assert 0.3 < float(iterating.state()["rt"]) < 1.5
        assert db.get("stat:processed") is None, "uncounted"
        first, second = waiting(db)
        assert first == other, "it is at the back of its queue"
        went, came = decode(raw), decode(second)
        assert came.pop("enqueued_at") == pytest.approx(time.time(), abs=5)
        went.pop("enqueued_at")
        assert came == went
        db.lrem("queue:default", 1, other)
        iterating.execute(30)
        assert done == list(range(120))
        assert not db.exists(STATE)
        assert db.get("stat:processed") == b"1"
        assert db.get("stat:failed") is None

    def test_of_an_async_generator_is_the_same(self, iterating, job, db):
        done: list[int] = []
        closed = []

        async def work(*, cursor: int | None = None) -> AsyncIterator[int]:
            try:
                for n in range(cursor or 0, 120):
                    await asyncio.sleep(0.01)
                    done.append(n)
                    yield n + 1
            finally:
                closed.append(len(done))

        job(work)
        iterating.enqueue()
        iterating.execute(1.5)
        assert closed == [len(done)]
        assert iterating.state()["c"] == str(len(done))
        iterating.execute(30)
        assert done == list(range(120))

    def test_comes_before_the_jobs_own_timeout(self, iterating, job, db, exits):
        done: list[int] = []
        counting(job, done, up_to=100, each_s=0.02, timeout=1)
        iterating.enqueue()
        iterating.execute(60)
        assert 10 < len(done) < 60
        assert waiting(db)
        assert exits == []

    def test_leaves_time_for_an_item_as_long_as_the_longest(self, iterating, job, db):
        done: list[int] = []
        counting(job, done, up_to=10, each_s=0.9)
        iterating.enqueue()
        iterating.execute(4)
        assert waiting(db), "interrupted, not failed"
        assert len(done) == 3

    def test_does_not_let_a_started_job_expire(self, iterating, job, db):
        done: list[int] = []
        counting(job, done, up_to=100, each_s=0.01)
        iterating.enqueue(expiry=time.time() + 0.5)
        iterating.execute(1)
        iterating.execute(30)
        assert done == list(range(100))

    def test_lets_the_generator_clean_up(self, iterating, job):
        seen = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            try:
                while True:
                    time.sleep(0.01)
                    yield 1
            except GeneratorExit:
                seen.append("exit")
                raise

        job(work)
        iterating.enqueue()
        iterating.execute(1)
        assert seen == ["exit"]

    def test_that_the_clean_up_spoils_is_a_failure_that_keeps_its_place(self, iterating, job):
        def work(*, cursor: int | None = None) -> Iterator[int]:
            try:
                while True:
                    time.sleep(0.01)
                    yield 7
            finally:
                raise ValueError("clean-up")

        job(work)
        iterating.enqueue()
        iterating.execute(1)
        assert iterating.retry()["error_message"] == "clean-up"
        assert iterating.state()["c"] == "7"

    def test_goes_on_in_the_queue_when_redis_is_away_for_its_last_checkpoint(self, iterating, job, proxy, caplog):
        """The poller writes the outcome down; the items since the last checkpoint are done again."""

        def work(*, cursor: int | None = None) -> Iterator[int]:
            for n in range(1_000):
                if n == 10:
                    proxy.cut()
                time.sleep(0.01)
                yield n

        job(work)
        iterating.enqueue()
        answer = iterating.execute(1.5, url=proxy.url)
        assert answer["status"] == "unsettled"
        assert [outcome for outcome, *_ in answer["outcomes"].values()] == ["interrupted"]
        assert "could not be written down" in caplog.text
        assert iterating.state() == {}

    def test_of_one_that_does_not_yield_in_time_is_a_timeout_that_keeps_its_place(self, iterating, job, exits):
        def work(*, cursor: int | None = None) -> Iterator[int]:
            yield 5
            end = time.monotonic() + 20
            while time.monotonic() < end:
                time.sleep(0.002)

        job(work)
        iterating.enqueue()
        iterating.execute(1)
        assert iterating.retry()["error_class"] == "sidelamb.control.JobTimeout"
        assert iterating.state()["c"] == "5"
        assert exits == [1], "its thread was interrupted"

    def test_that_comes_with_the_last_item_ends_the_job(self, iterating, job, db, monkeypatch):
        """The watch may ask when there is nothing left to stop."""

        def work(*, cursor: int | None = None) -> Iterator[int]:
            yield 1
            current_job().iteration.stop_before(0.0, time.time())  # type: ignore[attr-defined]

        job(work)
        iterating.enqueue()
        iterating.execute()
        assert not waiting(db)
        assert db.get("stat:processed") == b"1"

    def test_without_redis_does_not_come(self, iterating, job, exits):
        done: list[int] = []
        counting(job, done, up_to=1_000, each_s=0.01)
        iterating.enqueue()
        answer = iterating.execute(1, detached=True)
        assert [outcome for outcome, *_ in answer["outcomes"].values()] == ["retry"]

    def test_lets_the_neighbours_of_its_lease_run(self, iterating, job, db):
        done: list[int] = []
        counting(job, done, up_to=100_000, each_s=0.01)
        ran = []
        job(lambda: ran.append(1), name="quick")
        iterating.enqueue()
        push(db, payload("quick"))
        iterating.execute(1.5, threads=2)
        assert ran == [1]
        assert len(waiting(db)) == 1


class TestWithoutProgress:
    @pytest.fixture
    def stuck(self, iterating, job, monkeypatch):
        monkeypatch.setattr(watch_module, "TICK_S", 0.01)

        def work(*, cursor: int | None = None) -> Iterator[int]:
            while True:
                time.sleep(0.01)
                yield 4

        job(work)
        iterating.db.hset(STATE, mapping={"ex": 1, "c": "4", "rt": "0"})
        iterating.enqueue()
        return iterating

    def test_five_executions_in_a_row_are_a_failure(self, stuck, db):
        for n in range(1, 5):
            stuck.execute(0.5)
            assert waiting(db), n
            assert stuck.state()["st"] == str(n)
        stuck.execute(0.5)
        assert stuck.retry()["error_class"] == "sidelamb.control.JobTimeout"
        assert "made no progress in 5 executions" in stuck.retry()["error_message"]
        assert "at the cursor 4" in stuck.retry()["error_message"]
        assert "st" not in stuck.state(), "a retry gets as many again"

    def test_progress_starts_the_count_anew(self, iterating, job, db, monkeypatch):
        monkeypatch.setattr(watch_module, "TICK_S", 0.01)
        counting(job, [], up_to=10_000, each_s=0.01)
        db.hset(STATE, mapping={"ex": 7, "c": "4", "rt": "2", "st": "4"})
        iterating.enqueue()
        iterating.execute(0.5)
        assert waiting(db)
        assert set(iterating.state()) == {"ex", "c", "rt"}
        assert iterating.state()["ex"] == "8"


class TestAFailure:
    def test_retries_by_the_ordinary_rules_and_goes_on_from_its_last_item(self, iterating, job, db):
        done: list[int] = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            for n in range(cursor or 0, 10):
                if n == 6 and current_job().attempt == 1:
                    raise ValueError("six")
                done.append(n)
                yield n + 1

        job(work)
        iterating.enqueue()
        iterating.execute()
        assert iterating.retry()["retry_count"] == 0
        assert iterating.state()["c"] == "6"
        iterating.retry_now()
        iterating.execute()
        assert done == list(range(10))
        assert not db.exists(STATE)

    @pytest.mark.parametrize("word", [Retry("later"), Snooze(60)])
    def test_so_does_a_word_of_the_job_about_itself(self, iterating, job, word):
        def work(*, cursor: int | None = None) -> Iterator[int]:
            yield 3
            raise word

        job(work)
        iterating.enqueue()
        iterating.execute()
        assert iterating.state()["c"] == "3"

    def test_a_discarded_job_leaves_nothing(self, iterating, job, db):
        def work(*, cursor: int | None = None) -> Iterator[int]:
            yield 3
            raise Discard("enough")

        job(work)
        iterating.enqueue()
        iterating.execute()
        assert not db.exists(STATE)

    def test_a_dead_job_keeps_its_place_for_who_sends_it_back(self, iterating, job, db):
        def work(*, cursor: int | None = None) -> Iterator[int]:
            yield 3
            raise ValueError("no")

        job(work)
        iterating.enqueue(retry=0)
        iterating.execute()
        assert db.zcard("dead") == 1
        assert iterating.state()["c"] == "3"

    def test_before_the_first_item_changes_no_state(self, iterating, job, db):
        def work(*, cursor: int | None = None) -> Iterator[int]:
            if cursor == 3:
                raise ValueError("no")
            yield 0

        job(work)
        db.hset(STATE, mapping={"ex": 1, "c": "3", "rt": "0"})
        iterating.enqueue()
        iterating.execute()
        assert iterating.state()["c"] == "3"

    def test_with_redis_away_is_still_a_failure(self, iterating, job, proxy):
        def work(*, cursor: int | None = None) -> Iterator[int]:
            yield 3
            proxy.cut()
            raise ValueError("no")

        job(work)
        iterating.enqueue()
        answer = iterating.execute(1, url=proxy.url)
        assert [outcome for outcome, *_ in answer["outcomes"].values()] == ["retry"]

    def test_after_a_crash_between_checkpoint_and_settle_it_goes_on(self, iterating, job, swift, db):
        """A thread stands for the sandbox: it is never heard of again, and its lease expires."""
        done: list[int] = []
        hold = threading.Event()

        def work(*, cursor: int | None = None) -> Iterator[int]:
            for n in range(cursor or 0, 10):
                if n == 7 and not hold.is_set():
                    hold.wait(30)
                    return
                done.append(n)
                yield n + 1

        job(work)
        raw = iterating.enqueue()
        event, worker = iterating.take(), iterating.make_worker()
        thread = threading.Thread(target=worker.handle, args=(event, Context(60)))
        thread.start()
        while iterating.state().get("c") != "7":
            time.sleep(0.005)
        before = dict(iterating.state())
        db.delete(f"sidelamb:lease:{event['lease']}", "sidelamb:leases", "sidelamb:slots:c")  # what reap does
        hold.set()
        thread.join()
        db.hset(STATE, mapping=before)
        push(db, raw)
        iterating.execute()
        assert done == list(range(10))


class TestAState:
    def test_of_the_wrong_type_is_a_clear_failure_and_the_job_is_kept(self, iterating, job, db):
        done: list[int] = []
        counting(job, done, up_to=3)
        db.set(STATE, "no hash")
        iterating.enqueue()
        iterating.execute()
        assert done == []
        assert iterating.retry()["error_class"] == "sidelamb.errors.JobError"
        assert f"the state {STATE} cannot be read" in iterating.retry()["error_message"]
        assert "WRONGTYPE" in iterating.retry()["error_message"]
        assert db.get(STATE) == b"no hash"

    def test_that_is_not_json_is_a_clear_failure(self, iterating, job, db):
        done: list[int] = []
        counting(job, done, up_to=3)
        db.hset(STATE, mapping={"ex": 1, "c": "{", "rt": 0})
        iterating.enqueue()
        iterating.execute()
        assert done == []
        assert "is not JSON" in iterating.retry()["error_message"]

    def test_that_redis_does_not_give_returns_the_job_uncharged(self, iterating, job, db, proxy):
        done: list[int] = []
        counting(job, done, up_to=3)

        @server_middleware
        def cut(attempt: Any, call: Any) -> Any:
            proxy.cut()
            return call()

        raw = iterating.enqueue()
        answer = iterating.execute(3, url=proxy.url)
        assert done == []
        assert [outcome for outcome, *_ in answer["outcomes"].values()] == ["returned"]
        assert db.hvals("sidelamb:lease:c:1").count(raw) == 1

    @pytest.mark.parametrize("name", ["12-iterable-running.json", "12-iterable-interrupted.json"])
    def test_of_rubys_is_understood_and_written_in_its_form(self, iterating, job, db, name):
        done: list[int] = []

        def work(*args: Any, cursor: int | None = None) -> Iterator[int]:
            done.append(cursor or 0)
            yield (cursor or 0) + 1
            raise ValueError("stop here")

        job(work)
        ruby = golden_state(name)
        db.hset(STATE, mapping=ruby)
        iterating.enqueue("work", "a")
        iterating.execute()
        assert done == [int(ruby["c"])]
        ours = iterating.state()
        assert ours.keys() == ruby.keys()
        assert ours["ex"] == "2"
        assert ours["c"] == str(int(ruby["c"]) + 1)
        assert float(ours["rt"]) >= round(float(ruby["rt"]), 3)

    @pytest.mark.parametrize(
        "odd", [{"ex": "x", "rt": "y", "st": "z"}, {"ex": "-1", "rt": "nan"}, {"ex": "1e400", "rt": ""}]
    )
    def test_with_odd_numbers_counts_from_zero(self, iterating, job, db, odd):
        done: list[int] = []
        counting(job, done, up_to=3)
        db.hset(STATE, mapping={**odd, "c": "2"})
        iterating.enqueue()
        iterating.execute()
        assert done == [2]


class TestCallbacks:
    @pytest.fixture
    def told(self, job):
        done: list[Any] = []
        made = counting(job, done, up_to=60, each_s=0.01)
        told: list[Any] = []
        for moment in ("start", "resume", "stop", "cancel", "complete"):
            getattr(made, f"on_{moment}")(lambda me, moment=moment: told.append((moment, me.executions, me.jid)))
        return told

    def test_tell_of_start_stop_resume_and_completion(self, iterating, told):
        iterating.enqueue()
        iterating.execute(0.6)
        assert told == [("start", 1, JID), ("stop", 1, JID)]
        iterating.execute(30)
        assert told[2:] == [("resume", 2, JID), ("complete", 2, JID)]

    def test_tell_of_a_cancellation_before_the_first_item(self, iterating, told, db):
        db.hset(STATE, "cancelled", int(time.time()))
        iterating.enqueue()
        iterating.execute()
        assert told == [("cancel", 1, JID)]

    @pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), KeyboardInterrupt()])
    def test_that_fail_are_logged_and_stop_nothing(self, iterating, job, db, caplog, error):
        done: list[int] = []
        made = counting(job, done, up_to=3)

        @made.on_start
        def broken(me: Any) -> None:
            raise error

        made.on_complete(broken)
        iterating.enqueue()
        iterating.execute()
        assert done == [0, 1, 2]
        assert "on_start of work failed" in caplog.text
        assert "on_complete of work failed" in caplog.text
        assert db.get("stat:failed") is None

    def test_belong_to_iterable_jobs(self, job):
        made = job(lambda: None, name="ordinary")
        with pytest.raises(JobError, match=r"ordinary has no on_start: it is not iterable(.|\n)*yield row\.id"):
            made.on_start(print)

    def test_are_plain_functions(self, job):
        made = counting(job, [], up_to=1)

        async def callback(me: Any) -> None: ...

        with pytest.raises(JobError, match="on_stop of work is async"):
            made.on_stop(callback)

    def test_are_not_called_for_a_failure(self, iterating, job):
        told: list[str] = []

        def work(*, cursor: int | None = None) -> Iterator[int]:
            yield 1
            raise ValueError("no")

        made = job(work)
        for moment in ("stop", "cancel", "complete"):
            getattr(made, f"on_{moment}")(lambda me, moment=moment: told.append(moment))
        iterating.enqueue()
        iterating.execute()
        assert told == []
