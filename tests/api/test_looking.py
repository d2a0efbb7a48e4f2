"""Numbers, processes, what runs, leases, and jobs as the API shows them."""

from __future__ import annotations

import base64
import datetime as dt
import json
import zlib

import pytest

from sidelamb.api import JobRecord, Leases, Processes, Queue, Stats, Work
from sidelamb.api.pattern import Pattern
from sidelamb.errors import BadArgument, Malformed, SidelambError
from tests.api.conftest import NOW, payload

ME = "host:1:abc"


def beat(client, **info) -> None:
    said = {"hostname": "host", "pid": 1, "started_at": NOW - 60, "queues": ["mail"], "embedded": False, **info}
    fields = {
        "info": json.dumps(said),
        "concurrency": 10,
        "busy": 1,
        "beat": NOW - 2.5,
        "quiet": "false",
        "rss": 40_000,
        "rtt_us": 250,
    }
    entry = {"queue": "mail", "payload": payload("a", packed=7).decode(), "run_at": int(NOW) - 9}
    client.link.run(client.store.beat(ME, 60, fields, {"c:1": json.dumps(entry).encode()}))


def lease(client, *jids: str, claim: str = "") -> None:
    client.link.run(client.store.enqueue([("mail", payload(jid)) for jid in jids]))
    call = client.store.reserve(
        ["c:1"], ["mail"], capsule="c", poller="p", expires=NOW + 30, cap=9, most_jobs=999, most_bytes=10**7
    )
    client.link.run(call)
    if claim:
        client.link.run(client.store.claim("c:1", request_id=claim, now=NOW + 1, deadline=NOW + 100))


def test_an_empty_redis_has_numbers_too(client, db):
    s = Stats(client).summary()
    assert (s.processed, s.failed, s.enqueued, s.scheduled, s.retrying, s.dead, s.leases, s.processes) == (0,) * 8
    assert Stats(client).queues() == []


def test_the_numbers_are_those_of_redis(client, db):
    k = client.store.keys
    db.mset({k.processed: 12, k.failed: 3})
    db.zadd(k.schedule, {"a": 1})
    db.zadd(k.dead, {"a": 1, "b": 2})
    client.enqueue("Work", 1, queue="low")
    db.lpush(k.alone("low"), payload("s"))
    Queue("low", client).pause()
    s = Stats(client).summary()
    assert (s.processed, s.failed, s.enqueued, s.scheduled, s.dead) == (12, 3, 2, 1, 2)
    assert Stats(client).queues() == [("low", 2, 0.0, True, "")]


def test_a_queue_whose_key_another_program_uses_is_listed_and_counts_for_nothing_there(client, db):
    k = client.store.keys
    client.enqueue("Work", 1, queue="mail")
    db.sadd(k.queues, "foo", "low")
    db.set(k.queue("foo"), "x")
    db.lpush(k.alone("foo"), payload("s"))
    db.set(k.alone("low"), "x")
    assert Stats(client).summary().enqueued == 2
    assert Stats(client).queues() == [
        ("foo", 1, 0.0, False, k.queue("foo").decode()),
        ("mail", 1, 0.0, False, ""),
        ("low", 0, 0.0, False, k.alone("low").decode()),
    ]
    assert Queue("foo", client).foreign_key() == k.queue("foo").decode()
    assert Queue("mail", client).foreign_key() == ""


def test_a_thousand_queues_are_listed_the_longest_first(client, db):
    client.push_many({"class": "Work", "args": [n], "queue": f"q{n}"} for n in range(1_200))
    client.enqueue("Work", 1, queue="q7")
    queues = Stats(client).queues()
    assert len(queues) == 1_200
    assert queues[0][:2] == ("q7", 2)


def test_history_goes_back_day_by_day(client, db):
    k = client.store.keys
    db.mset({k.processed_on("2027-01-15"): 5, k.failed_on("2027-01-15"): 1, k.processed_on("2027-01-14"): "x"})
    days = Stats(client).history(800)
    assert days[0] == (dt.date(2027, 1, 15), 5, 1)
    assert days[1] == (dt.date(2027, 1, 14), 0, 0)
    assert len(days) == 800
    with pytest.raises(BadArgument, match="1 to 1830"):
        Stats(client).history(0)


def test_processes_show_themselves(client, db):
    beat(client)
    (process,) = Processes(client)
    assert (process.identity, process.busy, process.concurrency, process.rss_kb) == (ME, 1, 10, 40_000)
    assert process.beat_at == dt.datetime.fromtimestamp(NOW - 2.5, dt.UTC)
    assert process.is_quiet is False
    assert Processes(client).size() == 1


def test_a_process_that_has_died_is_not_shown(client, db):
    beat(client)
    db.delete(client.store.keys(ME))
    assert list(Processes(client)) == []


def test_quiet_and_stop_leave_signals_that_the_next_beat_reads(client, db):
    beat(client)
    processes = Processes(client)
    assert (processes.quiet(ME), processes.stop(ME), processes.stop("nobody")) == (True, True, False)
    call = client.store.beat(ME, 60, {"info": "{}"}, {})
    assert sorted(client.link.run(call)) == ["TERM", "TSTP"]


def test_an_embedded_process_is_not_stopped_from_outside(client, db):
    beat(client, embedded=True)
    with pytest.raises(SidelambError, match="embedded in another program"):
        Processes(client).stop(ME)


def test_work_names_job_since_when_and_request_id(client, db):
    beat(client)
    lease(client, "a", "b", claim="req-1/x")
    (running,) = Work(client)
    assert (running.process, running.thread, running.queue) == (ME, "c:1", "mail")
    assert (running.job.jid, running.jobs, running.request_id) == ("a", 7, "req-1")
    assert running.since == dt.datetime.fromtimestamp(int(NOW) - 9, dt.UTC)


