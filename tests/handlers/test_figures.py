"""What the jobs of an invocation amount to in CloudWatch: few lines, few metrics, true numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidelamb_handlers.attempt import Attempt
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome, returned
from sidelamb_handlers.emf import UNITS, emf_line
from sidelamb_handlers.figures import Figures
from tests.handlers.kit import NOW

FAILED = Decision(Outcome.RETRY, NOW, failed=True)
DIED = Decision(Outcome.DEAD, NOW, failed=True)
EXPIRED = Decision(Outcome.DISCARDED, NOW, reason="expired before it was started")


def ran(ms: float = 250.0, *, queue: str = "mail", waited_ms: float = 2000.0, name: str = "app.send") -> Attempt:
    payload = {"class": name, "jid": "j1", "enqueued_at": NOW - waited_ms / 1000}
    a = Attempt(f"0:{queue}", queue, payload, "request-1", "c:1")
    a.started_at, a.ended_at = NOW, NOW + ms / 1000
    a.job = object()  # type: ignore[assignment]
    return a


def written(*ends: tuple[Attempt, Decision], by_class: bool = False) -> list[dict[str, Any]]:
    figures = Figures("shop", by_class=by_class)
    for attempt, decision in ends:
        figures.add(attempt, decision)
    return [json.loads(line) for line in figures.lines(NOW)]


def metrics(*lines: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """As CloudWatch takes them out: (dimensions' values …, name) → value."""
    found = {}
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for dimensions in directive["Dimensions"]:
                for metric in directive["Metrics"]:
                    found[(*(line[d] for d in dimensions), metric["Name"])] = line[metric["Name"]]
    return found


def test_a_job_that_went_well_is_one_line_with_what_it_waited_and_ran():
    (line,) = written((ran(), SUCCEEDED))
    assert metrics(line) == {
        ("shop", "mail", "Processed"): 1,
        ("shop", "mail", "Duration"): [250.0],
        ("shop", "mail", "QueueLatency"): [2000.0],
        ("shop", "JobsPerInvocation"): 1,
    }
    assert line["_aws"]["Timestamp"] == round(NOW * 1000)
    assert {d["Namespace"] for d in line["_aws"]["CloudWatchMetrics"]} == {"Sidelamb"}


def test_failures_and_deaths_are_counted_by_queue_and_over_all():
    found = metrics(*written((ran(), FAILED), (ran(), DIED), (ran(), SUCCEEDED)))
    assert found["shop", "mail", "Processed"] == 3
    assert (found["shop", "mail", "Failed"], found["shop", "Failed"]) == (2, 2)
    assert (found["shop", "mail", "Dead"], found["shop", "Dead"]) == (1, 1)
    assert found["shop", "mail", "Retried"] == 1
    assert ("shop", "Retried") not in found


def test_of_several_queues_each_has_its_line_and_the_whole_is_told_once():
    lines = written((ran(queue="mail"), SUCCEEDED), (ran(queue="low"), SUCCEEDED), (ran(queue="low"), FAILED))
    assert [line["Queue"] for line in lines] == ["mail", "low"]
    assert [line.get("JobsPerInvocation") for line in lines] == [3, None]


def test_what_an_alarm_sums_is_there_for_every_queue():
    lines = written((ran(queue="mail"), SUCCEEDED), (ran(queue="low"), FAILED), (ran(queue="high"), FAILED))
    assert sum(metrics(line).get(("shop", "Failed"), 0) for line in lines) == 2


def test_an_expired_job_is_neither_processed_nor_failed():
    a = ran()
    a.started_at = 0.0
    assert metrics(*written((a, EXPIRED))) == {("shop", "mail", "Expired"): 1, ("shop", "JobsPerInvocation"): 0}


def test_a_job_that_went_back_counts_nowhere():
    a = ran()
    a.started_at = 0.0
    assert metrics(*written((a, returned("late")))) == {("shop", "JobsPerInvocation"): 0}


def test_a_failure_before_the_start_is_an_attempt_as_in_sidekiq():
    a = ran()
    a.started_at = 0.0
    found = metrics(*written((a, FAILED)))
    assert (found["shop", "mail", "Processed"], found["shop", "mail", "Failed"]) == (1, 1)
    assert ("shop", "mail", "Duration") not in found


def test_of_many_jobs_at_most_a_hundred_times_are_told_the_slowest_among_them():
    many = [(ran(float(ms), waited_ms=float(ms)), SUCCEEDED) for ms in range(1_000)]
    many.insert(500, (ran(99_999.0), SUCCEEDED))
    (line,) = written(*many)
    assert line["Processed"] == 1_001
    assert len(line["Duration"]) == len(line["QueueLatency"]) == 100
    assert max(line["Duration"]) == 99_999.0
    assert sorted(line["Duration"])[50] == pytest.approx(500, abs=20)


def test_a_clock_that_is_behind_makes_no_negative_time():
    assert written((ran(waited_ms=-50.0), SUCCEEDED))[0]["QueueLatency"] == [0.0]


def test_metrics_by_class_are_there_if_asked_for():
    ends = [(ran(name="A"), SUCCEEDED), (ran(name="B"), FAILED)]
    assert not [line for line in written(*ends) if "Class" in line]
    found = metrics(*(line for line in written(*ends, by_class=True) if "Class" in line))
    assert found == {
        ("shop", "A", "Processed"): 1,
        ("shop", "A", "Duration"): [250.0],
        ("shop", "B", "Processed"): 1,
        ("shop", "B", "Failed"): 1,
        ("shop", "B", "Duration"): [250.0],
    }


def test_a_name_that_nobody_knows_makes_no_metric():
    a = ran(name="x" * 40)
    a.job, a.started_at = None, 0.0
    assert not [line for line in written((a, FAILED), by_class=True) if "Class" in line]


def test_an_invocation_without_jobs_writes_nothing():
    assert written() == []


def test_a_line_ends_and_holds_every_value_once():
    line = emf_line(NOW, {"Stack": "s"}, {("Stack",): {"Pollers": 2.0}, ("Stack", "Queue"): {}})
    assert line.endswith("}\n")
    assert json.loads(line)["_aws"]["CloudWatchMetrics"] == [
        {"Namespace": "Sidelamb", "Dimensions": [["Stack"]], "Metrics": [{"Name": "Pollers", "Unit": "Count"}]}
    ]


def test_units_are_cloudwatchs():
    assert set(UNITS.values()) <= {"Count", "Milliseconds", "Seconds"}
