"""Batches looked at, waited for, cancelled, and gone by themselves; and batches without Redis."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sidelamb import Batch, Batches, BatchGone, Client, NotFinished, chain, current_batch, current_job, group, job
from sidelamb.errors import BadCall, SidelambError
from sidelamb.testing import fake, inline


@pytest.fixture
def ok(job: Any) -> Any:
    return job(lambda *args: None, name="ok")


class TestWaiting:
    def test_it_ends_when_all_have_run(self, client, ok, work, capsys) -> None:
        with Batch("import") as batch:
            ok.enqueue_many((n,) for n in range(4))
            with Batch():
                ok.enqueue(1)
        work(2)
        with pytest.raises(NotFinished, match=r"\(. of 4 pending\) has not ended in 0.01 s"):
            batch.wait(0.01)
        runner = threading.Timer(0.05, work)
        runner.start()
        assert batch.wait(10, progress=True).state == "succeeded"
        runner.join()
        said = capsys.readouterr().err
        assert "\rimport [" in said
        assert said.endswith("5/5\n")

    def test_it_waits_for_no_person(self, client, job, work) -> None:
        def fail() -> None:
            raise ValueError

        with Batch() as batch:
            job(fail, max_retries=0).enqueue()
        work()
        assert batch.wait(0).state == "complete"


class TestCancelling:
    def test_what_has_not_run_is_dropped_also_in_the_batches_in_it(
        self, client, db, ok, work, calls, heard
    ) -> None:
        with Batch(**calls) as batch:
            ok.enqueue_many((n,) for n in range(3))
            with Batch(on_success=calls["on_success"]) as child:
                ok.enqueue(9)
        work(1)
        batch.cancel()
        batch.cancel()
        work()
        status = batch.status()
        assert (status.state, status.pending, status.discarded) == ("cancelled", 0, 2)
        assert [event for event, *_ in heard] == ["complete"]
        assert child.status().discarded == 1
        assert db.exists("sidelamb:cancelled") == 0

    def test_a_running_job_sees_it(self, client, job, work) -> None:
        seen: list[bool] = []

        def run() -> None:
            Batch.of(current_batch().bid).cancel()
            seen.append(current_job().cancelled)

        with Batch():
            job(run).enqueue()
        work()
        assert seen == [True]

    def test_one_that_only_has_dead_is_over_and_its_parent_goes_on(self, client, job, work, calls, heard) -> None:
        def fail() -> None:
            raise ValueError

        with Batch(on_success=calls["on_success"]) as parent, Batch() as child:
            job(fail, max_retries=0).enqueue()
        work()
        assert parent.status().state == "complete"
        Batch.of(child.bid).cancel()
        work()
        assert parent.status().state == "succeeded"
        assert [event for event, *_ in heard] == ["success"]

    def test_a_chain_that_is_cancelled_runs_no_further(self, client, job, work) -> None:
        ran: list[int] = []
        note = job(lambda n: ran.append(n) or n, name="note")
        run = chain(note.s(1), note.s(), note.s()).enqueue()
        work(1)
        run.cancel()
        work()
        assert ran == [1]
        assert (run.status().pending, run.status().state) == (0, "cancelled")


class TestGoing:
    def test_nothing_is_left_after_its_time(self, client, db, ok, work) -> None:
        with Batch(linger=1, results=True) as batch:
            ok.enqueue(1)
            with Batch():
                ok.enqueue(1)
        work()
        assert 0 < db.pttl(f"sidelamb:batch:{batch.bid}") <= 1_000
        assert [key for key in db.scan_iter() if b":batch:" in key and db.pttl(key) < 0] == []

    def test_one_that_is_never_through_goes_too(self, client, db, ok) -> None:
        with Batch(expires_in=1) as batch:
            ok.enqueue(1)
            with Batch(expires_in=3_600):
                ok.enqueue(1)
        assert 0 < db.pttl(f"sidelamb:batch:{batch.bid}") <= 1_000
        db.delete(f"sidelamb:batch:{batch.bid}")
        with pytest.raises(BatchGone):
            batch.status()

    def test_a_job_of_one_that_is_gone_runs_and_settles(self, client, db, ok, work, calls, heard) -> None:
        with Batch(**calls):
            ok.enqueue(1)
        db.delete(*(key for key in db.scan_iter("*batch:*")))
        assert work() == 1
        assert (heard, db.keys("*batch*"), db.zcard("retry")) == ([], [b"sidelamb:batches"], 0)

    def test_what_an_open_block_has_staged_goes_by_itself(self, client, db, ok) -> None:
        with Batch():
            ok.enqueue_many((n,) for n in range(1_000))
            ok.enqueue_many((n,) for n in range(1_000))
            staged = db.keys("*staged*")
            assert staged
            assert all(0 < db.ttl(key) <= 86_400 for key in staged)

    def test_what_was_staged_and_has_expired_is_said_so(self, client, db, ok) -> None:
        def lose() -> None:
            with Batch():
                ok.enqueue_many((n,) for n in range(1_500))
                db.delete(*db.keys("*staged*"))

        with pytest.raises(SidelambError, match="what was staged of it has expired"):
            lose()
        assert db.exists("queue:default") == 0

    def test_many_thousand_jobs(self, client, db, ok) -> None:
        with Batch() as batch:
            assert ok.enqueue_many((n,) for n in range(20_000)) == 20_000
        assert batch.status().pending == db.llen("queue:default") == 20_000


class TestListing:
    def test_those_that_are_not_over_first_page_by_page(self, client, ok, work) -> None:
        made = []
        for n in range(4):
            with Batch(f"b{n}", expires_in=1_000_000 + n) as batch:
                if n != 2:
                    ok.enqueue(n)
            made.append(batch)
        batches = Batches()
        assert batches.size() == 4
        assert [one.description for one in batches.page(0, 3)] == ["b3", "b1", "b0"]
        assert [(one.description, one.state) for one in batches.page(1, 3)] == [("b2", "succeeded")]
        assert batches.find(made[0].bid).as_dict()["state"] == "running"

    def test_it_forgets_those_that_have_expired(self, client, db, ok) -> None:
        with Batch("old"):
            pass
        db.zadd("sidelamb:batches", {db.zrange("sidelamb:batches", 0, 0)[0]: 1})
        with Batch("new"):
            pass
        assert [one.description for one in Batches().page()] == ["new"]


class TestWithinOthers:
    def test_a_job_of_a_block_waits_for_no_transaction(self, client, db, ok) -> None:
        orm = pytest.importorskip("sqlalchemy.orm")
        with Batch(), pytest.raises(BadCall, match="in the block of a batch cannot wait for a transaction"):
            ok.using(on_commit=orm.Session()).enqueue(1)
        assert db.llen("queue:default") == 0

    def test_a_namespace_with_a_hash_tag(self, redis_url, link, db, ok, calls) -> None:
        other = Client(redis_url, namespace="{app}")
        with Batch(client=other, on_success=calls["on_success"].using(client=other)) as batch:
            ok.using(client=other).enqueue_many((n,) for n in range(1_001))
        assert batch.status().total == 1_001
        assert all(key.startswith(b"{app}:") for key in db.scan_iter())
        other.close()


class TestWithoutRedis:
    def test_fake_records_the_jobs(self, job) -> None:
        load = job(lambda n: None, name="load")
        with fake() as jobs:
            with Batch("x") as batch:
                load.enqueue(1)
            chain(load.s(1), load.si(2)).enqueue()
            group(load.s(n) for n in range(2)).enqueue()
        jobs.assert_enqueued(load, 1, times=3)
        assert jobs[0].payload["bid"] == batch.bid

    def test_inline_calls_back_and_goes_through_chains(self) -> None:
        heard: list[Any] = []
        with inline():
            with Batch(on_success=told, on_complete=told, options={"heard": 1}):
                noted.enqueue(1)
                noted.enqueue(2)
            chain(noted.s(5), noted.s()).enqueue()
        heard += SEEN
        SEEN.clear()
        assert heard == [1, 2, ("told", 2, {"heard": 1}), ("told", 2, {"heard": 1}), 5, 6]


SEEN: list[Any] = []


@job(name="tests.batches.noted")
def noted(n: int) -> int:
    SEEN.append(n)
    return n + 1


@job(name="tests.batches.told")
def told(status: Any, options: dict[str, Any]) -> None:
    SEEN.append(("told", status.total, options))