def test_all_leases_are_shown_though_those_that_were_shown_end_meanwhile(client, db):
    db.zadd(client.store.keys.leases, {f"c:{n}": NOW + n // 40 for n in range(1_050)})
    shown = []
    for one in Leases(client):
        shown.append(one.id)
        db.zrem(client.store.keys.leases, one.id)
    assert sorted(shown) == sorted(f"c:{n}" for n in range(1_050))


def test_leases_name_who_holds_what_until_when(client, db):
    lease(client, *(f"j{n}" for n in range(300)), claim="req-1/x")
    (one,) = Leases(client)
    assert (one.id, one.capsule, one.poller, one.jobs, one.request_id) == ("c:1", "c", "p", 300, "req-1")
    assert one.expires_at == dt.datetime.fromtimestamp(NOW + 100, dt.UTC)
    assert one.claimed_at == dt.datetime.fromtimestamp(NOW + 1, dt.UTC)
    assert Leases(client).find("c:1") == one
    assert Leases(client).find("c:2") is None
    jids, cursor = set(), 0
    while True:
        jobs, cursor = Leases(client).jobs("c:1", cursor)
        jids |= {job.jid for job in jobs}
        if cursor == 0:
            break
    assert jids == {f"j{n}" for n in range(300)}


async def test_async_code_has_the_same(client, db):
    beat(client)
    lease(client, "a")
    assert (await Stats(client).asummary()).processes == 1
    assert [p.identity async for p in Processes(client)] == [ME]
    assert [w.job.jid async for w in Work(client)] == ["a"]
    assert [one.request_id async for one in Leases(client)] == [""]
    assert await Processes(client).aquiet(ME)


class TestRecord:
    def test_times_are_read_in_every_form(self):
        for stamp in (NOW, NOW * 1000, str(NOW), "2027-01-15T08:00:00Z"):
            record = JobRecord(payload("a", created_at=stamp))
            assert record.created_at == dt.datetime(2027, 1, 15, 8, tzinfo=dt.UTC)

    def test_what_cannot_be_used_is_none_or_empty(self):
        raw = b'{"class":5,"args":{"a":1},"retry_count":"x","created_at":[],"tags":"slow","kwargs":3}'
        record = JobRecord(raw)
        assert (record.name, record.args, record.kwargs, record.tags) == ("5", [], {}, ["slow"])
        assert (record.retry_count, record.created_at, record.jid, record.queue) == (None, None, "", "default")
        assert record.raw == raw

    @pytest.mark.parametrize(
        ("text", "does"),
        [
            ("work", True),
            ("TIMEOUT", True),
            ("Tim*", True),
            ("*out*", True),
            ("an*example.COM", True),
            ("example*an", False),
            ("vip", True),
            ("*", True),
            ("a.ly*x*y*z", False),
            ("mail*Work", False),
        ],
    )
    def test_a_pattern_matches_within_any_one_of_what_a_person_sees(self, text, does):
        fields = {"error_class": "Timeout", "args": ["ann@example.com"], "tags": ["vip"]}
        assert JobRecord(payload("j1", **fields)).matches(text) is does

    @pytest.mark.parametrize(
        "text", ["zoë", "zo", "def", "1000", "1e3", "a/b", "kk", "j1", "stras", '", "', " nu", "a b", "nothere"]
    )
    def test_bytes_are_passed_over_undecoded_only_if_they_surely_do_not_match(self, text):
        raws = [
            payload("j1", args=["Zo\u00eb", 1e3]),
            payload("j1", args=["x"]).replace(b'"queue":"mail",', b""),
            payload("j1").replace(b'["j1"]', b'["a\\/b",1e3,"\xe2\x84\xaa\xe2\x84\xaa","q","q"]'),
            payload("j1", args=[1, None, "a b"]),
            payload("j1", tags=["STRASSE"]),
        ]
        pattern = Pattern(text)
        for raw in raws:
            assert not (pattern.lacks(raw) and pattern.matches(JobRecord(raw))), raw
        assert Pattern("nothere").lacks(raws[-1])
        assert Pattern("not here").lacks(raws[-1])

    def test_backtraces_are_unpacked(self):
        packed = base64.b64encode(zlib.compress(b'["a.py:1","b.py:2"]')).decode()
        assert JobRecord(payload("a", error_backtrace=packed)).backtrace == ["a.py:1", "b.py:2"]
        assert JobRecord(payload("a", error_backtrace=["x"])).backtrace == ["x"]
        assert JobRecord(payload("a", error_backtrace="!")).backtrace == []

    def test_its_failures_are_read_and_what_is_no_such_list_is_none(self):
        first, second = JobRecord(payload("a", failures=[[1, 9.5, 1500, "E"], [2, 20, None, "F"]])).failures
        assert (first.attempt, first.ran_s, first.error_class) == (1, 1.5, "E")
        assert first.started_at == dt.datetime.fromtimestamp(8, dt.UTC)
        assert second.ended_at == dt.datetime.fromtimestamp(20, dt.UTC)
        assert second.started_at is None
        for odd in (3, "x", {}, [1], [[1]], [["1", 2, 3, "E"]], [[1, 1e300, 10**300, "E"], 5]):
            assert JobRecord(payload("a", failures=odd)).failures == []
        (far,) = JobRecord(payload("a", failures=[[1, 5.0, 10**300, "E"]])).failures
        assert far.started_at is None

    def test_its_canonical_form_is_ours_to_the_last_digit(self):
        assert JobRecord(b'{ "class": "A", "n": 12345678901234567890123 }').canonical == (
            b'{"class":"A","n":12345678901234567890123}'
        )
        with pytest.raises(Malformed):
            _ = JobRecord(b"[]").canonical
