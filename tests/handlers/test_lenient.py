"""Foreign fields are read in whatever type they come."""

from __future__ import annotations

import pytest

from sidelamb.lenient import epoch_s, number, whole


@pytest.mark.parametrize(("value", "read"), [(0, 0), (-1, -1), (2**31 - 1, 2**31 - 1)])
def test_an_integer_is_whole(value, read):
    assert whole(value) == read


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, [], {}, 2**31, 10**80])
def test_nothing_else_is_whole(value):
    assert whole(value) is None


@pytest.mark.parametrize(("value", "read"), [(0, 0.0), (-1.5, -1.5), (7, 7.0)])
def test_integers_and_floats_are_numbers(value, read):
    assert number(value) == read
    assert type(number(value)) is float


@pytest.mark.parametrize("value", [True, False, "1", None, [], {}])
def test_nothing_else_is_a_number(value):
    assert number(value) is None


@pytest.mark.parametrize("stamp", [1_795_405_727.5, 1_795_405_727_500])
def test_a_timestamp_is_read_in_either_of_sidekiqs_units(stamp):
    assert epoch_s(stamp) == 1_795_405_727.5


def test_integer_seconds_are_seconds_too():
    assert epoch_s(1_795_405_727) == 1_795_405_727.0


@pytest.mark.parametrize("stamp", ["yesterday", "", None, True, []])
def test_anything_else_is_no_time(stamp):
    assert epoch_s(stamp) is None


@pytest.mark.parametrize("read", [number, epoch_s])
def test_an_integer_that_no_float_can_hold_cannot_be_used(read):
    assert read(10**400) is None
