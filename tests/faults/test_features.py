"""What the fires demand of batches, chains, unique jobs, limits and periodic jobs can fail."""

from __future__ import annotations

import pytest

from tests.faults.features import Batched, Features, features_verdict
from tests.faults.verdict import Run


def ran(
    start: float, end: float | None, *, failed: bool = False, gone: float = 0.0, acknowledged: bool = True
) -> Run:
    over = gone if end is None else end
    return Run(start, end, failed, 1, over, 1e9, acknowledged)


class TestBatches:
    def wrong(self, batch: Batched, runs=None, places=None) -> list[str]:
        return features_verdict(Features(batches={"b": batch}), runs or {}, places or {})

    def well(self) -> dict[str, list[Run]]:
        return {"x": [ran(1, 2)], "y": [ran(1, 3)], "b-complete": [ran(4, 5)], "b-success": [ran(6, 7)]}

    def test_one_whose_jobs_are_through_has_told_so_once(self):
        assert self.wrong(Batched(("x", "y")), self.well()) == []

    def test_one_that_redis_does_not_know_is_lost(self):
        assert "is lost" in self.wrong(Batched(("x",), is_known=False))[0]

    def test_one_that_waits_for_a_job_that_is_nowhere_is_stuck(self):
        assert "stuck: it waits for y" in self.wrong(Batched(("x", "y"), pending=frozenset("y")), self.well())[0]

    def test_one_whose_job_is_still_to_run_may_wait(self):
        assert (
            self.wrong(Batched(("x",), pending=frozenset("x")), {"x": [ran(1, 2, failed=True)]}, {"x": ["retry"]})
            == []
        )

    def test_one_with_a_dead_job_tells_of_a_death_and_of_no_success(self):
        runs = {"x": [ran(1, 2, failed=True)], "b-complete": [ran(4, 5)], "b-death": [ran(4, 5)]}
        dead = Batched(("x",), pending=frozenset("x"), dead=frozenset("x"))
        assert self.wrong(dead, runs, {"x": ["dead"]}) == []
        assert (
            "success that it did not have"
            in self.wrong(dead, runs | {"b-success": [ran(6, 7)]}, {"x": ["dead"]})[0]
        )
        assert "says that" in self.wrong(Batched(("x",), pending=frozenset("x")), runs, {"x": ["dead"]})[0]

    @pytest.mark.parametrize("event", ["complete", "success"])
    def test_an_event_that_nobody_was_told_of_is_found(self, event):
        runs = self.well()
        del runs[f"b-{event}"]
        assert f"never told of its {event}" in self.wrong(Batched(("x", "y")), runs)[0]

    def test_a_callback_that_comes_again_after_it_was_done_is_found(self):
        runs = self.well() | {"b-success": [ran(6, 7), ran(20, 21)]}
        assert "callback b-success was done" in self.wrong(Batched(("x", "y")), runs)[0]

    def test_or_waits_again(self):
        found = features_verdict(
            Features(chains={"c": Batched(("s",))}, steps=1), {"s": [ran(1, 2)]}, {"s": ["retry"]}
        )
        assert "step s was done, Redis had acknowledged it, and it is in retry" in found[0]

    def test_but_it_may_where_redis_had_acknowledged_nothing(self):
        runs = self.well() | {"b-success": [ran(6, 7, acknowledged=False), ran(20, 21)]}
        assert self.wrong(Batched(("x", "y")), runs) == []

    def test_a_success_before_the_last_job_has_succeeded_is_too_soon(self):
        runs = self.well() | {"y": [ran(1, 2, failed=True), ran(6.5, 8)]}
        assert "b-success was started before job y had succeeded" in self.wrong(Batched(("x", "y")), runs)[0]

    def test_and_a_completion_before_each_has_run(self):
        runs = self.well() | {"y": [ran(4.5, 5)]}
        assert "b-complete was started before job y had run" in self.wrong(Batched(("x", "y")), runs)[0]


