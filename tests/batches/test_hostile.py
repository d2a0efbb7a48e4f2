"""Payloads that look like those of batches and workflows, and are somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Batch
from tests.handlers.kit import payload, push

if TYPE_CHECKING:
    import redis

DEEP = [[f"b{n}", []] for n in range(9)]


@pytest.mark.parametrize(
    "fields",
    [
        {"bid": "b-of-ruby"},
        {"bid": 7, "batch": 7},
        {"bid": "b", "batch": [["other", []]]},
        {"bid": "b", "batch": [["b", [1]]]},
        {"bid": "b", "batch": [["b", []], ["b", []]]},
        {"bid": "b", "batch": [None]},
        {"bid": "b0", "batch": DEEP},
        {"chain": "gang"},
        {"chain": [1, 2]},
        {"chain": [{"jid": "x"}]},
        {"chain": [{"jid": "x", "class": "ok", "queue": "", "args": []}]},
        {"given": "results"},
        {"given": 7},
        {"carries": True, "chain": {}},
    ],
)
def test_a_job_of_somebody_elses_runs_and_settles(db: redis.Redis, job: Any, work: Any, fields: Any) -> None:
    seen: list[Any] = []
    job(lambda n: bool(seen.append(n)), name="ok")
    push(db, payload("ok", 1, **fields))
    assert work() == 1
    assert seen == [1]
    assert [key for key in db.scan_iter() if key.startswith(b"sidelamb:batch") or key in {b"retry", b"dead"}] == []


def test_one_that_names_a_batch_that_was_never_made_runs_too(db: redis.Redis, job: Any, work: Any) -> None:
    job(lambda n: None, name="ok")
    push(db, payload("ok", 1, bid="none", batch=[["none", ["default"], 1]]))
    assert work() == 1
    assert db.keys("sidelamb:batch*") == []


@pytest.mark.parametrize("end", ["", ":pending", ":results"])
def test_a_member_ends_once_though_its_batchs_key_is_somebody_elses(
    db: redis.Redis, client: Any, job: Any, work: Any, lines: Any, end: str
) -> None:
    ran: list[int] = []

    @job
    def member(n: int) -> None:
        ran.append(n)
        db.delete(key)
        db.set(key, "of another program")

    with Batch() as batch:
        member.using(client=client).enqueue(1)
    key = f"sidelamb:batch:{batch.bid}{end}"
    assert work() == 1
    assert (ran, db.zcard("sidelamb:leases"), db.get("stat:processed")) == ([1], 0, b"1")
    assert db.get(key) == b"of another program"
    (line,) = [line for line in lines if line["levelname"] == "ERROR"]
    assert f"{key} is a string" in line["text"]
    assert f"sidelamb batches show {batch.bid}" in line["text"]
