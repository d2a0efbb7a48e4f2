"""A lease on its way."""

from __future__ import annotations

from sidelamb.store import Held, capsule_of
from sidelamb_handlers.poller.flight import MARGIN_S, Flight, new_lease_id


def test_a_lease_id_names_its_capsule_and_is_never_the_same():
    ids = {new_lease_id("mail.eu-1") for _ in range(1_000)}
    assert len(ids) == 1_000
    assert {capsule_of(lease_id) for lease_id in ids} == {"mail.eu-1"}


def test_the_deadline_lies_beyond_the_last_instant_its_invocation_can_live():
    flight = Flight(Held("c:1", {}), 1_000.0, 60.0)
    assert flight.deadline == 1_000.0 + 60.0 + MARGIN_S


def test_older_flights_have_smaller_numbers():
    orders = [Flight(Held("c:1", {}), 0.0, 1.0).order for _ in range(10)]
    assert orders == sorted(set(orders))
