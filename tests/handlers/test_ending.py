"""The last seconds of an invocation, shared out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidelamb_handlers.ending import Ending


@given(began=st.floats(0, 2e9), lasts=st.floats(1, 900))
def test_stopping_sweeping_and_settling_fit_one_after_the_other_before_lambda_ends_it(began, lasts):
    end = began + lasts
    ending = Ending.of(began, end)
    assert began < ending.stop_at
    assert ending.stop_at + ending.stop_s + ending.sweep_s < ending.settle_by < end


@pytest.mark.parametrize(("lasts", "kept"), [(900, 3.0), (15, 3.0), (3, 0.6)])
def test_it_takes_three_seconds_at_most_and_no_more_than_a_fifth(lasts, kept):
    assert Ending.of(1_000.0, 1_000.0 + lasts).stop_at == pytest.approx(1_000 + lasts - kept)


def test_an_invocation_without_time_left_stops_at_once():
    assert Ending.of(10.0, 9.0) == Ending(9.0, 0.0, 0.0, 9.0)
