"""The circuit opens after three failures before any claim, and probes."""

from __future__ import annotations

from sidelamb_handlers.poller.circuit import FAILURES, PROBE_FIRST_S, PROBE_MOST_S, Circuit


def opened(at: float = 100.0) -> Circuit:
    circuit = Circuit()
    for _ in range(FAILURES):
        circuit.failed(at, "no module")
    return circuit


def test_a_closed_one_lets_everything_through():
    circuit = Circuit()
    assert not circuit.is_open
    assert circuit.room(7, 3) == 7
    assert circuit.wait_s(0.0) == 0.0


def test_it_opens_with_the_third_failure_in_a_row_and_says_so_once():
    circuit = Circuit()
    assert [circuit.failed(0.0, "why") for _ in range(5)] == [False, False, True, False, False]
    assert circuit.is_open
    assert circuit.reason == "why"


def test_a_success_between_begins_the_count_anew():
    circuit = Circuit()
    circuit.failed(0.0, "x")
    circuit.failed(0.0, "x")
    assert circuit.closed_by_success(1.0) is False
    circuit.failed(0.0, "x")
    circuit.failed(0.0, "x")
    assert not circuit.is_open


def test_an_open_one_lets_one_through_at_a_time():
    circuit = opened()
    assert circuit.room(10, 0) == 1
    assert circuit.room(10, 1) == 0
    assert circuit.room(0, 0) == 0


def test_probes_come_less_and_less_often_up_to_a_limit():
    circuit = opened(100.0)
    assert circuit.wait_s(100.0) == PROBE_FIRST_S
    assert circuit.wait_s(100.0 + PROBE_FIRST_S) == 0.0
    waits = []
    for n in range(30):
        circuit.failed(1000.0 * n, "x")
        waits.append(circuit.wait_s(1000.0 * n))
    assert waits[0] == 2 * PROBE_FIRST_S
    assert waits == sorted(waits)
    assert waits[-1] == PROBE_MOST_S


def test_a_claim_closes_it_and_says_so_once():
    circuit = opened()
    assert circuit.closed_by_success(101.0) is True
    assert circuit.closed_by_success(102.0) is False
    assert circuit.wait_s(0.0) == 0.0
    assert circuit.room(7, 3) == 7


def test_what_was_sent_before_the_failures_says_nothing_about_them():
    """A long job of the code before a bad deploy ends well in the middle of the outage."""
    circuit = Circuit()
    circuit.failed(100.0, "x")
    circuit.closed_by_success(99.0)
    circuit.failed(101.0, "x")
    assert circuit.failed(102.0, "x") is True
    assert circuit.closed_by_success(101.5) is False
    assert circuit.is_open
    assert circuit.closed_by_success(103.0) is True
