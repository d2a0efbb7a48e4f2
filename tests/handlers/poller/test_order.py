"""In which order queues are looked at."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from sidelamb_handlers.poller.order import queue_order


def test_strict_order_is_as_listed_and_draws_nothing():
    def never() -> float:
        raise AssertionError

    assert queue_order(["b", "a", "c"], [], never) == ["b", "a", "c"]


def test_every_queue_is_looked_at_each_time():
    random = Random(1).random
    for _ in range(100):
        assert sorted(queue_order(["a", "b", "c"], [9, 3, 1], random)) == ["a", "b", "c"]


def test_a_weight_is_the_chance_to_be_first():
    random = Random(7).random
    draws = 20_000
    firsts = Counter(queue_order(["a", "b", "c"], [6, 3, 1], random)[0] for _ in range(draws))
    assert firsts["a"] / draws == pytest.approx(0.6, abs=0.015)
    assert firsts["b"] / draws == pytest.approx(0.3, abs=0.015)
    assert firsts["c"] / draws == pytest.approx(0.1, abs=0.015)


def test_equal_weights_are_equal_chances():
    random = Random(3).random
    firsts = Counter(queue_order(["a", "b"], [5, 5], random)[0] for _ in range(10_000))
    assert firsts["a"] == pytest.approx(5_000, abs=200)


@pytest.mark.parametrize("extreme", [0.0, 0.9999999999999999])
def test_extreme_draws_are_no_trouble(extreme):
    assert sorted(queue_order(["a", "b"], [1, 1_000_000], lambda: extreme)) == ["a", "b"]
