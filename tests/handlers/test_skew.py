"""A poller and a worker one release apart: jobs run, whichever of the two is older."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from sidelamb_handlers.decision import Decision, Outcome
from sidelamb_handlers.event import VERSION, Answer, Status
from tests.handlers.kit import Context, payload


def older(event: dict[str, Any]) -> dict[str, Any]:
    """As a poller of the release before would have sent it: without what this one added."""
    return {k: v for k, v in event.items() if k not in {"threads", "detached", "careful"}} | {
        "sidelamb": VERSION - 1
    }


def newer(event: dict[str, Any]) -> dict[str, Any]:
    """As a poller of the next release may send it: with more than this one knows."""
    return event | {"sidelamb": VERSION + 1, "traced": {"id": 7}, "priority": [1, 2]}


@pytest.mark.parametrize("skewed", [older, newer])
def test_a_worker_runs_what_a_poller_of_another_release_sends(make_worker, job, leased, db, skewed):
    ran: list[int] = []

    @job
    def work(n: int) -> None:
        ran.append(n)

    event = skewed(leased(payload("work", 1), payload("work", 2)))
    answer = make_worker().handle(event, Context())
    assert (ran, answer["status"]) == ([1, 2], "settled")
    assert not db.exists("sidelamb:leases")


def test_a_poller_reads_the_answer_of_a_newer_worker():
    decision = Decision(Outcome.SUCCEEDED)
    wire = Answer("c:1", Status.UNSETTLED, ran=1, ms=2.0, outcomes={"0:q": decision}, claim="r/1").to_wire()
    wire |= {"sidelamb": VERSION + 1, "billed_ms": 12, "notes": ["new"]}
    read = Answer.from_wire(orjson.dumps(wire))
    assert read is not None
    assert (read.lease, read.ran, read.claim, list(read.outcomes)) == ("c:1", 1, "r/1", ["0:q"])


def test_a_poller_reads_the_answer_of_an_older_worker():
    read = Answer.from_wire(b'{"sidelamb":0,"lease":"c:1","status":"settled","ran":3,"ms":1.5}')
    assert read is not None
    assert (read.status, read.ran, read.metrics) == ("settled", 3, {})
