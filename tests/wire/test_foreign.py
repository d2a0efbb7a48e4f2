"""Payloads of other clients run, and what we store of them has the form that Sidekiq's pages need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidelamb import Snooze, configure
from sidelamb.lenient import epoch_s
from sidelamb.payload import decode, encode, tidy
from sidelamb_handlers.foreign import STAMPS, cleaned, mended, renewed
from sidelamb_handlers.promotion import promotion
from tests.handlers.kit import NOW, golden
from tests.wire.foreign import FOREIGN, foreign, lines_of
from tests.wire.kit import run_pushed

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = sorted(FOREIGN)


def readable(payload: Mapping[str, Any]) -> None:
    """Fail unless every page of Sidekiq's Web UI, 6.5 to 8.1, can show a payload."""
    assert isinstance(payload["queue"], str)
    assert payload["queue"]
    assert "at" not in payload
    for name in STAMPS:
        value = payload.get(name)
        assert value is None or type(value) is float or (type(value) is int and value >= 10**11), name
    tags = payload.get("tags") or []
    assert isinstance(tags, list)
    assert all(isinstance(tag, str) for tag in tags)
    for name, value in payload.items():
        if name.startswith("cattr"):
            assert isinstance(value, dict | list)
    if payload.get("error_backtrace"):
        assert all(isinstance(line, str) for line in lines_of(payload["error_backtrace"]))
    count = payload.get("retry_count")
    assert count is None or type(count) is int


