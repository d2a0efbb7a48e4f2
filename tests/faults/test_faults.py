"""The short form of the fires: every kind of fault once, and the promise holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.fire import APP, CARELESS, MUTANTS, fire
from tests.faults.nemesis import KINDS, plan
from tests.faults.verdict import Run, runs_of, verdict


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
def test_under_every_fault_no_job_is_lost_or_runs_beside_itself(tmp_path, capsys):
    result = fire(tmp_path / "fire", 1, jobs=1_500, faults=len(KINDS))
    with capsys.disabled():
        print(
            f"\nseed 1: {result.jobs:,} jobs, {result.finished:,} finished, {result.ran_twice} ran twice, "
            f"{result.uncertain} enqueues uncertain, jobs flowed {result.flows_s:.1f} s after each fault "
            f"at the latest, all was at rest {result.rest_s:.1f} s after the last"
        )
    assert result.wrong == []
    assert result.finished + result.elsewhere == result.jobs


def test_a_plan_has_every_fault_once_before_any_comes_twice_and_its_seed_tells_it():
    steps = plan(7, 30)
    assert steps == plan(7, 30) != plan(8, 30)
    assert {kind for kind, _ in steps[: len(KINDS)]} == set(KINDS)


SEEDS = (1, 2, 3)
"""A fault shows only if trouble meets it: as a rule in the first fire, by the third at the latest."""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_fires_find_a_fault_that_is_put_into_the_code(tmp_path, mutant):
    with_fault = {"jobs": 300, "faults": 3, "kinds": MUTANTS[mutant], "mutant": mutant, "rest_s": 5.0}
    assert any(fire(tmp_path / f"fire {seed}", seed, **with_fault).wrong for seed in SEEDS)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
def test_and_faults_in_batches_unique_jobs_limits_and_periodic_jobs(tmp_path):
    mix = {"quick": 40, "batch": 15, "unique": 15, "limited": 30}
    kinds = ["kill sandboxes"]
    result = fire(tmp_path / "fire", 1, jobs=100, faults=1, kinds=kinds, mix=mix, mutant=CARELESS, rest_s=7.0)
    found = "\n".join(result.wrong)
    for sentence in (
        "never told of its success",
        "had acknowledged it, and it",
        "is held by",
        "ran at once",
        "was enqueued 2 times",
    ):
        assert sentence in found


class TestVerdict:
    def run(self, start: float, end: float | None, *, failed=False, died=1e9, acknowledged=False) -> Run:
        return Run(start, end, failed, 1, died if end is None else end, died, acknowledged)

    def test_a_job_that_is_finished_or_in_one_place_is_well(self):
        runs = {"a": [self.run(1, 2)]}
        assert verdict(["a", "b"], runs, {"b": ["retry"]}, []) == []

    def test_a_job_that_is_nowhere_is_lost(self):
        assert "lost" in verdict(["a"], {}, {}, [])[0]

    def test_a_job_in_two_places_is_named_with_them(self):
        assert "retry, dead" in verdict(["a"], {}, {"a": ["retry", "dead"]}, [])[0]

    def test_a_job_that_was_settled_must_not_start_again(self):
        runs = {"a": [self.run(1, 2), self.run(9, 10)]}
        assert "started again" in verdict(["a"], runs, {}, [(20, 30)])[0]

    @pytest.mark.parametrize("window", [(2.5, 3.0), (1.0, 2.5)])
    def test_unless_a_fault_may_have_kept_it_from_being_settled(self, window):
        assert verdict(["a"], {"a": [self.run(1, 2), self.run(9, 10)]}, {}, [window]) == []

    def test_or_its_sandbox_died(self):
        assert verdict(["a"], {"a": [self.run(1, 2, died=2.1), self.run(9, 10)]}, {}, []) == []

    def test_but_not_if_redis_had_acknowledged_that_it_was_done(self):
        runs = {"a": [self.run(1, 2, acknowledged=True), self.run(9, 10)]}
        assert "started again" in verdict(["a"], runs, {}, [(1.5, 3.0)])[0]

    @pytest.mark.parametrize("gap", [0.1, 0.9])
    def test_even_then_no_sooner_than_its_lease_is_over(self, gap):
        runs = {"a": [self.run(1, 2), self.run(2 + gap, 10)]}
        assert "started again" in verdict(["a"], runs, {}, [(1.5, 3.0)])[0]

    def test_after_a_failure_it_may(self):
        assert verdict(["a"], {"a": [self.run(1, 2, failed=True), self.run(9, 10)]}, {}, []) == []

    def test_a_run_beside_itself_is_found(self):
        runs = {"a": [self.run(1, None, died=9), self.run(5, 6)]}
        assert "before its run in process 1 was over" in verdict(["a"], runs, {}, [(0, 10)])[0]

    def test_a_run_without_an_end_lasts_until_its_process_is_dead(self):
        runs = runs_of(
            [
                ("a", "S", 1.0, 7, "l 0"),
                ("a", "S", 4.0, 8, "k 0"),
                ("a", "E", 5.0, 8, "k 0"),
                ("", "A", 5.1, 8, "k 0"),
            ],
            {7: 3.0},
            100.0,
        )
        assert [(r.end, r.gone, r.acknowledged) for r in runs["a"]] == [(None, 3.0, False), (5.0, 5.0, True)]

    def test_a_run_that_was_told_to_stop_while_it_noted_its_end_has_not_ended_well(self):
        code = (
            "import contextlib, fault_jobs\n"
            "from sidelamb.control import JobTimeout\n"
            "marks = []\n"
            "def note(mark):\n"
            "    marks.append(mark)\n"
            "    if mark == 'E':\n"
            "        raise JobTimeout\n"
            "fault_jobs.note = note\n"
            "with contextlib.suppress(JobTimeout), fault_jobs.noted():\n"
            "    pass\n"
            "print(*marks)\n"
        )
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=APP, capture_output=True, text=True, check=True
        ).stdout
        runs = runs_of([("a", mark, float(n), 7, "l 0") for n, mark in enumerate(said.split())], {}, 100.0)
        assert [run.failed for run in runs["a"]] == [True]
