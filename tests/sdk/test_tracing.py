"""The trace that a job is taken along in."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from sidelamb import Client, job, tracing
from sidelamb.current import running
from sidelamb.tracing import checked, from_xray, to_xray, traceparent

TRACE = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)


def span(trace_id=0x5759E988BD862E3FE1BE46A994272793, span_id=0x53995C3F42CD8AD8):
    context = SimpleNamespace(trace_id=trace_id, span_id=span_id, trace_flags=1, is_valid=bool(trace_id))
    return SimpleNamespace(get_current_span=lambda: SimpleNamespace(get_span_context=lambda: context))


def test_an_app_that_does_not_trace_sends_nothing(redis_url, db):
    Client(redis_url).push({"class": "work", "args": []})
    assert "traceparent" not in json.loads(db.lindex("queue:default", 0))


@pytest.mark.parametrize("how", ["enqueue", "later", "many", "push"])
def test_the_span_that_enqueues_is_in_the_payload(redis_url, db, monkeypatch, how):
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", span())
    client = Client(redis_url)
    work = client.job("work")
    {
        "enqueue": lambda: work.enqueue(1),
        "later": lambda: work.enqueue_in(60, 1),
        "many": lambda: work.enqueue_many([(1,)]),
        "push": lambda: client.push({"class": "work", "args": []}),
    }[how]()
    raw = db.zrange("schedule", 0, 0)[0] if how == "later" else db.lindex("queue:default", 0)
    assert json.loads(raw)["traceparent"] == TRACE


def test_what_the_app_says_itself_stays(redis_url, db, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", span())
    Client(redis_url).push({"class": "work", "args": [], "traceparent": "mine"})
    assert json.loads(db.lindex("queue:default", 0))["traceparent"] == "mine"


def test_no_span_is_no_trace(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", span(trace_id=0))
    assert traceparent() == ""


def test_a_library_that_is_just_being_imported_is_no_trace(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace())
    assert traceparent() == ""


def test_a_job_that_enqueues_hands_its_own_trace_on():
    token = running.set(SimpleNamespace(traceparent=TRACE))  # type: ignore[arg-type]
    try:
        assert traceparent() == TRACE
    finally:
        running.reset(token)


def test_in_a_function_the_sampled_trace_of_xray_is_taken(monkeypatch):
    monkeypatch.setenv("_X_AMZN_TRACE_ID", HEADER)
    assert traceparent() == ""
    monkeypatch.setattr(tracing, "_in_lambda", True)
    assert traceparent() == TRACE


@pytest.mark.parametrize("header", ["", "Root=1-5759e988-bd862e3fe1be46a994272793", HEADER[:-1] + "0"])
def test_what_xray_does_not_sample_is_not_taken(header):
    assert from_xray(header) == ""


def test_it_reads_as_xrays_own_id():
    assert to_xray(TRACE) == "1-5759e988-bd862e3fe1be46a994272793"


@pytest.mark.parametrize("value", [None, 5, "", "x", TRACE + "0", TRACE.replace("5759", "XXXX"), "00-" + "0" * 32])
def test_a_payloads_field_is_taken_only_if_it_is_one(value):
    assert checked(value) == ""
    assert checked(TRACE) == TRACE


def test_jobs_that_are_declared_need_nothing_for_it():
    @job(name="traced_test")
    def work() -> None: ...

    assert work.name == "traced_test"
