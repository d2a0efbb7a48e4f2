"""Batches: pushed whole, and what their jobs' ends mean for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import BadCall, BadOption, Batch, BatchClosed, BatchGone, BatchStatus, Client, Discard, current_batch
from sidelamb.api import DeadSet, Locks, Queue, RetrySet, ScheduledSet
from sidelamb.batches.store import BatchStore
from sidelamb.effects import Ended, Event, endings
from sidelamb.limits import Window
from tests.batches.conftest import payloads

if TYPE_CHECKING:
    from sidelamb.job import Job

Work = "Callable[..., int]"


@pytest.fixture
def ok(job: Any) -> Job[..., None]:
    return job(lambda *args: None, name="ok")


@pytest.fixture
def moody(job: Any) -> dict[str, Any]:
    """A job that ends as it is told here."""
    mood: dict[str, Any] = {"error": None}

    def act(*_: Any) -> Any:
        if mood["error"] is not None:
            raise mood["error"]
        return mood.get("returns")

    mood["job"] = job(act, name="act", max_retries=1)
    mood["mortal"] = job(act, name="mortal", max_retries=0)
    return mood


def events(heard: list[Any]) -> list[str]:
    return [event for event, _, _ in heard]


class TestTheBlock:
    def test_all_its_jobs_come_at_its_end_in_order_and_in_one_round_trip(self, client, db, ok) -> None:
        with Batch("import") as batch:
            for n in range(5):
                ok.enqueue(n)
            ok.enqueue_in(60, "later")
            assert ok.using(queue="low").enqueue_many([(1,), (2,)]) == 2
            assert db.keys() == []
        assert [one["args"] for one in payloads(db)] == [[n] for n in range(5)]
        assert len(payloads(db, "low")) == 2
        assert db.zcard("schedule") == 1
        assert {one["bid"] for one in payloads(db)} == {batch.bid}
        status = batch.status()
        assert (status.total, status.pending, status.state, status.description) == (8, 8, "running", "import")

    def test_an_error_in_it_pushes_nothing(self, client, db, ok, job) -> None:
        once = job(lambda: None, name="once", unique_for=600)

        def fail(count: int) -> None:
            with Batch():
                once.enqueue()
                ok.enqueue_many((n,) for n in range(count))
                raise ZeroDivisionError

        for count in (3, 2_500):
            with pytest.raises(ZeroDivisionError):
                fail(count)
            assert db.keys() == []

    def test_what_is_more_than_a_round_trip_holds_is_staged_and_comes_whole(self, client, db, ok) -> None:
        ok.enqueue("before")
        with Batch() as batch:
            for n in range(2_500):
                ok.enqueue(n)
            ok.enqueue_at(4e9, "later")
            assert db.llen("queue:default") == 1
        assert [one["args"] for one in payloads(db)] == [["before"], *([n] for n in range(2_500))]
        assert batch.status().total == 2_501
        assert [key for key in db.scan_iter() if b"staged" in key] == []
        assert db.ttl("queue:default") == -1

    async def test_async_code(self, client, db, ok, work) -> None:
        async with Batch(tags=["night"]) as batch:
            await ok.aenqueue(1)
            await ok.aenqueue_many((n,) for n in range(1_200))

        async def fail() -> None:
            async with Batch():
                await ok.aenqueue_many((n,) for n in range(1_200))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert db.llen("queue:default") == 1_201
        assert (await batch.astatus()).tags == ("night",)
        await asyncio.to_thread(work, 2_000)
        assert (await batch.await_(10)).state == "succeeded"
        await client.aclose()

    def test_autoflush_pushes_while_it_runs_and_nothing_is_called_before_its_end(
        self, client, db, ok, work, calls, heard
    ) -> None:
        with Batch(autoflush=2, **calls) as batch:
            ok.enqueue_many((n,) for n in range(5))
            assert db.llen("queue:default") == 5
            ok.enqueue(5)
            assert work() == 5
            assert (events(heard), batch.status().state) == ([], "open")
        assert work() == 3
        assert events(heard) == ["complete", "success"]

    def test_a_flush_into_a_cancelled_batch_says_so(self, client, db, ok) -> None:
        def add() -> None:
            with Batch(autoflush=1) as batch:
                ok.enqueue(1)
                batch.cancel()
                ok.enqueue(2)

        with pytest.raises(BatchClosed, match="was cancelled"):
            add()
        assert db.llen("queue:default") == 1

    def test_an_empty_batch_calls_back(self, client, work, calls, heard) -> None:
        with Batch(**calls, options={"file": 12}) as batch:
            pass
        work()
        assert [(event, status.bid, options) for event, status, options in heard] == [
            ("complete", batch.bid, {"file": 12}),
            ("success", batch.bid, {"file": 12}),
        ]

    def test_it_is_for_one_block(self, client, ok) -> None:
        batch = Batch()
        with batch:
            pass
        with pytest.raises(BadCall, match="a batch is for one `with`"), batch:
            pass

    def test_what_outlives_the_block_is_refused(self, client, db, ok) -> None:
        async def late() -> None:
            over = asyncio.Event()
            async with Batch():
                task = asyncio.create_task(later(over))
            over.set()
            await task

        async def later(over: asyncio.Event) -> None:
            await over.wait()
            await ok.aenqueue(1)

        with pytest.raises(BadCall, match="its block is over"):
            asyncio.run(late())
        assert db.llen("queue:default") == 0

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"autoflush": 0}, "autoflush"),
            ({"tags": "night"}, "tags"),
            ({"options": {1}}, "options"),
            ({"on_success": print}, "on_success"),
            ({"expires_in": -1}, "expires_in"),
            ({"linger": "x"}, "linger"),
            ({"description": 1}, "described"),
        ],
    )
    def test_what_cannot_be_is_told_at_once(self, client, options, said) -> None:
        with pytest.raises(BadOption, match=said):
            Batch(**options)

    def test_a_callback_that_takes_no_status_and_options_is_told_at_once(self, client, job) -> None:
        with pytest.raises(BadCall, match=r"on_death of a batch gets the batch's status and its options"):
            Batch(on_death=job(lambda: None, name="none"))

    def test_another_client_in_the_block_is_refused(self, client, redis_url, ok) -> None:
        with pytest.raises(BadCall, match="through another client"), Batch():
            ok.using(client=Client(redis_url, namespace="x")).enqueue(1)

    def test_a_second_of_a_unique_job_does_not_join(self, client, db, job, work, calls, heard) -> None:
        once = job(lambda n: None, name="once", unique_for=600)
        with Batch(**calls) as batch:
            for _ in range(3):
                once.enqueue(1)
        assert (batch.status().total, db.llen("queue:default")) == (1, 1)
        with Batch() as other:
            once.enqueue(1)
        assert other.status().state == "succeeded"
        work()
        assert events(heard) == ["complete", "success"]

    def test_the_ids_of_a_payload_from_outside_join_too(self, client, db, work, ok) -> None:
        with Batch() as batch:
            client.push({"class": "ok", "args": []})
            client.push_many([{"class": "ok", "args": [n]} for n in range(3)])
        assert batch.status().total == 4
        work()
        assert batch.status().state == "succeeded"


class TestEndings:
    def test_success_when_all_have_succeeded_after_retries_by_hand_too(
        self, client, db, ok, moody, work, retry_now, calls, heard
    ) -> None:
        moody["error"] = ValueError()
        with Batch(**calls) as batch:
            ok.enqueue(1)
            dies = moody["mortal"].enqueue()
        work()
        assert events(heard) == ["death", "complete"]
        status = batch.status()
        assert (status.dead, status.failed, status.pending, status.state) == ((dies,), 1, 1, "complete")
        assert retry_now("dead") == 1
        work()
        assert events(heard) == ["death", "complete"]
        moody["error"] = None
        assert retry_now("dead") == 1
        work()
        assert events(heard) == ["death", "complete", "success"]
        status = batch.status()
        assert (status.dead, status.failed, status.pending, status.state) == ((), 0, 0, "succeeded")

    def test_complete_when_each_has_run_once(self, client, ok, moody, work, retry_now, calls, heard) -> None:
        moody["error"] = ValueError()
        with Batch(**calls) as batch:
            moody["job"].enqueue(1)
            ok.enqueue(1)
        work(1)
        assert (events(heard), batch.status().failed, batch.status().unrun) == ([], 1, 1)
        work()
        assert events(heard) == ["complete"]
        moody["error"] = None
        retry_now()
        work()
        assert events(heard) == ["complete", "success"]

    @pytest.mark.parametrize(
        "end", ["discard", "delete a retry", "delete the dead", "delete waiting", "cancel", "expire"]
    )
    def test_a_job_that_ends_otherwise_does_not_stick_it(self, client, ok, moody, work, calls, heard, end) -> None:
        with Batch(**calls) as batch:
            ok.enqueue(1)
            kind = moody["mortal"] if end == "delete the dead" else moody["job"]
            jid = (kind.using(expires_in=0) if end == "expire" else kind).enqueue(2)
        moody["error"] = Discard() if end == "discard" else ValueError()
        if end == "delete waiting":
            queue = Queue()
            assert queue.delete(queue.find(jid))
        if end == "cancel":
            client.cancel(jid)
        work()
        for entries in (RetrySet(), DeadSet()):
            entries.delete_all()
        work()
        assert events(heard)[-2:] == ["complete", "success"]
        assert set(events(heard)[:-2]) == ({"death"} if end == "delete the dead" else set())
        assert (batch.status().discarded, batch.status().pending) == (1, 0)

    def test_a_job_that_is_dropped_when_it_is_used_up_is_a_death(self, client, job, work, calls, heard) -> None:
        def fail() -> None:
            raise ValueError

        gone = job(fail, max_retries=0, on_exhausted="discard")
        with Batch(**calls) as batch:
            gone.enqueue()
        work()
        assert events(heard) == ["death", "complete"]
        assert heard[0][1].lost == 1
        status = batch.status()
        assert (status.state, status.pending, status.lost, status.dead) == ("failed", 0, 1, ())
        assert batch.wait(0).state == "failed"

    def test_one_with_a_lost_job_in_it_ends_and_does_not_succeed_and_neither_do_those_around_it(
        self, client, ok, job, work, calls, heard
    ) -> None:
        def fail() -> None:
            raise ValueError

        gone = job(fail, max_retries=0, on_exhausted="discard")
        with Batch(**calls) as outer:
            ok.enqueue()
            with Batch(on_success=calls["on_success"]) as inner:
                ok.enqueue()
                gone.enqueue()
        work()
        assert events(heard) == ["death", "complete"]
        assert (inner.status().state, inner.status().lost) == ("failed", 1)
        assert (outer.status().state, outer.status().lost) == ("failed", 0)

    def test_a_lost_job_is_counted_once_however_often_its_end_is_told(self, client, db, ok, calls) -> None:
        with Batch() as batch:
            ok.enqueue(1)
            ok.enqueue(2)
        payload = payloads(db)[0]
        ended = Ended(payload, Event.DIED, 1.8e9, is_kept=False)
        for _ in range(2):
            client.link.run(BatchStore(client.store.keys).take(endings(ended)))
        assert (batch.status().lost, batch.status().pending, batch.status().state) == (1, 1, "running")

    def test_a_kill_by_a_person_is_a_death(self, client, moody, work, calls, heard) -> None:
        moody["error"] = ValueError()
        with Batch(**calls):
            moody["job"].enqueue()
        work()
        RetrySet().kill_all()
        work()
        assert events(heard) == ["complete", "death"]

    def test_death_is_called_for_the_first_only(self, client, moody, work, calls, heard) -> None:
        moody["error"] = ValueError()
        with Batch(**calls) as batch:
            for n in range(3):
                moody["mortal"].enqueue(n)
        work()
        assert sorted(events(heard)) == ["complete", "death"]
        assert len(batch.status().dead) == 3

    def test_what_is_delivered_again_counts_once(self, client, db, ok, work, calls, heard) -> None:
        with Batch(**calls) as batch:
            ok.enqueue(1)
            ok.enqueue(2)
        copies = db.lrange("queue:default", 0, -1)
        db.lpush("queue:default", *copies, *copies)
        work(1)
        db.lpush("queue:default", *copies)
        work()
        assert events(heard) == ["complete", "success"]
        assert (batch.status().total, batch.status().pending) == (2, 0)

    def test_a_callback_is_retried_like_any_job(self, client, job, ok, work, retry_now) -> None:
        tries: list[BatchStatus] = []

        def done(status: BatchStatus, options: dict[str, Any]) -> None:
            tries.append(status)
            if len(tries) == 1:
                raise ValueError

        with Batch("x", on_success=job(done).using(queue="default")) as batch:
            ok.enqueue(1)
        work()
        assert retry_now() == 1
        work()
        assert [(one.bid, one.total, one.description) for one in tries] == [(batch.bid, 1, "x")] * 2

    def test_a_callback_that_outlives_its_batch_gets_an_unknown_status(
        self, client, db, ok, work, calls, heard
    ) -> None:
        with Batch(on_success=calls["on_success"]) as batch:
            ok.enqueue(1)
        work(1)
        db.delete(*(key for key in db.scan_iter() if batch.bid.encode() in key))
        work()
        assert (heard[0][1].bid, heard[0][1].state) == (batch.bid, "unknown")

    def test_those_of_a_queue_that_is_cleared_have_left(self, job, work, calls, heard) -> None:
        one = job(lambda n: None, name="one")
        with Batch(**calls) as batch:
            one.enqueue_many([(n,) for n in range(250)])
        assert Queue("default").clear() == 250
        work()
        assert (events(heard), batch.status().discarded) == (["complete", "success"], 250)

    def test_the_locks_of_what_is_staged_are_nobody_s_to_give_back(self, client, job) -> None:
        one = job(lambda n: None, name="one", unique_for=600)
        with Batch():
            one.enqueue_many([(n,) for n in range(1_001)])
            assert (Locks().size(), Locks().release_lost()) == (1_000, [])
        assert (Locks().size(), Locks().release_lost()) == (1_001, [])

    def test_one_that_a_limit_holds_back_is_waited_for(self, client, db, job, work, calls, heard) -> None:
        held = job(lambda n: None, name="held", limit=Window(1, per=600))
        with Batch(**calls) as batch:
            held.enqueue(1)
            held.enqueue(2)
        work()
        assert (events(heard), batch.status().unrun, db.zcard("schedule")) == ([], 1, 1)
        ScheduledSet().retry_all()
        db.delete(*db.scan_iter("sidelamb:limit:*"))
        work()
        assert events(heard) == ["complete", "success"]

    def test_results_are_kept_if_asked_for(self, client, job, work) -> None:
        double = job(lambda n: 2 * n, name="double")
        with Batch(results=True) as batch:
            first, second = double.enqueue(1), double.enqueue(2)
        work()
        assert batch.results() == {first: 2, second: 4}


class TestAddingAndNesting:
    def test_jobs_add_jobs_to_their_own_batch(self, client, job, ok, work, calls, heard) -> None:
        def fan(n: int) -> None:
            with current_batch():
                ok.enqueue_many((n,) for n in range(n))

        with Batch(**calls) as batch:
            job(fan).enqueue(3)
        work(1)
        assert (batch.status().total, batch.status().pending, events(heard)) == (4, 3, [])
        work()
        assert events(heard) == ["complete", "success"]

    def test_parents_wait_for_children_and_their_callbacks(
        self, client, ok, moody, job, work, retry_now, calls, heard
    ) -> None:
        def child_done(status: Any, options: Any) -> None:
            heard.append(("child", status, options))
            if moody["error"]:
                raise moody["error"]

        moody["error"] = ValueError()
        with Batch("parent", **calls) as parent:
            ok.enqueue(1)
            with Batch("child", on_success=job(child_done)) as child:
                ok.enqueue(2)
        work()
        assert events(heard) == ["child", "complete"]
        status = parent.status()
        assert (status.total, status.pending, [one.bid for one in status.children]) == (1, 0, [child.bid])
        assert status.state == "complete"
        moody["error"] = None
        retry_now()
        work()
        assert events(heard) == ["child", "complete", "child", "success"]

    def test_a_job_makes_a_child_of_its_own_batch(self, client, job, ok, work, calls, heard) -> None:
        def split() -> None:
            with current_batch(), Batch("child"):
                ok.enqueue(1)

        with Batch(**calls) as parent:
            job(split).enqueue()
        work(1)
        assert events(heard) == []
        (child,) = parent.status().children
        assert (child.parent, child.total) == (parent.bid, 1)
        work()
        assert events(heard) == ["complete", "success"]

    def test_the_death_of_a_job_is_the_death_of_all_levels(self, client, moody, work, calls, heard) -> None:
        moody["error"] = ValueError()
        with Batch(**calls) as parent, Batch(on_death=calls["on_death"]) as child:
            moody["mortal"].enqueue()
        work()
        deaths = [status.bid for event, status, _ in heard if event == "death"]
        assert sorted(deaths) == sorted([parent.bid, child.bid])

    def test_an_inner_block_that_failed_is_left_out(self, client, db, ok) -> None:
        with Batch() as outer:
            ok.enqueue(1)
            with suppress(ZeroDivisionError), Batch(), Batch():
                ok.enqueue(2)
                raise ZeroDivisionError
            with Batch() as other:
                ok.enqueue(3)
        assert [one["args"] for one in payloads(db)] == [[1], [3]]
        assert [one.bid for one in outer.status().children] == [other.bid]

    def test_a_job_outside_of_the_block_does_not_join(self, client, job, ok, work, db) -> None:
        with Batch() as batch:
            job(lambda: str(ok.enqueue(1)), name="plain").enqueue()
        work(1)
        assert "bid" not in payloads(db)[0]
        assert batch.status().state == "succeeded"

    def test_a_batch_that_is_over_takes_no_jobs(self, client, ok, work, db) -> None:
        with Batch() as batch:
            ok.enqueue(1)
        work()
        with pytest.raises(BatchClosed, match="is over"), Batch.of(batch.bid):
            ok.enqueue(2)
        with pytest.raises(BatchGone), Batch.of("none"):
            ok.enqueue(2)
        assert db.llen("queue:default") == 0

    def test_a_batch_is_found_by_its_id(self, client, ok, work, calls, heard) -> None:
        with Batch(**calls) as batch:
            ok.enqueue(1)
        with Batch.of(batch.bid) as same:
            ok.enqueue(2)
        assert same.status().total == 2
        work()
        assert events(heard) == ["complete", "success"]

    def test_too_many_levels_are_refused(self, client, db, ok) -> None:
        def deeper(n: int) -> None:
            with Batch():
                deeper(n + 1)

        with pytest.raises(BadCall, match="9 levels deep; the limit is 8"):
            deeper(1)
        assert db.keys() == []
