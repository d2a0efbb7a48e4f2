"""One line for each job at its end."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from awslambdaric.lambda_runtime_log_utils import JsonFormatter

from sidelamb.current import running
from sidelamb_handlers.attempt import Attempt
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome
from sidelamb_handlers.figures import Figures
from sidelamb_handlers.joblog import JobLog, name_jobs
from sidelamb_handlers.logger import Logger, new_logger
from tests.handlers.kit import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED = Decision(Outcome.RETRY, NOW + 15, {"retry_count": 0}, failed=True)


def ran(payload: Any, error: BaseException | None = None) -> Attempt:
    a = Attempt("0:mail", "mail", payload, "request-1", "c:1")
    a.started_at, a.ended_at, a.error = NOW, NOW + 0.25, error
    return a


JOB = {"class": "app.send", "args": ["secret"], "jid": "j1", "enqueued_at": NOW - 2}


def test_it_says_which_job_how_it_ended_and_how_long_it_took(lines):
    JobLog().ended([(ran(JOB), SUCCEEDED)])
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
    JobLog().ended([(ran(JOB), SUCCEEDED)])
    assert "secret" not in repr(lines)


def test_after_the_first_invocation_the_sandbox_is_warm(lines):
    log = JobLog()
    log.ended([(ran(JOB), SUCCEEDED)])
    log.invoked()
    log.ended([(ran(JOB), SUCCEEDED)])
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
    JobLog().ended([(ran(JOB), decision)])
    assert lines[0]["levelname"] == level


def test_a_failure_says_what_went_wrong_and_when_it_goes_on(lines):
    JobLog().ended([(ran(JOB, ValueError("x" * 5_000)), FAILED)])
    (line,) = lines
    assert (line["error_class"], line["error_message"]) == ("ValueError", "x" * 1_000)
    assert line["next_at"] == NOW + 15


def test_a_job_that_was_not_started_has_no_duration(lines):
    a = Attempt("0:mail", "mail", JOB, "request-1", "c:1")
    JobLog().ended([(a, Decision(Outcome.RETURNED, reason="behind slow neighbours"))])
    (line,) = lines
    assert line["reason"] == "behind slow neighbours"
    assert "duration_ms" not in line
    assert "attempt" not in line


@pytest.mark.parametrize("payload", [None, 5, [], {}, {"jid": 5}, {"enqueued_at": "now"}, {"retry_count": "x"}])
def test_a_payload_of_any_shape_gets_its_line(lines, payload):
    a = Attempt("0:mail", "mail", payload, "request-1", "c:1")
    JobLog().ended([(a, Decision(Outcome.DEAD, NOW))])
    assert len(lines) == 1
    if isinstance(payload, dict):
        JobLog().ended([(ran(payload), SUCCEEDED)])
        assert len(lines) == 2


def test_an_error_whose_message_cannot_be_made_gets_its_line(lines):
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    JobLog().ended([(ran(JOB, Broken()), FAILED)])
    assert lines[0]["error_class"].endswith("Broken")


def test_a_level_that_is_not_wanted_costs_nothing(lines, monkeypatch: pytest.MonkeyPatch):
    log = JobLog()
    monkeypatch.setattr(log, "_level", logging.WARNING)
    log.ended([(ran(JOB), SUCCEEDED)])
    log.ended([(ran(JOB), FAILED)])
    assert [line["outcome"] for line in lines] == ["retry"]


# --- what is said of a failure, and what is not said at all ----------------------------------------------------


def fail() -> None:
    raise ValueError("it does not work")


def test_a_failure_says_where_it_happened(lines):
    try:
        fail()
    except ValueError as error:
        JobLog({}).ended([(ran(JOB, error), FAILED)])
    (line,) = lines
    assert line["error_at"].endswith(" in fail")
    assert "test_joblog.py" in line["error_at"]
    assert 'raise ValueError("it does not work")' in line["traceback"]
    assert len(line["traceback"]) <= 2_000


def test_arguments_are_in_it_if_asked_for_and_no_more_of_them_than_fits(lines):
    log = JobLog({"SIDELAMB_LOG_ARGS": "true"})
    log.ended([(ran({**JOB, "kwargs": {"to": "you"}}), SUCCEEDED)])
    log.ended([(ran({**JOB, "args": ["x" * 5_000]}), SUCCEEDED)])
    assert lines[0]["arguments"] == '{"args":["secret"],"kwargs":{"to":"you"}}'
    assert lines[1]["arguments"] == '{"args":["' + "x" * 990


def test_of_successes_a_share_is_logged_and_of_a_job_all_or_nothing(lines):
    log = JobLog({"SIDELAMB_LOG_SUCCESSES": "0.25"})
    for n in [*range(400), *range(400)]:
        log.ended([(ran({**JOB, "jid": f"{n:024x}"}), SUCCEEDED)])
    jids = [line["jid"] for line in lines]
    assert 60 < len(jids) / 2 < 140
    assert jids[: len(jids) // 2] == jids[len(jids) // 2 :]


def test_a_failure_is_logged_whatever_the_share_of_successes(lines):
    log = JobLog({"SIDELAMB_LOG_SUCCESSES": "0"})
    log.ended([(ran(JOB), SUCCEEDED)])
    log.ended([(ran(JOB, ValueError()), FAILED)])
    log.ended([(ran(JOB), Decision(Outcome.DISCARDED, NOW, reason="cancelled"))])
    assert [line["outcome"] for line in lines] == ["retry", "discarded"]


def test_the_trace_in_which_it_was_enqueued_is_named(lines):
    trace = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
    JobLog({}).ended([(ran({**JOB, "traceparent": trace}), SUCCEEDED)])
    assert lines[0]["trace_id"] == "5759e988bd862e3fe1be46a994272793"


# --- the app's own lines ---------------------------------------------------------------------------------------


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What an app's own handler writes, as Lambda's runtime formats it."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    name_jobs()
    yield handler.stream
    logger.removeHandler(handler)


def said(stream: io.StringIO) -> dict[str, Any]:
    return json.loads(stream.getvalue().strip().splitlines()[-1])


def test_an_apps_line_inside_a_job_says_which_job(written):
    token = running.set(ran(JOB))
    try:
        logging.getLogger("app").warning("half way")
        line = said(written)
        logging.getLogger("app").warning("mine", extra={"jid": "of another", "queue": 5})
    finally:
        running.reset(token)
    assert line["message"] == "half way"
    expected = {"jid": "j1", "class": "app.send", "queue": "mail", "attempt": 1}
    assert {k: line[k] for k in expected} == expected
    assert (said(written)["jid"], said(written)["queue"]) == ("of another", 5)


def test_an_apps_line_outside_of_a_job_says_nothing_of_one(written):
    logging.getLogger("app").warning("starting")
    assert not {"jid", "class", "queue", "attempt", "trace_id"} & set(said(written))


def test_a_handler_is_told_once_however_often_it_is_looked_for(written):
    name_jobs()
    name_jobs()
    (handler,) = logging.getLogger("app").handlers
    assert len(handler.filters) == 1


# --- what it costs ---------------------------------------------------------------------------------------------

REAL = {
    "class": "shop.orders.SendConfirmation",
    "args": [12],
    "jid": "b4a577edbccf1d805744efa9",
    "enqueued_at": NOW - 2,
}
SUCCESS_MOST = 400
"""Bytes of the line of a job that went well. CloudWatch asks 0.50 USD a GB: 0.20 USD a million jobs."""
FAILURE_MOST = 5_500
METRICS_MOST = 500
"""Bytes of the metrics of an invocation with one job."""
METRICS_PACKED_MOST = 20
"""The same for each of a hundred jobs in one invocation."""


def bytes_of(stream: io.StringIO) -> int:
    return max(len(line.encode()) + 1 for line in stream.getvalue().splitlines())


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Where a new sandbox's logger writes."""
    stream = io.StringIO()
    logger = new_logger()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return stream


