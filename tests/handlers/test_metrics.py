"""Counts and times of job classes, as Sidekiq's Metrics page reads them."""

from __future__ import annotations

import json

import pytest

from sidelamb_handlers.metrics import BUCKETS_MS, Tally, hash_keys, histogram_key, histogram_keys, histograms
from tests.handlers.kit import NOW


def test_attempts_failures_and_times_are_added_up():
    tally = Tally()
    tally.add("A", 10.4, failed=False)
    tally.add("A", 20.4, failed=False)
    tally.add("A", 999.0, failed=True)
    tally.add("B", 1.0, failed=True)
    assert tally.amounts() == {"A|p": 3, "A|f": 1, "A|ms": 31, "B|p": 1, "B|f": 1}


def test_a_failed_attempt_has_no_time_in_the_histogram():
    tally = Tally()
    tally.add("A", 10.0, failed=True)
    assert list(tally.histograms()) == []


@pytest.mark.parametrize(
    ("ms", "bucket"), [(0.0, 0), (19.9, 0), (20.0, 1), (29.9, 1), (334_999.0, 24), (335_000.0, 25), (9e9, 25)]
)
def test_a_bucket_is_the_first_whose_limit_is_above_the_time(ms, bucket):
    tally = Tally()
    tally.add("A", ms, failed=False)
    assert dict(tally.histograms()) == {"A": {bucket: 1}}


def test_the_limits_are_sidekiqs():
    assert len(BUCKETS_MS) == 25
    assert list(BUCKETS_MS) == sorted(BUCKETS_MS)
    assert (BUCKETS_MS[0], BUCKETS_MS[-1]) == (20, 335_000)


def test_a_name_that_would_break_the_fields_is_left_out():
    tally = Tally()
    tally.add("A|p", 1.0, failed=False)
    assert not tally


def test_a_tally_survives_the_way_to_the_poller():
    tally, other = Tally(), Tally()
    tally.add("A", 10.0, failed=False)
    tally.add("A", 400.0, failed=False)
    other.add("A", 10.0, failed=True)
    other.merge(json.loads(json.dumps(tally.to_wire())))
    assert other.amounts() == {"A|p": 3, "A|f": 1, "A|ms": 410}
    assert dict(other.histograms()) == {"A": {0: 1, 8: 1}}


@pytest.mark.parametrize(
    "garbage", [{"A": None}, {"A": []}, {"A": [1, 2]}, {"A": [1, 0, 1.0, 5]}, {"A": ["x", 0, 0.0, []]}, {"A": 5}]
)
def test_what_is_not_of_that_form_is_passed_over(garbage):
    tally = Tally()
    tally.merge(garbage)
    assert tally.amounts() in ({}, {"A|p": 1})


def test_what_was_taken_is_gone():
    tally = Tally()
    tally.add("A", 1.0, failed=False)
    assert tally.taken().amounts() == {"A|p": 1, "A|ms": 1}
    assert not tally


def test_the_keys_of_a_minute_are_sidekiq_eights_two_and_sevens_one():
    assert list(hash_keys(NOW)) == ["j|261123|3:48", "j|261123|3:4", "j|20261123|3:48"]
    assert next(iter(hash_keys(NOW - 41 * 60))) == "j|261123|3:07"
    assert list(hash_keys(NOW - 41 * 60))[2] == "j|20261123|3:7"
    assert histogram_keys("A", NOW) == ("h|A-23-3:48", "A-23-03:48")


@pytest.mark.parametrize(
    ("minutes", "key"),
    [
        (0, "sidelamb:histogram:A::B-23-3:40"),
        (1.9, "sidelamb:histogram:A::B-23-3:40"),
        (2, "sidelamb:histogram:A::B-23-3:50"),
        (12, "sidelamb:histogram:A::B-23-4:0"),
        (24 * 60, "sidelamb:histogram:A::B-24-3:40"),
    ],
)
def test_ten_minutes_have_a_histogram_of_ours(minutes, key):
    assert histogram_key("A::B", NOW - NOW % 60 + 60 * minutes) == key


def test_ours_lives_as_long_as_the_counts_of_ten_minutes_and_holds_more_than_sidekiqs():
    tally = Tally()
    tally.add("A", 10.0, failed=False)
    tally.add("B", 10.0, failed=True)
    assert histograms(tally, NOW) == {
        "h|A-23-3:48": (28_800, 16, {0: 1}),
        "A-23-03:48": (28_800, 16, {0: 1}),
        "sidelamb:histogram:A-23-3:40": (259_200, 32, {0: 1}),
    }
