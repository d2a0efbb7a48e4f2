"""What the lines of a function's log say."""

from __future__ import annotations

import io
import json

import pytest

from sidelamb_handlers.attempt import Attempt
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome
from sidelamb_handlers.joblog import JobLog
from sidelamb_local.jobline import JobLine, Message, Report, read_job, read_line, read_report

HINT = "[WARNING]\t2026-11-23T07:31:36.963Z\t\tLAMBDA_WARNING: Unhandled exception. The most likely cause is"
REPORT = (
    "REPORT RequestId: 11-22\tDuration: 7.83 ms\tBilled Duration: 298 ms"
    "\tMemory Size: 512 MB\tMax Memory Used: 36 MB"
)


@pytest.fixture
def job_log(monkeypatch):
    """Write a job's end as the worker does, and read the line back."""

    def write(attempt, decision):
        log, stream = JobLog(), io.StringIO()
        # Not setStream: the handler is every JobLog's, and the stream of a test before may be closed by now.
        monkeypatch.setattr(log.logger.registered_handler, "stream", stream)
        log.ended([(attempt, decision)])
        return read_line(stream.getvalue().strip())

    return write


def attempt(**more):
    payload = {"class": "app.send", "jid": "ab" * 12, "enqueued_at": 99.5} | more
    return Attempt("0:mail", "mail", payload, "11-22", "lease", started_at=100.0, ended_at=100.25)


def test_the_workers_own_line_of_a_success_is_read(job_log):
    line = job_log(attempt(), SUCCEEDED)
    assert line == JobLine(
        "ab" * 12, "app.send", "mail", "succeeded", queue_ms=500.0, duration_ms=250.0, request_id="11-22"
    )


def test_the_workers_own_line_of_a_failure_says_what_and_when_again(job_log):
    failed = attempt(retry_count=1)
    failed.error = ValueError("two\nlines")
    line = job_log(failed, Decision(Outcome.RETRY, 120.0, failed=True))
    assert (line.outcome, line.attempt, line.error, line.next_at) == ("retry", 3, "ValueError: two lines", 120.0)


def test_a_report_gives_what_would_be_billed():
    report = read_report(f"{REPORT}\tInit Duration: 289.42 ms")
    assert report == Report("11-22", 7.83, 298, 512, 36, 289.42)
    assert report.gb_s == pytest.approx(0.149)
    assert read_report(f"{REPORT}\tStatus: timeout").init_ms is None


@pytest.mark.parametrize("line", ["START RequestId: 1 Version: $LATEST", HINT, "END RequestId: 1", "", "  "])
def test_the_platforms_everyday_lines_say_nothing(line):
    assert read_line(line) is None


@pytest.mark.parametrize("line", ["hello", '{"a": 1}', "{not json", "[1]", '{"message": 5}'])
def test_whatever_a_job_prints_is_itself(line):
    assert read_line(line) == line


def test_a_line_of_the_logger_is_its_message():
    line = json.dumps({"level": "ERROR", "message": "it broke", "exception_name": "KeyError"})
    assert read_line(line) == Message("ERROR", "it broke (KeyError)")


def test_a_line_of_pythons_own_logging_is_its_message():
    line = "[WARNING]\t2026-11-23T07:31:36.963Z\tf87528e6-583b\ta plain warning"
    assert read_line(line) == Message("WARNING", "a plain warning")


def test_a_pass_of_the_scheduler_says_what_it_did():
    line = {"level": "INFO", "message": "pass", "promoted": 3, "to_dead": 0, "reaped": 2, "leases": 1}
    assert read_line(json.dumps(line)) == Message("INFO", "scheduler: 3 due, 2 back from expired leases")


def test_only_the_end_of_a_job_is_a_job():
    assert read_job(REPORT) is None
    assert read_job(json.dumps({"level": "INFO", "message": "hello"})) is None


def test_metrics_are_nothing_for_a_person():
    assert read_line('{"_aws":{"Timestamp":1},"Stack":"shop","Pollers":1}') is None


@pytest.mark.parametrize("kind", ["initStart", "start", "runtimeDone", "report", "extension", "restoreReport"])
def test_the_platforms_own_lines_are_not_the_apps_in_their_json_form_either(kind):
    record = {"requestId": "11-22", "status": "success", "metrics": {"durationMs": 7.83, "billedDurationMs": 8}}
    line = {"time": "2026-11-24T02:36:12.384Z", "type": f"platform.{kind}", "record": record}
    assert read_line(json.dumps(line)) is None


def test_an_error_that_lambdas_runtime_logs_is_told_in_short():
    line = {"timestamp": "2026-11-24T02:36:12Z", "log_level": "ERROR", "errorType": "ImportError"}
    line |= {"errorMessage": "no module\nnamed x", "requestId": "11-22", "stackTrace": ["…"]}
    assert read_line(json.dumps(line)) == Message("ERROR", "ImportError: no module named x")
