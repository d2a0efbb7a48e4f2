"""Hooks around sandboxes and invocations, and what a worker writes down of each invocation."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import pytest

from sidelamb import after_invocation, before_invocation, hooks, on_sandbox_start
from sidelamb.errors import ConfigError
from tests.handlers.kit import Context, payload, places

if TYPE_CHECKING:
    from collections.abc import Callable

TRACE = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"


@pytest.fixture(autouse=True)
def own_hooks(monkeypatch):
    for name in ("sandbox_starts", "invocation_starts", "invocation_ends"):
        monkeypatch.setattr(hooks, name, [])
    from sidelamb_handlers import worker

    for name in ("sandbox_starts", "invocation_starts", "invocation_ends"):
        monkeypatch.setattr(worker, name, getattr(hooks, name))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def three(told: list[str], job: Callable) -> None:
    on_sandbox_start(lambda: told.append("sandbox"))
    before_invocation(lambda: told.append("before"))
    after_invocation(lambda: told.append("after"))
    job(lambda: told.append("job"), name="work")


def test_they_are_called_around_what_runs_the_first_once_a_sandbox(make_worker, leased, three, told):
    worker = make_worker()
    worker.handle(leased(payload("work")), Context())
    assert told == ["sandbox", "before", "job", "after"]
    worker.handle(leased(payload("work"), lease="c:2"), Context())
    assert told[4:] == ["before", "job", "after"]


def test_what_ends_an_invocation_is_called_when_its_jobs_are_settled(make_worker, leased, job, db):
    seen = []
    after_invocation(lambda: seen.append(places(db)))
    job(lambda: None, name="work")
    make_worker().handle(leased(payload("work")), Context())
    assert seen == [{}]


@pytest.mark.parametrize("declare", [on_sandbox_start, before_invocation])
def test_while_one_before_fails_nothing_is_claimed_and_the_next_one_calls_it_again(
    make_worker, leased, job, db, declare, told
):
    def connect() -> None:
        told.append("tried")
        if len(told) == 1:
            raise ConnectionError("the database is away")

    declare(connect)
    job(lambda: told.append("job"), name="work")
    event, worker = leased(payload("work")), make_worker()
    with pytest.raises(ConnectionError, match="the database is away"):
        worker.handle(event, Context())
    assert db.hexists("sidelamb:lease:c:1", "open")
    assert worker.handle(event, Context())["status"] == "settled"
    assert told == ["tried", "tried", "job"]


def test_one_after_that_fails_is_logged_and_stops_nobody(make_worker, leased, job, lines, told):
    def flush() -> None:
        raise SystemExit("no")

    after_invocation(flush)
    after_invocation(lambda: told.append("next"))
    job(lambda: None, name="work")
    assert make_worker().handle(leased(payload("work")), Context())["status"] == "settled"
    assert told == ["next"]
    assert "flush failed" in lines[-1]["text"]


def test_a_worker_whose_outcomes_are_still_to_be_answered_keeps_its_time_for_that(make_worker, leased, told, job):
    after_invocation(lambda: told.append("after"))
    job(lambda: None, name="work")
    event = leased(payload("work"), detached=True)
    assert make_worker().handle(event, Context())["status"] == "unsettled"
    assert told == []


def test_a_refused_invocation_says_why_in_the_log(make_worker, leased, three, lines):
    event = leased(payload("work"), start_by=1.0)
    assert make_worker().handle(event, Context(request_id="request-9"))["status"] == "refused"
    (line,) = lines
    assert "after start_by" in line["text"]
    assert (line["lease"], line["function_request_id"]) == ("c:1", "request-9")


@pytest.mark.parametrize("declare", [on_sandbox_start, before_invocation, after_invocation])
def test_one_that_nobody_would_await_is_refused(declare):
    async def connect() -> None: ...

    with pytest.raises(ConfigError, match="nobody would await it"):
        declare(connect)


def emitted(text: str) -> list[dict]:
    return [line for line in map(json.loads, text.splitlines()) if "_aws" in line]


def test_a_stack_with_a_name_writes_metrics_once_an_invocation(make_worker, leased, job, capsys):
    job(lambda n: 1 / n, name="work")
    event = leased(*(payload("work", n, enqueued_at=1.0) for n in (1, 2, 0)))
    make_worker(SIDELAMB_STACK="shop").handle(event, Context())
    (line,) = emitted(capsys.readouterr().out)
    assert (line["Stack"], line["Queue"]) == ("shop", "default")
    assert (line["Processed"], line["Failed"], line["Retried"], line["JobsPerInvocation"]) == (3, 1, 1, 3)
    assert len(line["Duration"]) == len(line["QueueLatency"]) == 3


def test_without_a_name_there_are_no_metrics(make_worker, leased, job, capsys):
    job(lambda: None, name="work")
    make_worker().handle(leased(payload("work")), Context())
    assert emitted(capsys.readouterr().out) == []


def test_what_will_not_be_run_is_counted_too(make_worker, leased, job, capsys):
    job(lambda: None, name="work")
    event = leased(payload("work", 1, expiry=1.0), b"[5]")
    make_worker(SIDELAMB_STACK="shop").handle(event, Context())
    (line,) = emitted(capsys.readouterr().out)
    assert (line["Expired"], line["Dead"], line["JobsPerInvocation"]) == (1, 1, 0)


def test_metrics_by_class_are_asked_for_by_a_setting(make_worker, leased, job, capsys):
    job(lambda: None, name="work")
    worker = make_worker(SIDELAMB_STACK="shop", SIDELAMB_METRICS_BY_CLASS="true")
    worker.handle(leased(payload("work")), Context())
    assert [line.get("Class") for line in emitted(capsys.readouterr().out)] == [None, "work"]


def test_a_job_knows_the_trace_it_was_enqueued_in(make_worker, leased, job):
    from sidelamb import current_job

    seen = []
    job(lambda _: seen.append(current_job().traceparent), name="work")
    event = leased(payload("work", 1, traceparent=TRACE), payload("work", 2, traceparent="nonsense"))
    make_worker().handle(event, Context())
    assert seen == [TRACE, ""]


def test_a_setting_that_is_wrong_is_said_at_once(make_worker):
    with pytest.raises(ConfigError, match=r"expected a share from 0 to 1, like SIDELAMB_LOG_SUCCESSES=0\.05"):
        make_worker(SIDELAMB_LOG_SUCCESSES="2")
    with pytest.raises(ConfigError, match="SIDELAMB_TRACER is 'zipkin'; the one that is known is xray"):
        make_worker(SIDELAMB_TRACER="zipkin")


def test_what_an_async_job_logs_says_which_job_it_is(make_worker, leased, job):
    seen = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append((record.getMessage(), record.__dict__.get("jid")))

    handler = Keep()
    logging.getLogger("of_the_app").addHandler(handler)

    async def work() -> None:
        logging.getLogger("of_the_app").warning("half way")
        await asyncio.to_thread(logging.getLogger("of_the_app").warning, "on a thread of its own")

    job(work)
    try:
        make_worker().handle(leased(payload("work", jid="j-7")), Context())
    finally:
        logging.getLogger("of_the_app").removeHandler(handler)
    assert seen == [("half way", "j-7"), ("on a thread of its own", "j-7")]
