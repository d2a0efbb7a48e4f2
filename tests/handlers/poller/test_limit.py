"""The number in flight finds its level."""

from __future__ import annotations

from sidelamb_handlers.poller.limit import Limit


def test_it_begins_at_the_capsules_own_number():
    assert Limit(10).value == 10


def test_a_throttle_halves_what_was_in_flight():
    limit = Limit(100)
    limit.throttled(0.0, 60)
    assert limit.value == 30


def test_throttles_within_a_second_are_one():
    limit = Limit(64)
    for n in range(20):
        limit.throttled(0.04 * n, 64)
    assert limit.value == 32
    limit.throttled(1.0, 32)
    assert limit.value == 16


def test_more_in_flight_than_allowed_does_not_raise_it():
    limit = Limit(10)
    limit.throttled(0.0, 500)
    assert limit.value == 5


def test_it_never_falls_below_one():
    limit = Limit(10)
    for n in range(20):
        limit.throttled(2.0 * n, 0)
    assert limit.value == 1


def test_a_large_number_grows_by_its_share_and_is_back_within_a_dozen_rounds():
    limit = Limit(1_000)
    limit.throttled(0.0, 1_000)
    rounds = 0
    while limit.value < 1_000:
        for _ in range(limit.value):
            limit.answered()
        rounds += 1
    assert rounds == 12


def test_a_round_of_answers_adds_one_up_to_the_capsules_number():
    limit = Limit(10)
    limit.throttled(0.0, 10)
    for _ in range(6):
        limit.answered()
    assert limit.value == 6
    for _ in range(1000):
        limit.answered()
    assert limit.value == 10