def real(error: BaseException | None = None) -> Attempt:
    a = Attempt("0:default", "default", REAL, "6c3e2f4c-6f3c-4f0e-8f5b-1c8d2b6f7a90", "default:0123456789abcdef")
    a.started_at, a.ended_at, a.error = NOW, NOW + 0.254321, error
    return a


def test_a_job_that_went_well_costs_few_bytes(stdout):
    JobLog({}).ended([(real(), SUCCEEDED)])
    assert 200 < bytes_of(stdout) <= SUCCESS_MOST


def test_a_failure_costs_no_more_than_it_may_whatever_it_says(stdout):
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("x" * 50_000)
        deep(n - 1)

    try:
        deep(200)
    except ValueError as error:
        JobLog({}).ended([(real(error), FAILED)])
    assert 2_000 < bytes_of(stdout) <= FAILURE_MOST


def test_metrics_cost_few_bytes_a_job():
    one, packed = Figures("shop-production"), Figures("shop-production")
    one.add(real(), SUCCEEDED)
    for _ in range(100):
        packed.add(real(), SUCCEEDED)
    assert len("".join(one.lines(NOW))) <= METRICS_MOST
    assert len("".join(packed.lines(NOW))) <= METRICS_PACKED_MOST * 100


def test_an_apps_powertools_logger_says_it_too():
    stream = io.StringIO()
    logger = Logger(service="of the app", stream=stream)
    name_jobs()
    token = running.set(ran({**JOB, "traceparent": f"00-{'5' * 32}-{'7' * 16}-01"}))
    try:
        logger.info("half way", extra={"order": 12})
    finally:
        running.reset(token)
    line = said(stream)
    assert (line["message"], line["order"], line["service"]) == ("half way", 12, "of the app")
    assert (line["jid"], line["class"], line["queue"], line["trace_id"]) == ("j1", "app.send", "mail", "5" * 32)
