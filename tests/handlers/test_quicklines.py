"""Many lines at once: the same, word for word, as powertools writes one after the other."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb_handlers.attempt import Attempt
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome
from sidelamb_handlers.joblog import JobLog
from tests.handlers.kit import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = {"class": "app.send", "args": [1], "jid": "j1", "enqueued_at": NOW - 2.125}
TIME = re.compile(r'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"')
TRACE = f"00-{'5' * 32}-{'7' * 16}-01"


class Stream(io.StringIO):
    """Notes how often it was written to."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobLog]:
    """The log of a new sandbox, with a stream to look at."""
    log = JobLog({})
    handler = log.logger.registered_handler
    monkeypatch.setattr(handler, "stream", Stream())
    kept = (handler.formatter, list(handler.filters), list(log.logger.handlers))
    yield log
    handler.setFormatter(kept[0])
    handler.filters[:] = kept[1]
    log.logger.handlers[:] = kept[2]
    log.logger.filters.clear()
    log.logger.thread_safe_clear_keys()
    log.logger.remove_keys(["tenant"])


def ran(took_s: float = 0.25, **payload: Any) -> Attempt:
    a = Attempt("0:mail", "mail", {**JOB, **payload}, "request-1", "c:1")
    a.started_at, a.ended_at = NOW, NOW + took_s
    return a


def various() -> list[tuple[Attempt, Decision]]:
    """One of each kind that did not fail."""
    unstarted = Attempt("1:mail", "mail", dict(JOB), "request-1", "c:1")
    return [
        (ran(), SUCCEEDED),
        (ran(1e-7, jid='äöü \u2028 " \\ \x00 \x7f 😀'), SUCCEEDED),
        (ran(12345.678, traceparent=TRACE), SUCCEEDED),
        (ran(**{"class": "Billing::ChargeJob"}), Decision(Outcome.SNOOZED, NOW + 15.5, {})),
        (unstarted, Decision(Outcome.RETURNED, reason="behind slow neighbours")),
        (ran(), Decision(Outcome.INTERRUPTED, NOW)),
    ]


def written(log: JobLog) -> list[str]:
    """What was written, without the times."""
    *lines, end = log.logger.registered_handler.stream.getvalue().split("\n")
    assert end == ""
    found = [TIME.subn("", line) for line in lines]
    assert {count for _, count in found} == {1}
    return [text for text, _ in found]


def emptied(log: JobLog) -> Stream:
    stream = log.logger.registered_handler.stream = Stream()
    return stream


def test_they_are_powertools_own_word_for_word(log):
    log.ended(various())
    ours, writes = written(log), log.logger.registered_handler.stream.writes
    emptied(log)
    for one in various():
        log.ended([one])
    assert ours == written(log)
    assert writes < log.logger.registered_handler.stream.writes


def test_a_thousand_are_few_writes(log):
    log.ended([(ran(), SUCCEEDED)] * 1_000)
    assert len(written(log)) == 1_000
    assert log.logger.registered_handler.stream.writes <= 3


def test_a_failure_between_them_keeps_its_place(log):
    failed = ran()
    failed.error = ValueError("no")
    three = [(ran(), SUCCEEDED)] * 3
    log.ended([*three, (failed, Decision(Outcome.RETRY, NOW + 15, failed=True)), *three])
    said = [json.loads(line)["outcome"] for line in log.logger.registered_handler.stream.getvalue().splitlines()]
    assert said == ["succeeded"] * 3 + ["retry"] + ["succeeded"] * 3


def upper(log: JobLog) -> None:
    class Upper(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return super().format(record).upper()

    log.logger.registered_handler.setFormatter(Upper())


def filtered(log: JobLog) -> None:
    log.logger.addFilter(lambda record: record.jid != "j2")


def filtered_by_the_handler(log: JobLog) -> None:
    log.logger.registered_handler.addFilter(lambda record: record.jid != "j2")


def keyed(log: JobLog) -> None:
    log.logger.append_keys(tenant="acme")


def keyed_for_a_while(log: JobLog) -> None:
    log.logger.thread_safe_append_keys(tenant="acme")


def indented(log: JobLog) -> None:
    log.logger.registered_formatter.json_serializer = lambda line: json.dumps(line, indent=1)


@pytest.mark.parametrize("change", [upper, filtered, filtered_by_the_handler, keyed, keyed_for_a_while, indented])
def test_a_logger_that_somebody_has_changed_is_left_to_powertools(log, change):
    serializer = log.logger.registered_formatter.json_serializer
    change(log)
    try:
        jobs = [(ran(jid=f"j{n}"), SUCCEEDED) for n in range(4)]
        log.ended(jobs)
        together = log.logger.registered_handler.stream.getvalue()
        emptied(log)
        for one in jobs:
            log.ended([one])
        alone = log.logger.registered_handler.stream.getvalue()
    finally:
        log.logger.registered_handler.formatter.json_serializer = serializer
    timeless = re.compile(r'"timestamp": ?"[^"]*"')
    assert timeless.sub("", together) == timeless.sub("", alone)
    assert together


def test_a_second_handler_gets_every_line(log):
    seen: list[str] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.jid)

    log.logger.addHandler(Note())
    log.ended([(ran(jid=f"j{n}"), SUCCEEDED) for n in range(4)])
    assert seen == ["j0", "j1", "j2", "j3"]


def test_what_is_no_json_is_written_too(log):
    log.ended([(ran(), SUCCEEDED), (ran(carried={"n": 2**70, "id": 1}), SUCCEEDED), (ran(), SUCCEEDED)])
    assert len(written(log)) == 3


def test_a_level_that_is_switched_off_says_nothing(log):
    logging.disable(logging.INFO)
    try:
        log.ended([(ran(), SUCCEEDED)] * 3)
    finally:
        logging.disable(logging.NOTSET)
    assert log.logger.registered_handler.stream.getvalue() == ""
