"""The event that carries jobs, and the answer that comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome
from sidelamb_handlers.event import (
    MOST_BYTES,
    Answer,
    BadEvent,
    Status,
    extra_bytes,
    read_event,
    write_event,
)
from tests.handlers.kit import NOW

HEAD = {"lease": "c:1", "capsule": "c", "start_by": NOW, "deadline": NOW + 70.5}


def event(jobs: dict[str, bytes], **options: Any) -> bytes:
    return write_event(jobs, **{**HEAD, **options})


class TestEvent:
    def test_what_is_written_is_read(self):
        made = read_event(
            json.loads(event({"0:a": b'{"x":1}', "1!b": b"[2]"}, threads=3, detached=True, careful=True))
        )
        assert (made.lease, made.capsule, made.start_by, made.deadline) == ("c:1", "c", NOW, NOW + 70.5)
        assert (made.threads, made.detached, made.careful) == (3, True, True)
        assert (made.fields, made.jobs) == (["0:a", "1!b"], [{"x": 1}, [2]])

    def test_one_job_at_a_time_with_a_redis_is_the_default(self):
        made = read_event(json.loads(event({"0:a": b"{}"})))
        assert (made.threads, made.detached, made.careful) == (1, False, False)

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"args":["h\xc3\xa9llo \xf0\x9f\x98\x80"]}',
            b'{"args":["h\\u00e9"]}',
            b'{"n":123456789012345678901234567890}',
            b'{"f":1.0e+20,"g":1e-05,"h":-0.0}',
            b'{ "spaces" :\t[ 1 ,\n2 ] }',
            b'{"twice":1,"twice":2}',
            b'{"quotes":"\\"\\\\]}"}',
            b"null",
            b"[]",
        ],
    )
    def test_a_payload_is_embedded_byte_for_byte(self, raw):
        written = event({"0:a": b"{}", "1:a": raw, "2:a": b"{}"})
        assert b'"jobs":[{},' + raw + b",{}]}" in written
        assert json.loads(written)["jobs"][1] == json.loads(raw)

    def test_a_lease_without_jobs_is_still_json(self):
        assert json.loads(event({}))["jobs"] == []

    def test_the_limits_leave_room_for_what_is_around_the_jobs(self):
        field = "9999:" + "q" * 100
        assert len(event({field: b"{}"}, capsule="c" * 100)) - len(b"{}") < 6_291_456 - MOST_BYTES
        a_job_more = len(event({field: b"{}", "8888:" + "q" * 100: b"{}"})) - len(event({field: b"{}"}))
        assert a_job_more - len(b"{}") <= extra_bytes(["short", "q" * 100])

    @pytest.mark.parametrize("foreign", [None, [], "x", 1, {}, {"Records": []}, {"source": "aws.events"}])
    def test_what_is_not_ours_is_refused_in_a_sentence(self, foreign):
        with pytest.raises(BadEvent, match="this event is something else"):
            read_event(foreign)

    @pytest.mark.parametrize("version", [-1, 3, "1", True, 1.0, None])
    def test_another_version_is_refused_with_what_to_do(self, version):
        with pytest.raises(BadEvent, match="this worker reads 1; deploy the worker first"):
            read_event({**json.loads(event({})), "sidelamb": version})


class TestAnswer:
    def test_the_usual_one_is_small(self):
        wire = Answer("c:1", Status.SETTLED, ran=3, ms=12.34567).to_wire()
        assert wire == {"sidelamb": 1, "lease": "c:1", "status": "settled", "ran": 3, "ms": 12.346}

    def test_it_survives_the_way_to_the_poller(self):
        outcomes = {"0:a": SUCCEEDED, "1:a": Decision(Outcome.RETRY, NOW, {"retry_count": 0}, failed=True)}
        answer = Answer("c:1", Status.UNSETTLED, "", 2, 5.5, outcomes)
        assert Answer.from_wire(json.dumps(answer.to_wire()).encode()) == answer
        refused = Answer("c:1", Status.REFUSED, "too late")
        assert Answer.from_wire(json.dumps(refused.to_wire()).encode()) == refused

    @pytest.mark.parametrize(
        "garbage",
        [
            b"",
            b"null",
            b"[]",
            b'"ok"',
            b"{}",
            b"\xff",
            b'{"statusCode":200}',
            b'{"lease":"c:1","status":"settled"}',
            b'{"lease":"c:1","status":"unsettled","ran":1,"ms":1,"outcomes":[]}',
            b'{"lease":"c:1","status":"unsettled","ran":1,"ms":1,"outcomes":{"0:a":null}}',
            b'{"lease":"c:1","status":"unsettled","ran":1,"ms":1,"outcomes":{"0:a":["melted",0,{},""]}}',
            b'{"lease":"c:1","status":"unsettled","ran":1,"ms":1,"outcomes":{"0:a":["retry"]}}',
            b'{"lease":"c:1","status":"unsettled","ran":1,"ms":1,"outcomes":{"0:a":["retry",0,{},5]}}',
        ],
    )
    def test_what_is_no_answer_is_none(self, garbage):
        assert Answer.from_wire(garbage) is None

    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(st.binary(max_size=40))
    def test_no_bytes_make_reading_fail(self, raw):
        Answer.from_wire(raw)