def in_retry(payload: Mapping[str, Any]) -> None:
    """Fail unless the page of one entry of the retry set can show it."""
    readable(payload)
    assert isinstance(payload["retried_at" if payload["retry_count"] > 0 else "failed_at"], float | int)


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_fails_lies_clean_in_retry(kind, job, db, link, make_worker):
    @job
    def fails(*args: Any) -> None:
        raise ValueError("as it should")

    raw = foreign(kind, "fails", "j1")
    run_pushed(db, link, make_worker, raw)
    (stored,) = db.zrange("retry", 0, -1)
    assert tidy(stored) == stored
    in_retry(decode(stored))
    assert decode(stored)["args"] == decode(raw)["args"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_fails_a_second_time_is_as_clean(kind, job, db, link, make_worker):
    @job
    def fails(*args: Any) -> None:
        raise ValueError("as it should")

    run_pushed(db, link, make_worker, foreign(kind, "fails", "j1"))
    ((stored, at),) = db.zrange("retry", 0, -1, withscores=True)
    db.delete("retry")
    old, new, queue = promotion(stored, at)
    assert (old, queue) == (stored, "default")
    readable(decode(new))
    run_pushed(db, link, make_worker, new)
    in_retry(decode(db.zrange("retry", 0, -1)[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_dies_lies_clean_in_dead(kind, job, db, link, make_worker):
    @job(max_retries=0)
    def dies(*args: Any) -> None:
        raise ValueError("as it should")

    run_pushed(db, link, make_worker, foreign(kind, "dies", "j1", **({} if kind == "odd-retry" else {"retry": 0})))
    (stored,) = db.zrange("dead", 0, -1)
    assert tidy(stored) == stored
    in_retry(decode(stored))


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_put_off_lies_clean_in_schedule(kind, job, db, link, make_worker):
    @job
    def later(*args: Any) -> None:
        raise Snooze(60)

    run_pushed(db, link, make_worker, foreign(kind, "later", "j1"))
    readable(decode(db.zrange("schedule", 0, -1)[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_simply_runs_is_done(kind, job, db, link, make_worker):
    seen: list[Any] = []

    @job
    def runs(*args: Any) -> None:
        seen.append(list(args))

    raw = foreign(kind, "runs", "j1")
    answer = run_pushed(db, link, make_worker, raw)
    assert answer["status"] == "settled"
    assert seen == [decode(raw)["args"]]
    assert not db.exists("retry", "dead", "schedule", "sidelamb:leases")


@pytest.mark.parametrize("kind", KINDS)
def test_one_whose_time_has_come_enters_its_queue_clean(kind):
    raw = foreign(kind, "runs", "j1")
    _, new, queue = promotion(raw, NOW)
    assert queue == "default"
    assert tidy(new) == new
    assert decode(new)["enqueued_at"] == NOW
    readable(decode(new))


@pytest.mark.parametrize("version", ["sidekiq-641", "sidekiq-7310"])
def test_nothing_that_sidekiq_wrote_needs_mending(version):
    for raw in golden(version):
        assert mended(decode(raw)) == {}
        assert cleaned(raw, "default") == raw


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers() | st.text("aé\n")))
def test_what_sidekiq_does_not_read_is_never_touched(fields: dict[str, Any]) -> None:
    ours = {*STAMPS, "tags", "error_backtrace", "error_message", "error_class", "retry_count", "at", "queue"}
    fields = {name: value for name, value in fields.items() if name not in ours and not name.startswith("cattr")}
    assert mended({**fields, "queue": "q"}) == {}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_795_405_727.5, 1_795_405_727.5),
        (1_795_405_727, 1_795_405_727.0),
        (1_795_405_727_500, 1_795_405_727.5),
        (1_795_405_727_500_000, 1_795_405_727.5),
        (1_795_405_727_500_000_000, 1_795_405_727.5),
        ("2026-11-23T03:48:47.5Z", 1_795_405_727.5),
        ("2026-11-23T05:48:47.500000000+02:00", 1_795_405_727.5),
        ("2026-11-23 03:48:47 +0000 UTC", 1_795_405_727.0),
        ("2026-11-23 03:48:47 UTC", 1_795_405_727.0),
        ("2026-11-23T03:48:47", 1_795_405_727.0),
        ("1795405727.5", 1_795_405_727.5),
        (" 1795405727500 ", 1_795_405_727.5),
        (0, 0.0),
    ],
)
def test_a_timestamp_is_read_in_every_form_that_clients_write(value, seconds):
    assert epoch_s(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["soon", "", "nan", "-inf", "1e999", "9" * 500, "2026-13-01", True, None, [], {}, 10**40, -(10**12), "0x5"],
)  # fmt: skip
def test_anything_else_is_no_time(value):
    assert epoch_s(value) is None


def test_each_field_is_mended_in_its_own_way():
    payload = {
        "created_at": "2026-11-23T03:48:47.5Z",
        "enqueued_at": 1_795_405_727,
        "failed_at": "soon",
        "retried_at": 1_795_405_727_500,
        "tags": "billing",
        "cattr": "x",
        "cattr_1": {"a": 1},
        "error_message": ["a", 1],
        "error_class": None,
        "retry_count": 1.5,
        "at": 5,
        "queue": 7,
        "args": [2**70],
    }
    assert mended(payload, "mail") == {
        "created_at": 1_795_405_727.5,
        "enqueued_at": 1_795_405_727.0,
        "failed_at": None,
        "tags": ["billing"],
        "cattr": ["x"],
        "error_message": '["a",1]',
        "retry_count": None,
        "at": None,
        "queue": "mail",
    }


def test_a_backtrace_is_stored_as_sidekiq_reads_it():
    assert lines_of(mended({"error_backtrace": ["a", 5]})["error_backtrace"]) == ["a", "5"]
    assert lines_of(mended({"error_backtrace": "a\nb"})["error_backtrace"]) == ["a", "b"]
    assert mended({"error_backtrace": 5, "queue": "q"}) == {"error_backtrace": None}
    packed = mended({"error_backtrace": ["a" * 90]})["error_backtrace"]
    wrapped = re.sub("(.{60})", "\\1\n", packed)  # as before Sidekiq 7.2
    for good in (packed, wrapped):
        assert mended({"error_backtrace": good, "queue": "q"}) == {}


def test_our_own_changes_go_before_what_is_mended():
    raw = b'{"error_message":5,"failed_at":"soon","queue":null,"x":1}'
    new = renewed(raw, {"queue": "a", "error_message": "boom", "failed_at": 5.0}, "b")
    assert new == b'{"error_message":"boom","failed_at":5.0,"queue":"a","x":1}'


def test_milliseconds_are_written_where_they_are_set():
    configure(timestamps="ms")
    new = decode(renewed(encode({"created_at": "2026-11-23T03:48:47.5Z", "queue": "q"}), {"failed_at": NOW}, "q"))
    assert new == {"created_at": 1_795_405_727_500, "queue": "q", "failed_at": 1_795_405_727_500}