class TestChains:
    def wrong(self, chain: Batched, runs=None, places=None) -> list[str]:
        return features_verdict(Features(chains={"c": chain}, steps=2), runs or {}, places or {})

    def test_one_whose_steps_came_one_after_the_other_is_well(self):
        assert self.wrong(Batched(("s", "t")), {"s": [ran(1, 2)], "t": [ran(3, 4)]}) == []

    def test_one_that_waits_for_a_step_that_is_nowhere_is_stuck(self):
        assert "stuck" in self.wrong(Batched((), pending=frozenset("t")))[0]

    @pytest.mark.parametrize("place", ["retry", "dead"])
    def test_not_so_one_whose_step_is_still_to_run_or_dead(self, place):
        dead = frozenset("t") if place == "dead" else frozenset()
        assert self.wrong(Batched((), pending=frozenset("t"), dead=dead), {}, {"t": [place]}) == []

    def test_a_step_before_the_one_before_it_has_succeeded_is_found(self):
        assert (
            "before s had succeeded" in self.wrong(Batched(("s", "t")), {"s": [ran(1, 2)], "t": [ran(1.5, 4)]})[0]
        )

    @pytest.mark.parametrize("trail", [("s",), ("s", "s"), ("s", "t", "u")])
    def test_a_result_that_has_not_come_through_each_step_once_is_found(self, trail):
        runs = {jid: [ran(n, n + 0.5)] for n, jid in enumerate(trail)}
        assert any("handed on" in one for one in self.wrong(Batched(trail), runs))

    def test_one_that_has_its_result_waits_for_nothing(self):
        runs = {"s": [ran(1, 2)], "t": [ran(3, 4)]}
        assert "and waits for t" in self.wrong(Batched(("s", "t"), pending=frozenset("t")), runs)[0]

    def test_one_that_redis_does_not_know_is_lost(self):
        assert "is lost" in self.wrong(Batched((), is_known=False))[0]


class TestUnique:
    def test_equal_jobs_live_one_after_the_other(self):
        f = Features(unique={1: ["a", "b", "never ran"]})
        assert features_verdict(f, {"a": [ran(1, 2), ran(3, 4)], "b": [ran(5, 6)]}, {}) == []

    def test_one_between_two_runs_of_its_equal_is_found(self):
        f = Features(unique={1: ["a", "b"]})
        found = features_verdict(f, {"a": [ran(1, 2, failed=True), ran(5, 6)], "b": [ran(3, 4)]}, {})
        assert "unique job b was started 3.00 s before" in found[0]

    def test_a_lock_of_a_job_that_is_gone_is_leaked(self):
        f = Features(locks={"single:1": "a", "single:2": "b", "single:3": "c"})
        found = features_verdict(f, {}, {"b": ["retry"], "c": ["dead"]})
        assert [one.split()[1] for one in found] == ["single:1", "single:3"]


class TestLimits:
    def at_once(self, **runs: Run) -> list[str]:
        return features_verdict(
            Features(limited=list(runs), most=1), {jid: [run] for jid, run in runs.items()}, {}
        )

    def test_one_after_the_other_is_one_at_once(self):
        assert self.at_once(a=ran(1, 2), b=ran(2, 3)) == []

    def test_more_at_once_than_the_limit_are_found(self):
        assert "2 jobs ran at once when job b" in self.at_once(a=ran(1, 2), b=ran(1.9, 3))[0]

    def test_one_that_was_cut_off_runs_until_its_process_was_seen_dead_or_a_little_before(self):
        assert self.at_once(a=ran(1, None, gone=4), b=ran(3.6, 5)) == []
        assert len(self.at_once(a=ran(1, None, gone=4), b=ran(3.0, 5))) == 1

    def test_more_passes_in_a_window_than_its_limit_are_found(self):
        assert features_verdict(Features(passes=[1, 2, 4, 5], window=(2, 3.0)), {}, {}) == []
        assert (
            "3 jobs passed a window in 2.00 s"
            in features_verdict(Features(passes=[1, 2, 3], window=(2, 3.0)), {}, {})[0]
        )


class TestTicks:
    def wrong(self, *ticks: float, next_tick: float = 20.0) -> list[str]:
        return features_verdict(Features(ticks=ticks, next_tick=next_tick, tick_s=5.0), {}, {})

    def test_each_once_is_well(self):
        assert self.wrong(15.0, 5.0, 10.0) == []

    def test_one_that_was_enqueued_twice_is_found(self):
        assert self.wrong(5.0, 10.0, 10.0, 15.0) == ["tick 10 was enqueued 2 times"]

    def test_missing_ones_are_found_also_at_the_end(self):
        assert self.wrong(5.0, 15.0) == ["tick 10 is missing"]
        assert self.wrong(5.0, 10.0) == ["tick 15 is missing"]

    def test_none_at_all_is_found(self):
        assert self.wrong(next_tick=0.0) == ["no tick has come"]
