"""What Sidekiq decides when a job fails, row by row."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidelamb.payload import decode, encode
from sidelamb_handlers.decision import Decision, Outcome
from sidelamb_handlers.failure import (
    KILLS_MOST,
    Failure,
    killed,
    killed_raw,
    on_failure,
    remembering,
    retry_delay,
    retry_limit,
)
from tests.handlers.kit import NOW, golden

BOOM = Failure("ValueError", "boom")
LARGEST = 0.9999999999999999
"""The largest that a random in [0, 1) gives."""


def fail(payload: dict[str, Any], failure: Failure = BOOM, *, random: float = 0.0, **options: Any) -> Decision:
    return on_failure(payload, failure, **{"queue": "mail", "now": NOW, "random": lambda: random, **options})


def kill(payload: dict[str, Any]) -> Decision:
    return killed(payload, "signal: killed", queue="mail", now=NOW, random=lambda: 0.0)


class TestLimit:
    @pytest.mark.parametrize(
        ("retry", "limit"),
        [(True, 25), (25, 25), (1, 1), (0, 0), (100_000, 100_000), (-1, -1), (False, None)],
    )
    def test_true_is_twenty_five_a_number_is_itself_and_false_is_never(self, retry, limit):
        assert retry_limit(retry) == limit

    @pytest.mark.parametrize("odd", [None, "5", "true", 2.5, [], {}, "false"])
    def test_what_says_nothing_usable_is_the_default(self, odd):
        assert retry_limit(odd) == 25
        assert retry_limit(odd, 3) == 3

    def test_true_is_sidekiqs_default_whatever_the_job_declares(self):
        assert retry_limit(True, 3) == 25

    def test_false_on_the_wire_stands_above_what_the_job_declares(self):
        assert retry_limit(False, 3) is None


class TestDelay:
    @pytest.mark.parametrize(
        ("count", "least", "most"),
        [(0, 15, 24), (1, 16, 35), (2, 31, 60), (3, 96, 135), (10, 10_015, 10_124), (24, 331_791, 332_040)],
    )
    def test_the_bounds_of_sidekiqs_formula(self, count, least, most):
        assert retry_delay(count, lambda: 0.0) == least
        assert retry_delay(count, lambda: LARGEST) == most

    def test_twenty_five_retries_last_about_twenty_days(self):
        days = sum(retry_delay(n, lambda: 0.5) for n in range(25)) / 86_400
        assert 20 < days < 21

    def test_the_score_is_now_plus_the_delay_of_the_new_count(self):
        assert fail({"retry": True}).at == NOW + 15
        assert fail({"retry": True, "retry_count": 0}, random=LARGEST).at == NOW + 35

    def test_a_job_may_name_its_own_delay(self):
        assert fail({"retry": True, "retry_count": 7}, delay_s=0.0).at == NOW
        assert fail({"retry": True}, delay_s=3600.0).at == NOW + 3600


class TestFields:
    def test_the_first_failure(self):
        decision = fail({"class": "A", "args": [], "retry": True, "queue": "mail"})
        assert decision.outcome is Outcome.RETRY
        assert (decision.failed, decision.counted) == (True, True)
        assert decision.changes == {
            "queue": "mail",
            "error_message": "boom",
            "error_class": "ValueError",
            "failed_at": NOW,
            "retry_count": 0,
        }

    def test_a_later_failure_keeps_the_time_of_the_first(self):
        changes = fail({"retry": True, "failed_at": 5.0, "retry_count": 3}).changes
        assert (changes["retry_count"], changes["retried_at"]) == (4, NOW)
        assert "failed_at" not in changes

    def test_a_count_of_minus_one_is_legal_the_web_page_made_it(self):
        decision = fail({"retry": True, "failed_at": 5.0, "retry_count": -1})
        assert decision.outcome is Outcome.RETRY
        assert (decision.changes["retry_count"], decision.changes["retried_at"]) == (0, NOW)

    @pytest.mark.parametrize("odd", [True, False, "3", 1.5, None, []])
    def test_a_count_that_is_no_integer_is_none(self, odd):
        changes = fail({"retry": True, "retry_count": odd}).changes
        assert (changes["retry_count"], changes["failed_at"]) == (0, NOW)

    def test_a_later_failure_without_the_time_of_the_first_gets_one_for_the_web_page(self):
        assert fail({"retry": True, "retry_count": 2}).changes["failed_at"] == NOW

    def test_the_queue_is_the_one_it_came_from_whatever_the_payload_says(self):
        assert fail({"retry": True, "queue": "elsewhere"}).changes["queue"] == "mail"

    def test_retries_may_have_a_queue_of_their_own(self):
        assert fail({"retry": True, "retry_queue": "slow"}).changes["queue"] == "slow"

    @pytest.mark.parametrize("odd", [None, "", 5, ["slow"]])
    def test_a_retry_queue_that_is_no_name_is_none(self, odd):
        assert fail({"retry": True, "retry_queue": odd}).changes["queue"] == "mail"

    def test_the_first_ten_thousand_characters_of_a_message_are_kept(self):
        assert fail({}, Failure("E", "é" * 10_001)).changes["error_message"] == "é" * 10_000

    def test_what_is_no_unicode_is_replaced_so_that_the_payload_stays_json(self):
        changes = fail({}, Failure("E\udcff", "a\ud800b\udcfec")).changes
        assert changes["error_message"] == "a?b?c"
        assert changes["error_class"] == "E?"
        encode(dict(changes))

    def test_they_are_the_fields_that_sidekiq_itself_writes(self):
        retries = [decode(raw) for raw in golden("sidekiq-7310") if b'"error_class"' in raw]
        assert len(retries) > 3
        for ruby in retries:
            base = {k: v for k, v in ruby.items() if not k.startswith(("error_", "failed_", "retried_"))}
            base.pop("retry_count")
            if "retried_at" in ruby:
                base |= {"retry_count": ruby["retry_count"] - 1, "failed_at": ruby["failed_at"]}
            failure = Failure(ruby["error_class"], ruby["error_message"], ("a:1:in f",))
            decision = fail(base, failure, queue=ruby["queue"])
            ours = {**base, **decision.changes}
            assert set(ours) == set(ruby)
            assert {k: type(v) for k, v in ours.items()} == {k: type(v) for k, v in ruby.items()}
            assert ours["retry_count"] == ruby["retry_count"]


class TestBacktrace:
    LINES = ("app.py:1:in a", "app.py:2:in b", "app.py:3:in c")

    def lines(self, wanted: Any, lines: tuple[str, ...] = LINES) -> list[str] | None:
        packed = fail({"backtrace": wanted}, Failure("E", "m", lines)).changes.get("error_backtrace")
        if packed is None:
            return None
        return json.loads(zlib.decompress(base64.b64decode(packed, validate=True)))

    def test_true_keeps_every_line(self):
        assert self.lines(True) == list(self.LINES)

    @pytest.mark.parametrize(("wanted", "kept"), [(1, 1), (2, 2), (99, 3)])
    def test_a_number_keeps_the_first_lines(self, wanted, kept):
        assert self.lines(wanted) == list(self.LINES[:kept])

    @pytest.mark.parametrize("wanted", [False, None, 0, -1, "true", 1.5, []])
    def test_anything_else_keeps_none(self, wanted):
        assert self.lines(wanted) is None

    def test_strange_characters_survive(self):
        assert self.lines(True, ("ü.py:1:in 日本", "x\ud800")) == ["ü.py:1:in 日本", "x?"]


class TestExhausted:
    def test_retry_n_means_n_retries_after_the_first_run(self):
        outcomes = []
        payload: dict[str, Any] = {"retry": 3}
        for _ in range(4):
            decision = fail(payload)
            outcomes.append(decision.outcome)
            payload |= decision.changes
        assert outcomes == [Outcome.RETRY] * 3 + [Outcome.DEAD]

    @pytest.mark.parametrize(("count", "outcome"), [(23, Outcome.RETRY), (24, Outcome.DEAD), (25, Outcome.DEAD)])
    def test_by_default_the_twenty_sixth_failure_is_the_last(self, count, outcome):
        assert fail({"retry": True, "retry_count": count}).outcome is outcome

    def test_retry_zero_goes_straight_to_dead_with_its_fields(self):
        decision = fail({"retry": 0})
        assert (decision.outcome, decision.at, decision.failed) == (Outcome.DEAD, NOW, True)
        assert decision.changes["retry_count"] == 0

    def test_retry_false_goes_nowhere_and_counts_as_failed(self):
        decision = fail({"retry": False})
        assert (decision.outcome, decision.failed, decision.counted) == (Outcome.DISCARDED, True, True)
        assert not decision.changes

    def test_dead_false_drops_it(self):
        assert fail({"retry": 0, "dead": False}).outcome is Outcome.DISCARDED

    @pytest.mark.parametrize("odd", [None, 0, "", "false", [], True])
    def test_only_false_drops_it(self, odd):
        assert fail({"retry": 0, "dead": odd}).outcome is Outcome.DEAD

    def test_a_payload_that_does_not_say_follows_the_declaration(self):
        assert fail({"retry": 0}, default_dead=False).outcome is Outcome.DISCARDED
        assert fail({"retry": 0, "dead": True}, default_dead=False).outcome is Outcome.DEAD
        assert fail({}, default_retries=0).outcome is Outcome.DEAD
        assert fail({"retry": 1}, default_retries=0).outcome is Outcome.RETRY

    def test_a_delay_of_its_own_gives_no_retry_more(self):
        assert fail({"retry": 1, "retry_count": 0}, delay_s=1.0).outcome is Outcome.DEAD


class TestRetryFor:
    def after(self, seconds: float, window: Any, *, ms: bool = False, **fields: Any) -> Outcome:
        since = NOW - seconds
        failed_at = int(since * 1000) if ms else since
        return fail({"retry_for": window, "failed_at": failed_at, "retry_count": 1, **fields}).outcome

    @pytest.mark.parametrize("ms", [False, True])
    def test_the_window_counts_from_the_first_failure_in_either_unit(self, ms):
        assert self.after(59, 60, ms=ms) is Outcome.RETRY
        assert self.after(60, 60, ms=ms) is Outcome.RETRY
        assert self.after(61, 60, ms=ms) is Outcome.DEAD

    def test_a_window_may_have_a_fraction(self):
        assert self.after(1, 1.5) is Outcome.RETRY
        assert self.after(2, 1.5) is Outcome.DEAD

    def test_only_the_window_counts_then_not_the_number(self):
        decision = fail({"retry_for": 60, "failed_at": NOW - 1, "retry_count": 500, "retry": 3})
        assert decision.outcome is Outcome.RETRY

    def test_the_first_failure_is_always_within(self):
        assert fail({"retry_for": 1}).outcome is Outcome.RETRY

    def test_retry_false_stays_false(self):
        assert fail({"retry_for": 60, "retry": False}).outcome is Outcome.DISCARDED

    @pytest.mark.parametrize("odd", [True, False, "60", None, []])
    def test_a_window_that_is_no_number_is_none(self, odd):
        assert self.after(1e9, odd, retry=25) is Outcome.RETRY
        assert self.after(1, odd, retry=1) is Outcome.DEAD

    @pytest.mark.parametrize("odd", ["yesterday", None, True])
    def test_a_first_failure_at_no_time_is_within(self, odd):
        assert fail({"retry_for": 1, "failed_at": odd, "retry_count": 3}).outcome is Outcome.RETRY

    def test_the_first_failure_of_a_job_that_has_an_old_time_of_failure_is_within(self):
        assert fail({"retry_for": 60, "failed_at": NOW - 9_999}).outcome is Outcome.RETRY


class TestKilled:
    def test_the_first_time_it_is_charged_and_runs_again_at_once_alone(self):
        decision = kill({"retry": True})
        assert (decision.outcome, decision.alone) == (Outcome.RETURNED, True)
        assert (decision.failed, decision.counted) == (True, True)
        assert decision.changes["kills"] == 1
        assert decision.changes["error_class"] == "SandboxKilled"
        assert decision.changes["error_message"] == "signal: killed (kill 1 of 3)"
        assert decision.changes["retry_count"] == 0
        assert "doomed" not in decision.changes

    def test_the_second_time_it_waits_as_after_any_failure(self):
        decision = kill({"retry": True, "kills": 1, "retry_count": 0, "failed_at": NOW - 9})
        assert (decision.outcome, decision.at, decision.failed) == (Outcome.RETRY, NOW + 16, True)
        assert (decision.changes["kills"], decision.changes["retry_count"]) == (2, 1)

    def test_after_the_third_it_is_doomed_however_many_retries_are_left(self):
        payload: dict[str, Any] = {"retry": True}
        for _ in range(KILLS_MOST):
            decision = kill(payload)
            payload |= decision.changes
        assert (decision.outcome, decision.alone) == (Outcome.RETURNED, True)
        assert payload["doomed"] is True
        assert payload["error_message"] == "signal: killed (kill 3 of 3)"
        assert payload["retry_count"] == 2

    def test_kills_count_among_the_other_failures(self):
        decision = kill({"retry": True, "kills": 2, "retry_count": 8, "failed_at": 1.0})
        assert (decision.changes["retry_count"], decision.changes["doomed"]) == (9, True)

    @pytest.mark.parametrize("retry", [0, False])
    def test_a_job_without_retries_is_doomed_by_the_first_kill(self, retry):
        decision = kill({"retry": retry})
        assert (decision.outcome, decision.changes["doomed"]) == (Outcome.RETURNED, True)

    @pytest.mark.parametrize("odd", [None, True, "2", 2.0, []])
    def test_a_number_of_kills_that_is_none_begins_anew(self, odd):
        assert kill({"retry": True, "kills": odd}).changes["kills"] == 1

    @pytest.mark.parametrize("raw", [b"junk", b"[1]", b"null", b""])
    def test_bytes_that_cannot_be_read_go_to_dead_as_they_are(self, raw):
        decision = killed_raw(raw, "m", queue="q", now=NOW, random=lambda: 0.0)
        assert (decision.outcome, decision.at, dict(decision.changes)) == (Outcome.DEAD, NOW, {})

    def test_one_that_is_doomed_already_goes_to_dead_without_asking_a_worker(self):
        decision = kill({"retry": True, "kills": 3, "retry_count": 2, "failed_at": 1.0, "doomed": True})
        assert decision.outcome is Outcome.DEAD


class TestRemembering:
    def kept(self, payload: dict[str, Any], failure: Failure = BOOM, ms: float | None = 12.4) -> Any:
        return remembering(fail(payload, failure), payload, NOW, ms).changes.get("failures")

    def test_each_run_that_failed_leaves_a_row(self):
        first = self.kept({"retry": True})
        assert first == [[1, NOW, 12, "ValueError"]]
        again = {"retry": True, "retry_count": 0, "failed_at": NOW, "failures": first}
        assert self.kept(again, Failure("KeyError", "x"), None) == [*first, [2, NOW, None, "KeyError"]]

    def test_the_last_twenty_five_are_kept_and_their_bytes_are_bounded(self):
        payload: dict[str, Any] = {"retry": 100}
        for _ in range(40):
            changes = remembering(fail(payload, Failure("é" * 500, "m")), payload, NOW, 900_000.0).changes
            payload = {**payload, **changes}
        assert [row[0] for row in payload["failures"]] == list(range(16, 41))
        assert len(encode(payload["failures"])) < 25 * 160

    @pytest.mark.parametrize("theirs", [3, "two", {"a": 1}, ["x"], [[1, 2]], [[1, 2.0, 3, "E" * 61]], [None]])
    def test_a_field_of_that_name_that_is_not_ours_stays_as_it_is(self, theirs):
        assert self.kept({"retry": True, "failures": theirs}) is None

    def test_a_job_that_is_not_kept_keeps_nothing(self):
        assert self.kept({"retry": False}) is None

    def test_a_run_that_ended_its_sandbox_has_no_duration(self):
        raw = encode({"class": "A", "args": [], "retry": True, "failures": [[1, 5.5, 7, "E"]], "retry_count": 0})
        decision = killed_raw(raw, "m", queue="q", now=NOW, random=lambda: 0.0)
        assert decision.changes["failures"] == [[1, 5.5, 7, "E"], [2, NOW, None, "SandboxKilled"]]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
FIELDS = [
    "retry",
    "retry_count",
    "retry_for",
    "retry_queue",
    "failed_at",
    "dead",
    "backtrace",
    "kills",
    "queue",
    "failures",
]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.text(st.characters(), max_size=5))
def test_no_payload_can_make_the_decision_fail(payload, message):
    """Other programs write these fields; whatever they hold, there is a decision, and it can be written down."""
    failed = fail(payload, Failure("E", message, ("line",)))
    for decision in (failed, remembering(failed, payload, NOW), kill(payload)):
        assert decision.outcome in {Outcome.RETRY, Outcome.DEAD, Outcome.DISCARDED, Outcome.RETURNED}
        encode(dict(decision.changes))


@pytest.mark.parametrize("field", ["retry_count", "kills"])
@pytest.mark.parametrize("count", [2**64 - 1, 10**80])
def test_not_even_a_count_that_no_machine_word_can_hold(field, count):
    """Such integers are JSON, pass the poller, and come out of Lambda's runtime to the last digit."""
    encode(dict(kill({"retry_for": 60, field: count}).changes))
