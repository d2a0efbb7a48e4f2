"""Status and result of a job, as who enqueued it sees them; the worker is the real one."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import (
    Client,
    Discard,
    Handle,
    JobFailed,
    Kill,
    NoResult,
    NotFinished,
    Progress,
    Retry,
    Snooze,
    current_job,
)
from sidelamb.api import DeadSet, Queue, RetrySet, ScheduledSet
from tests.handlers.kit import everything

if TYPE_CHECKING:
    import redis


@pytest.fixture
def add(job: Any, client: Client) -> Any:
    @job(result_ttl=60)
    def add(a: int, b: int) -> int:
        return a + b

    return add.using(client=client)


class TestStatus:
    def test_tells_the_life_of_a_job(self, job: Any, client: Client, run: Any, db: redis.Redis):
        seen = []

        @job(result_ttl=60)
        def work() -> str:
            seen.append(Handle(current_job().jid, client).status())
            if len(seen) == 1:
                raise ValueError("not yet")
            return "done"

        before = time.time()
        handle = work.using(client=client).enqueue()
        first = handle.status()
        assert (first.state, first.name, first.attempt, first.started_at) == ("queued", "work", 0, None)
        assert before <= first.enqueued_at <= time.time()
        run()
        assert (seen[0].state, seen[0].attempt) == ("running", 1)
        failed = handle.status()
        assert (failed.state, failed.error_class, failed.error_message) == ("retrying", "ValueError", "not yet")
        assert not failed.is_over
        RetrySet(client).retry_all()
        run()
        assert (seen[1].state, seen[1].attempt) == ("running", 1)
        last = handle.status()
        assert (last.state, last.is_over) == ("succeeded", True)
        assert last.started_at <= last.finished_at

    def test_of_a_scheduled_job_says_when(self, add: Any):
        handle = add.enqueue_in(100, 1, 2)
        assert handle.status().state == "scheduled"
        assert handle.status().due_at == pytest.approx(time.time() + 100, abs=5)

    def test_of_a_job_whose_time_has_come_is_queued(self, add: Any, monkeypatch: pytest.MonkeyPatch):
        handle = add.enqueue_in(100, 1, 2)
        later = time.time() + 101
        monkeypatch.setattr(time, "time", lambda: later)
        assert handle.status().state == "queued"

    @pytest.mark.parametrize(
        ("word", "state"),
        [
            (Discard("no"), "discarded"),
            (Kill("no"), "dead"),
            (Retry(60), "retrying"),
            (Snooze(60), "queued"),
        ],
    )
    def test_follows_the_job_s_own_word(self, job: Any, client: Client, run: Any, word: Any, state: str):
        @job(result_ttl=60)
        def work() -> None:
            raise word

        handle = work.using(client=client).enqueue()
        run()
        assert handle.status().state == state

    @pytest.mark.parametrize("place", ["queue", "schedule"])
    def test_says_that_a_person_has_deleted_it(self, add: Any, client: Client, place: str):
        handle = add.enqueue(1, 2) if place == "queue" else add.enqueue_in(60, 1, 2)
        found: Any = Queue("default", client) if place == "queue" else ScheduledSet(client)
        assert found.delete(next(iter(found)))
        assert handle.status().state == "deleted"

    def test_of_a_job_that_keeps_none_is_unknown(self, job: Any, client: Client, run: Any, db: redis.Redis):
        @job
        def work() -> None: ...

        handle = work.using(client=client).enqueue()
        assert handle.status().state == "unknown"
        run()
        assert not [key for key in everything(db) if b"status" in key or b"bell" in key]

    def test_shows_the_progress(self, job: Any, client: Client, run: Any):
        seen = []

        @job(result_ttl=60)
        def work() -> None:
            current_job().progress(3, 10, "resizing <b>ü</b>")
            seen.append(Handle(current_job().jid, client).status().progress)
            current_job().progress(4)

        handle = work.using(client=client).enqueue()
        assert handle.status().progress is None
        run()
        assert seen == [Progress(3, 10, "resizing <b>ü</b>")]
        assert handle.status().progress == Progress(4)

    def test_progress_of_a_job_that_keeps_none_writes_nothing(
        self, job: Any, client: Client, run: Any, db: redis.Redis
    ):
        @job
        def work() -> None:
            current_job().progress(1, 2)

        work.using(client=client).enqueue()
        assert run()["ran"] == 1
        assert not db.keys("sidelamb:status:*")


class TestResult:
    def test_is_what_the_job_returned(self, add: Any, run: Any):
        handle = add.enqueue(1, 2)
        run()
        assert handle.result() == 3

    async def test_is_there_for_async_code(self, add: Any, run: Any):
        handle = await add.aenqueue(1, 2)
        waiting = asyncio.create_task(handle.aresult(timeout=10))
        await asyncio.to_thread(run)
        assert await waiting == 3
        assert (await handle.astatus()).state == "succeeded"
        await handle._client.aclose()

    def test_of_an_async_job_is_what_it_returned(self, job: Any, client: Client, run: Any):
        @job(result_ttl=60)
        async def work() -> list[int]:
            return [1, 2]

        handle = work.using(client=client).enqueue()
        run()
        assert handle.result() == [1, 2]

    def test_is_waited_for_without_asking_again_and_again(self, add: Any, run: Any, db: redis.Redis):
        handle = add.enqueue(1, 2)
        found: list[Any] = []
        waiters = [threading.Thread(target=lambda: found.append(handle.result(timeout=10))) for _ in range(3)]
        db.config_resetstat()
        for waiter in waiters:
            waiter.start()
        while (db.info("clients")["blocked_clients"]) < 3:
            time.sleep(0.005)
        run()
        for waiter in waiters:
            waiter.join(5)
        assert found == [3, 3, 3]
        assert db.info("commandstats")["cmdstat_blmove"]["calls"] == 3

    def test_that_does_not_come_in_time_is_not_waited_for(self, add: Any):
        handle = add.enqueue(1, 2)
        began = time.monotonic()
        with pytest.raises(NotFinished, match=f"{handle}.*0.05 s"):
            handle.result(timeout=0.05)
        assert time.monotonic() - began < 2
        with pytest.raises(NotFinished):
            handle.result(timeout=0)

    def test_of_a_dead_job_is_its_error(self, job: Any, client: Client, run: Any):
        @job(result_ttl=60, max_retries=0)
        def work() -> None:
            raise KeyError("x")

        handle = work.using(client=client).enqueue()
        run()
        with pytest.raises(JobFailed, match=f"work .*{handle}.* is dead: KeyError: 'x'") as caught:
            handle.result()
        assert (caught.value.error_class, caught.value.error_message) == ("KeyError", "'x'")

    def test_comes_after_a_dead_job_was_sent_back_by_hand(self, job: Any, client: Client, run: Any):
        broken = [True]

        @job(result_ttl=60, max_retries=0)
        def work() -> str:
            if broken.pop():
                raise ValueError
            return "after all"

        handle = work.using(client=client).enqueue()
        run()
        broken.append(False)
        DeadSet(client).retry_all()
        run()
        assert handle.result(timeout=0) == "after all"

    @pytest.mark.parametrize("value", [math.nan, object(), {1, 2}, "\ud800", "x" * 300_000])
    def test_that_cannot_be_kept_costs_the_job_nothing(self, job: Any, client: Client, run: Any, value: Any):
        @job(result_ttl=60)
        def work() -> Any:
            return value

        handle = work.using(client=client).enqueue()
        run()
        assert handle.status().state == "succeeded"
        with pytest.raises(NoResult, match=r"work .* has succeeded, but it returned"):
            handle.result()

    def test_of_a_job_that_keeps_none_is_said_to_be_none(self, job: Any, client: Client):
        @job
        def work() -> None: ...

        handle = work.using(client=client).enqueue()
        with pytest.raises(NoResult, match="result_ttl"):
            handle.result(timeout=1)

    def test_goes_when_its_time_is_over(self, add: Any, run: Any, db: redis.Redis):
        handle = add.enqueue(1, 2)
        assert db.ttl(f"sidelamb:status:{handle}") > 29 * 86_400
        run()
        assert 50 < db.ttl(f"sidelamb:status:{handle}") <= 60
        assert 50 < db.ttl(f"sidelamb:bell:{handle}") <= 60


class TestHandle:
    def test_is_the_id_as_a_text(self, add: Any, db: redis.Redis):
        handle = add.enqueue(1, 2)
        assert isinstance(handle, str)
        assert f'"jid":"{handle}"'.encode() in db.lindex("queue:default", 0)

    def test_can_be_an_argument(self, job: Any, client: Client, add: Any, db: redis.Redis):
        @job
        def work(*args: Any, **kwargs: Any) -> None: ...

        handle = add.enqueue(1, 2)
        work.using(client=client).enqueue(handle, [handle], key={"in": handle})
        work.using(client=client).enqueue_many([(handle,)])
        plain = f'"{handle}"'.encode()
        assert db.lindex("queue:default", 1).count(plain) == 3
        assert db.lindex("queue:default", 0).count(plain) == 1

    def test_is_pickled_as_a_text(self, add: Any):
        handle = add.enqueue(1, 2)
        assert pickle.loads(pickle.dumps(handle)) == handle


def test_costs_one_round_trip_for_each_step(add: Any, run: Any, db: redis.Redis):
    add.enqueue(0, 0)
    run()
    db.config_resetstat()
    add.enqueue(1, 2)
    calls = db.info("commandstats")
    assert calls["cmdstat_evalsha"]["calls"] == 1
    run()
    scripts = db.info("commandstats")["cmdstat_evalsha"]["calls"] - 1
    assert scripts == 4, "reserve, claim, begin, settle: one more than without a result"
