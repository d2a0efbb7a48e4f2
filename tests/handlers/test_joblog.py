"""One line for each job at its end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb_handlers.attempt import Attempt
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome
from sidelamb_handlers.joblog import JobLog
from tests.handlers.kit import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED = Decision(Outcome.RETRY, NOW + 15, {"retry_count": 0}, failed=True)


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What was logged."""
    seen: list[dict[str, Any]] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append({**record.__dict__, "text": record.getMessage()})

    handler = Note()
    logger = logging.getLogger("sidelamb")
    logger.addHandler(handler)
    yield seen
    logger.removeHandler(handler)


def ran(payload: Any, error: BaseException | None = None) -> Attempt:
    a = Attempt("0:mail", "mail", payload, "request-1", "c:1")
    a.started_at, a.ended_at, a.error = NOW, NOW + 0.25, error
    return a


JOB = {"class": "app.send", "args": ["secret"], "jid": "j1", "enqueued_at": NOW - 2}


def test_it_says_which_job_how_it_ended_and_how_long_it_took(lines):
    JobLog().ended(ran(JOB), SUCCEEDED)
    (line,) = lines
    assert line["text"] == "app.send succeeded"
    expected = {
        "jid": "j1",
        "class": "app.send",
        "queue": "mail",
        "outcome": "succeeded",
        "lease": "c:1",
        "function_request_id": "request-1",
        "attempt": 1,
        "duration_ms": 250.0,
        "queue_ms": 2000.0,
        "cold_start": True,
    }
    assert {k: line[k] for k in expected} == expected


def test_arguments_are_never_in_it(lines):
    JobLog().ended(ran(JOB), SUCCEEDED)
    assert "secret" not in repr(lines)


def test_after_the_first_invocation_the_sandbox_is_warm(lines):
    log = JobLog()
    log.ended(ran(JOB), SUCCEEDED)
    log.invoked()
    log.ended(ran(JOB), SUCCEEDED)
    assert [line["cold_start"] for line in lines] == [True, False]


@pytest.mark.parametrize(
    ("decision", "level"),
    [
        (SUCCEEDED, "INFO"),
        (Decision(Outcome.SNOOZED, NOW), "INFO"),
        (Decision(Outcome.RETURNED), "INFO"),
        (FAILED, "WARNING"),
        (Decision(Outcome.DISCARDED, NOW), "WARNING"),
        (Decision(Outcome.DEAD, NOW, failed=True), "ERROR"),
    ],
)
def test_the_level_tells_how_bad_it_is(lines, decision, level):
    JobLog().ended(ran(JOB), decision)
    assert lines[0]["levelname"] == level


def test_a_failure_says_what_went_wrong_and_when_it_goes_on(lines):
    JobLog().ended(ran(JOB, ValueError("x" * 5_000)), FAILED)
    (line,) = lines
    assert (line["error_class"], line["error_message"]) == ("ValueError", "x" * 1_000)
    assert line["next_at"] == NOW + 15


def test_a_job_that_was_not_started_has_no_duration(lines):
    a = Attempt("0:mail", "mail", JOB, "request-1", "c:1")
    JobLog().ended(a, Decision(Outcome.RETURNED, reason="behind slow neighbours"))
    (line,) = lines
    assert line["reason"] == "behind slow neighbours"
    assert "duration_ms" not in line
    assert "attempt" not in line


@pytest.mark.parametrize("payload", [None, 5, [], {}, {"jid": 5}, {"enqueued_at": "now"}, {"retry_count": "x"}])
def test_a_payload_of_any_shape_gets_its_line(lines, payload):
    a = Attempt("0:mail", "mail", payload, "request-1", "c:1")
    JobLog().ended(a, Decision(Outcome.DEAD, NOW))
    assert len(lines) == 1
    if isinstance(payload, dict):
        JobLog().ended(ran(payload), SUCCEEDED)
        assert len(lines) == 2


def test_an_error_whose_message_cannot_be_made_gets_its_line(lines):
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    JobLog().ended(ran(JOB, Broken()), FAILED)
    assert lines[0]["error_class"].endswith("Broken")


def test_a_level_that_is_not_wanted_costs_nothing(lines, monkeypatch: pytest.MonkeyPatch):
    log = JobLog()
    monkeypatch.setattr(log, "_level", logging.WARNING)
    log.ended(ran(JOB), SUCCEEDED)
    log.ended(ran(JOB), FAILED)
    assert [line["outcome"] for line in lines] == ["retry"]
