"""Workflows: chains, groups, and a step with all results of a group."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from sidelamb import BadCall, BadOption, Batch, Discard, WorkflowStopped, chain, group
from sidelamb.api import DeadSet
from tests.batches.conftest import payloads


@pytest.fixture
def ran(job: Any) -> list[Any]:
    return []


@pytest.fixture
def steps(job: Any, ran: list[Any]) -> dict[str, Any]:
    """Jobs of arithmetic, and one that fails while it is told to."""
    mood: dict[str, Any] = {"error": None}

    def note(name: str, value: Any) -> Any:
        ran.append(name)
        return value

    def moody(n: int) -> int:
        ran.append("moody")
        if mood["error"]:
            raise mood["error"]
        return n + 100

    return {
        "mood": mood,
        "one": job(lambda n: note("one", n), name="one"),
        "add": job(lambda n, m=1: note("add", n + m), name="add"),
        "total": job(lambda ns: note("total", sum(n or 0 for n in ns)), name="total"),
        "ping": job(lambda: note("ping", None), name="ping"),
        "moody": job(moody, max_retries=0),
    }


class TestChains:
    def test_each_step_gets_the_result_of_the_one_before(self, client, steps, work, ran, calls, heard) -> None:
        one, add = steps["one"], steps["add"]
        run = chain(one.s(1), add.s(), add.s(10)).enqueue(**calls)
        assert (run.status().total, run.status().pending) == (3, 3)
        assert work(1) == 1
        assert (run.status().pending, heard) == (2, [])
        work()
        assert run.result(0) == 12
        assert ran == ["one", "add", "add"]
        assert [event for event, *_ in heard] == ["complete", "success"]
        assert run.status().state == "succeeded"

    def test_a_step_that_takes_none_gets_none(self, client, steps, work, ran) -> None:
        run = chain(steps["one"].s(1), steps["ping"].s(), steps["one"].si(7)).enqueue()
        work()
        assert (run.result(0), ran) == (7, ["one", "ping", "one"])

    def test_a_failure_stops_it_and_a_retry_by_hand_goes_on(
        self, client, steps, work, ran, retry_now, calls, heard
    ) -> None:
        steps["mood"]["error"] = ValueError("no")
        run = chain(steps["one"].s(1), steps["moody"].s(), steps["add"].s(), steps["add"].s()).enqueue(**calls)
        work()
        assert ran == ["one", "moody"]
        assert [event for event, *_ in heard] == ["death", "complete"]
        assert run.wait(0).pending == 3
        with pytest.raises(WorkflowStopped, match=r"dead are: .*goes on from there"):
            run.result(0)
        steps["mood"]["error"] = None
        assert retry_now("dead") == 1
        work()
        assert ran == ["one", "moody", "moody", "add", "add"]
        assert run.result(0) == 103
        assert [event for event, *_ in heard] == ["death", "complete", "success"]

    @pytest.mark.parametrize("end", ["discard", "delete"])
    def test_a_step_that_is_discarded_or_deleted_ends_it(self, client, steps, work, ran, end) -> None:
        steps["mood"]["error"] = Discard() if end == "discard" else ValueError()
        run = chain(steps["moody"].s(1), steps["add"].s(), steps["add"].s()).enqueue()
        work()
        DeadSet().delete_all()
        status = run.wait(0)
        assert (ran, status.pending, status.discarded) == (["moody"], 0, 3)

    def test_a_result_that_cannot_be_handed_on_is_a_failure_of_its_step(
        self, client, db, job, steps, work
    ) -> None:
        odd = job(lambda: {object()}, name="odd", max_retries=0)
        run = chain(odd.s(), steps["one"].s()).enqueue()
        work()
        assert len(run.status().dead) == 1
        assert b"its result cannot be handed on" in db.zrange("dead", 0, -1)[0]

    def test_typed_arguments_are_carried(self, client, job, work) -> None:
        seen: list[Any] = []

        def later(when: dt.datetime, by: dt.timedelta) -> dt.datetime:
            seen.append(when + by)
            return when + by

        later_job = job(later)
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        chain(later_job.s(start, dt.timedelta(1)), later_job.s(dt.timedelta(2))).enqueue()
        work()
        assert seen == [start + dt.timedelta(1), start + dt.timedelta(3)]

    def test_encrypted_arguments_stay_so(self, client, db, job, work, monkeypatch) -> None:
        pytest.importorskip("cryptography")
        monkeypatch.setenv("SIDELAMB_KEYS", "k1:" + "A" * 43 + "=")
        seen: list[Any] = []
        secret = job(lambda n, word: (seen.append((n, word)), n)[1], name="secret", encrypt=True)
        chain(secret.s(1, "tiger"), secret.s("lion")).enqueue()
        assert b"tiger" not in db.lindex("queue:default", 0)
        assert b"lion" not in db.lindex("queue:default", 0)
        work()
        assert seen == [(1, "tiger"), (1, "lion")]

    def test_what_cannot_be_called_is_told_where_it_stands(self, client, job, steps) -> None:
        with pytest.raises(BadCall, match=r"one\("):
            chain(steps["one"].s())
        with pytest.raises(BadCall, match=r"add\("):
            chain(steps["one"].s(1), steps["add"].s(1, 2, 3))
        with pytest.raises(BadCall, match="no steps"):
            chain()
        with pytest.raises(BadCall, match="takes steps"):
            chain(steps["one"])
        with pytest.raises(BadOption, match="only the first step"):
            chain(steps["one"].s(1), job(lambda n: n, name="u", unique_for=60).s())

    async def test_async_code(self, client, db, steps) -> None:
        await chain(steps["one"].s(1), steps["add"].s()).aenqueue()
        assert len(payloads(db)) == 1
        await client.aclose()

    def test_an_error_in_an_outer_block_pushes_nothing_of_it(self, client, db, steps) -> None:
        def fail() -> None:
            with Batch():
                chain(steps["one"].s(1), steps["add"].s()).enqueue()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert db.keys() == []


class TestGroups:
    def test_side_by_side_with_all_results_in_order(self, client, steps, work) -> None:
        run = group(steps["one"].s(n) for n in range(30)).enqueue()
        work()
        assert run.result(0) == list(range(30))

    def test_map_reduce(self, client, steps, work, ran, calls, heard) -> None:
        run = chain(group(steps["one"].s(n) for n in range(5)), steps["total"].s()).enqueue(**calls)
        work(5)
        assert heard == []
        work()
        assert (run.result(0), ran[-1]) == (10, "total")
        assert [event for event, *_ in heard] == ["complete", "success"]

    def test_of_none(self, client, steps, work) -> None:
        run = chain(group([]), steps["total"].s()).enqueue()
        work()
        assert run.result(0) == 0

    def test_in_the_middle_of_a_chain_each_gets_the_result(self, client, steps, work) -> None:
        add = steps["add"]
        run = chain(steps["one"].s(1), group(add.s(10), add.s(20)), steps["total"].s(), add.s()).enqueue()
        work()
        assert run.result(0) == 11 + 21 + 1

    def test_one_after_the_other(self, client, steps, work) -> None:
        one, total = steps["one"], steps["total"]
        run = chain(group(one.s(1), one.s(2)), group(total.s(), total.s()), total.s()).enqueue()
        work()
        assert run.result(0) == 6

    def test_chains_in_a_group(self, client, steps, work) -> None:
        one, add, total = steps["one"], steps["add"], steps["total"]
        run = chain(
            group(chain(one.s(1), add.s()), chain(one.s(5), group(add.s(), add.s(2)), total.s())), total.s()
        ).enqueue()
        work()
        assert run.result(0) == 2 + (6 + 7)

    def test_a_dead_one_stops_it_and_a_retry_by_hand_goes_on(
        self, client, steps, work, ran, retry_now, calls, heard
    ) -> None:
        steps["mood"]["error"] = ValueError()
        run = chain(group(steps["moody"].s(1), steps["one"].s(2)), steps["total"].s()).enqueue(**calls)
        work()
        assert ran == ["moody", "one"]
        assert [event for event, *_ in heard] == ["death", "complete"]
        assert run.wait(0).state == "complete"
        steps["mood"]["error"] = None
        retry_now("dead")
        work()
        assert run.result(0) == 103
        assert [event for event, *_ in heard] == ["death", "complete", "success"]

    def test_it_is_not_complete_while_a_member_waits_for_its_retry(
        self, client, job, steps, work, retry_now, calls, heard
    ) -> None:
        steps["mood"]["error"] = ValueError()
        moody = steps["moody"].using(max_retries=3)
        chain(group(moody.s(1)), steps["total"].s()).enqueue(**calls)
        work()
        assert heard == []
        steps["mood"]["error"] = None
        retry_now()
        work()
        assert [event for event, *_ in heard] == ["complete", "success"]

    def test_a_discarded_one_is_none_in_the_results(self, client, steps, work) -> None:
        steps["mood"]["error"] = Discard()
        run = chain(group(steps["moody"].s(1), steps["one"].s(2)), steps["total"].s()).enqueue()
        work()
        assert run.result(0) == 2

    def test_a_middle_group_is_made_once_however_often_its_job_runs(self, client, db, steps, work) -> None:
        chain(steps["one"].s(1), group(steps["add"].s(), steps["add"].s())).enqueue()
        work(1)
        (start,) = db.lrange("queue:default", 0, -1)
        db.lpush("queue:default", start)
        work(2)
        assert len(payloads(db)) == 2

    def test_results_that_have_expired_are_said_so(self, client, db, steps, work) -> None:
        run = chain(group(steps["one"].s(1)), steps["total"].using(max_retries=0).s()).enqueue()
        work(1)
        (child,) = run.status().children
        db.delete(*db.keys(f"*{child.bid}*"))
        work()
        assert b"have expired" in db.zrange("dead", 0, -1)[0]

    def test_a_group_in_a_group_is_told(self, steps) -> None:
        with pytest.raises(BadCall, match="a group in a group"):
            group(group(steps["one"].s(1)))
