import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import interval, percentile, ratios

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


def test_a_percentile_is_one_of_the_values():
    values = [float(n) for n in range(1, 101)]
    assert percentile(values, 0.50) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 100
    assert percentile([7.0], 0.99) == 7


def test_without_values_there_is_neither_percentile_nor_interval():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
    with pytest.raises(ValueError, match="no values"):
        interval([])


@given(numbers, st.floats(0, 1))
def test_percentiles_lie_between_the_least_and_the_most(values, share):
    assert min(values) <= percentile(values, share) <= max(values)


def test_a_ratio_is_taken_round_by_round():
    assert ratios([10.0, 30.0], [5.0, 10.0]) == [2.0, 3.0]
    assert ratios([10.0, 30.0], [0.0, 10.0]) == [3.0]


def test_six_rounds_give_an_interval_of_95_percent_by_their_extremes():
    assert interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]) == (1.0, 6.0)


def test_more_rounds_give_a_narrower_interval():
    values = [float(n) for n in range(20)]
    low, high = interval(values)
    assert (low, high) == (5.0, 14.0)


@given(numbers)
def test_the_interval_holds_the_median(values):
    low, high = interval(values)
    ranked = sorted(values)
    assert low <= ranked[len(ranked) // 2] <= high
