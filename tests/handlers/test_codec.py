"""Arguments by annotation, as a worker gets them."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal

import pytest

from sidelamb import Client
from tests.handlers.kit import Context, event_for, payload, reserve
from tests.sdk import typed_jobs as typed

WHEN = dt.datetime(2026, 11, 26, 7, 30, tzinfo=dt.UTC)
DAY = dt.date(2026, 11, 26)
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
LINE = typed.Line(ID, Decimal("1.10"), DAY, ["a"])
ORDER = typed.Order(number=1, lines=[LINE], placedAt=WHEN)


@pytest.fixture
def got():
    typed.GOT.clear()
    return typed.GOT


@pytest.fixture
def run(link, make_worker):
    """Has a worker run what is queued."""

    def work():
        (held,) = reserve(link, "c:1")
        return make_worker().handle(event_for(held), Context())

    return work


def test_what_was_sent_comes_back_equal_and_of_its_type(job, redis_url, got, run):
    every = job(typed.every)
    args = (
        *(WHEN, DAY, dt.time(7, 30), dt.timedelta(hours=1, seconds=2), ID, Decimal("0.30")),
        *(typed.Color.RED, typed.Size.BIG, LINE, ORDER, {"city": "Rome", "since": DAY}, DAY, DAY),
    )
    kwargs = {"maybe": WHEN, "many": [LINE], "by_name": {"a": Decimal(2)}, "either": DAY, "other": ID}
    every.using(client=Client(redis_url)).enqueue(*args, **kwargs)
    run()
    [(given, named)] = got
    assert given == args
    assert list(map(type, given)) == list(map(type, args))
    assert {name: named[name] for name in ("maybe", "many", "by_name", "either")} == {
        name: kwargs[name] for name in ("maybe", "many", "by_name", "either")
    }
    assert named["others"] == {"other": ID}


def test_a_value_that_does_not_fit_fails_the_job_which_says_which_argument_and_is_retried(
    job, leased, db, make_worker
):
    job(typed.order)
    wrong = payload("order", {"number": "hunter2", "lines": [], "placedAt": "2026-11-26T07:30:00Z"})
    make_worker().handle(leased(wrong), Context())
    [raw] = db.zrange("retry", 0, -1)
    retried = json.loads(raw)
    assert retried["error_class"] == "sidelamb.errors.BadArgument"
    assert retried["error_message"].startswith("order: argument 'value' does not fit")
    assert "Order: number: Input should be a valid integer" in retried["error_message"]
    assert "hunter2" not in retried["error_message"]
    assert retried["args"][0]["number"] == "hunter2"


def test_a_worker_without_pydantic_says_so_instead_of_running_the_job(job, leased, db, make_worker, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydantic", None)
    job(typed.mixed)
    make_worker().handle(leased(payload("mixed", 1, "2026-11-26T07:30:00Z")), Context())
    assert b"sidelamb[pydantic]" in db.zrange("retry", 0, -1)[0]


def test_iterable_jobs_get_theirs_too_and_their_cursor_as_it_was_yielded(job, leased, make_worker):
    seen = []

    def walk(since, *, cursor: int | None = None):
        seen.append((since, cursor))
        yield 1

    walk.__annotations__ = {"since": dt.date, "cursor": int | None}
    job(walk)
    make_worker().handle(leased(payload("walk", "2026-11-26")), Context())
    assert seen == [(DAY, None)]
