"""What becomes of the jobs of a lease whose time is over."""

from __future__ import annotations

import pytest

from sidelamb.payload import decode
from sidelamb.store import Held, keep
from sidelamb_handlers.reaping import reaping
from tests.handlers.kit import NOW, payload

A, B, C = (payload("work", n) for n in range(3))


def reap(jobs: dict[str, bytes], claim: str = "") -> list:
    return reaping(Held("c:1", jobs, capsule="c", claim=claim), now=NOW, random=lambda: 0.0)


def test_an_unclaimed_lease_goes_back_uncharged_the_first_job_last():
    assert reap({"0:a": A, "1:a": B, "2:b": C}) == [keep("2:b"), keep("1:a"), keep("0:a")]


def test_an_unclaimed_suspect_goes_back_to_be_served_alone():
    assert reap({"0!a": A}) == [keep("0!a")]


def test_of_several_claimed_jobs_nobody_is_charged_and_each_is_served_alone():
    moves = reap({"0:a": A, "1:b": B}, "r1 5.0")
    assert moves == [keep("1:b", alone=True), keep("0:a", alone=True)]


@pytest.mark.parametrize("field", ["0:mail", "0!mail"])
def test_one_that_was_claimed_alone_is_charged_and_its_request_is_named(field):
    (move,) = reap({field: A}, "r1 5.0")
    assert (move.verb, move.to, move.count) == ("r", "alone", "f")
    after = decode(move.payload)
    assert after["kills"] == 1
    assert "request r1, in the log of the function of capsule c" in after["error_message"]
    assert after["queue"] == "mail"


def test_its_second_kill_makes_it_wait():
    (move,) = reap({"0:a": payload("work", kills=1, retry_count=0, failed_at=1.5)}, "r1/x 5.0")
    assert (move.to, move.score, decode(move.payload)["kills"]) == ("retry", NOW + 16, 2)


def test_its_third_kill_is_its_last():
    (move,) = reap({"0:a": payload("work", kills=2)}, "r1 5.0")
    after = decode(move.payload)
    assert (move.to, after["kills"], after["doomed"]) == ("alone", 3, True)


@pytest.mark.parametrize("raw", [b"junk", b"[1]", b"null"])
def test_one_that_cannot_be_read_goes_to_dead_as_it_is(raw):
    (move,) = reap({"0:a": raw}, "r1 5.0")
    assert (move.to, move.payload) == ("dead", b"")


def test_a_lease_that_holds_nothing_has_nothing_to_move():
    assert reap({}) == []
    assert reap({}, "r1 5.0") == []
