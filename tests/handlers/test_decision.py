"""Each outcome becomes its move, and travels in an answer."""

from __future__ import annotations

import json

import pytest

from sidelamb.store import Move
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome, changed_fields, move, split
from tests.handlers.kit import NOW

RAW = b'{"class":"A","args":[],"jid":"1","retry":true,"queue":"q"}'


class TestMove:
    def test_success_leaves_redis_and_counts(self):
        assert move("0:q", SUCCEEDED, RAW) == Move("0:q", "x", count="p")

    def test_a_discarded_job_leaves_redis_and_counts(self):
        assert move("0:q", Decision(Outcome.DISCARDED, NOW), RAW) == Move("0:q", "x", count="p")
        assert move("0:q", Decision(Outcome.DISCARDED, NOW, failed=True), RAW) == Move("0:q", "x", count="f")

    def test_what_does_not_count_is_not_counted(self):
        assert move("0:q", Decision(Outcome.DISCARDED, NOW, counted=False), RAW) == Move("0:q", "x")

    def test_a_retry_goes_to_its_time_with_new_bytes(self):
        made = move("0:q", Decision(Outcome.RETRY, NOW + 15, {"retry_count": 0}, failed=True), RAW)
        assert made == Move("0:q", "z", "retry", NOW + 15, RAW[:-1] + b',"retry_count":0}', "f")

    def test_a_dead_job_goes_to_dead(self):
        made = move("0:q", Decision(Outcome.DEAD, NOW, {"retry_count": 0}, failed=True), RAW)
        assert made == Move("0:q", "z", "dead", NOW, RAW[:-1] + b',"retry_count":0}', "f")
        assert move("0:q", Decision(Outcome.DEAD, NOW, counted=False), RAW).count == "-"

    def test_a_snoozed_job_goes_to_the_schedule_uncounted(self):
        made = move("0:q", Decision(Outcome.SNOOZED, NOW + 9, counted=False), RAW)
        assert made == Move("0:q", "z", "schedule", NOW + 9, b"", "-")

    def test_a_returned_job_goes_back_to_its_source_or_to_be_served_alone(self):
        assert move("0:q", Decision(Outcome.RETURNED, counted=False), RAW) == Move("0:q", "r", "source")
        alone = Decision(Outcome.RETURNED, counted=False, alone=True)
        assert move("0:q", alone, RAW) == Move("0:q", "r", "alone")

    def test_an_interrupted_job_goes_to_the_back_of_its_queue(self):
        made = move("3:mail:eu", Decision(Outcome.INTERRUPTED, changes={"x": 1}), RAW)
        assert made == Move("3:mail:eu", "l", "queue:mail:eu", payload=RAW[:-1] + b',"x":1}')

    def test_without_changes_the_stored_bytes_move(self):
        assert move("0:q", Decision(Outcome.RETRY, NOW, failed=True), RAW).payload == b""

    @pytest.mark.parametrize("unreadable", [b"", b"not json", b"[1]", b'{"a":', b"\xff{}"])
    def test_bytes_that_cannot_be_read_move_as_they_are(self, unreadable):
        made = move("0:q", Decision(Outcome.DEAD, NOW, {"retry_count": 0}, failed=True), unreadable)
        assert (made.to, made.payload) == ("dead", b"")

    def test_every_other_byte_of_a_payload_stays(self):
        raw = '{"n":123456789012345678901234567890,"f":1.0e+20,"é":"日本","retry_count":1,"queue":"q"}'.encode()
        new = move("0:q", Decision(Outcome.RETRY, NOW, {"retry_count": 2}, failed=True), raw).payload
        assert new == raw.replace(b'"retry_count":1', b'"retry_count":2')

    def test_every_other_value_stays_however_it_is_written(self):
        raw = b'{ "n" : 123456789012345678901234567890, "\\u00e9": [ "\\u00e9" , {} ],\n'
        raw += b'"retry_count": 1, "queue": "q" }'
        new = move("0:q", Decision(Outcome.RETRY, NOW, {"retry_count": 2}, failed=True), raw).payload
        assert json.loads(new) == {**json.loads(raw), "retry_count": 2}


class TestSplit:
    def test_plain_successes_are_named_and_the_others_move(self):
        retry = Decision(Outcome.RETRY, NOW, {"retry_count": 0}, failed=True)
        done, moves = split({"0:q": SUCCEEDED, "1:q": retry, "2:q": SUCCEEDED}, {"1:q": RAW})
        assert done == ["0:q", "2:q"]
        assert [m.field for m in moves] == ["1:q"]

    def test_moves_are_reversed_so_that_the_first_returned_is_next_to_run(self):
        back = Decision(Outcome.RETURNED, counted=False)
        _, moves = split({"0:q": back, "1:q": back, "2:q": back}, {})
        assert [m.field for m in moves] == ["2:q", "1:q", "0:q"]

    def test_a_job_that_has_left_the_lease_is_passed_over(self):
        retry = Decision(Outcome.RETRY, NOW, {"retry_count": 0}, failed=True)
        assert split({"0:q": retry, "1:q": retry}, {"1:q": RAW})[1][0].field == "1:q"
        assert len(split({"0:q": retry, "1:q": retry}, {"1:q": RAW})[1]) == 1

    def test_only_the_bytes_of_jobs_that_change_are_needed(self):
        back = Decision(Outcome.RETURNED, counted=False)
        retry = Decision(Outcome.RETRY, NOW, {"retry_count": 0}, failed=True)
        assert changed_fields({"0:q": SUCCEEDED, "1:q": back, "2:q": retry}) == ["2:q"]


class TestWire:
    @pytest.mark.parametrize(
        "decision",
        [
            SUCCEEDED,
            Decision(Outcome.RETRY, NOW, {"retry_count": 0, "error_message": "é"}, failed=True),
            Decision(Outcome.DEAD, NOW, {"failed_at": NOW}, failed=True),
            Decision(Outcome.DEAD, NOW, counted=False),
            Decision(Outcome.DISCARDED, NOW, failed=True),
            Decision(Outcome.SNOOZED, NOW + 5, counted=False),
            Decision(Outcome.INTERRUPTED, changes={"c": [1]}),
            Decision(Outcome.RETURNED, counted=False, alone=True),
        ],
        ids=lambda d: d.outcome.value,
    )
    def test_a_decision_survives_the_way_to_the_poller(self, decision):
        assert Decision.from_wire(json.loads(json.dumps(decision.to_wire()))) == decision

    def test_what_a_newer_worker_adds_at_the_end_is_passed_over(self):
        assert Decision.from_wire([*SUCCEEDED.to_wire(), "new", 1]) == SUCCEEDED

    def test_reasons_stay_where_the_log_is(self):
        assert "secret" not in json.dumps(Decision(Outcome.DISCARDED, reason="secret").to_wire())
