"""A job is run again with other arguments or on another queue, and bulk operations go step by step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import BadArgument, BadOption, PayloadTooLarge, configure, settings
from sidelamb.api import DeadSet, RetrySet

if TYPE_CHECKING:
    from sidelamb import Client


def key(client: Client, name: str) -> bytes:
    return client.store.keys(name)


def put(db: Any, client: Client, count: int = 1) -> None:
    for n in range(count):
        raw = json.dumps({"class": "a", "args": [n], "jid": f"j{n}", "queue": "q", "retry_count": 2, "big": 2**70})
        db.zadd(key(client, "retry"), {raw: 100 + n})


def test_retry_takes_other_arguments_and_another_queue(client: Client, db: Any) -> None:
    put(db, client)
    (entry,) = RetrySet(client).page()
    assert RetrySet(client).retry(entry, args=["x"], kwargs={"k": 1}, queue="mail")
    (raw,) = db.lrange(client.store.keys.queue("mail"), 0, -1)
    job = json.loads(raw)
    assert (job["args"], job["kwargs"], job["queue"], job["big"]) == (["x"], {"k": 1}, "mail", 2**70)
    assert not RetrySet(client).retry(entry, args=["y"]), "it was not there any more"
    assert db.llen(client.store.keys.queue("mail")) == 1


def test_what_cannot_be_leaves_the_job_where_it_is(client: Client, db: Any) -> None:
    put(db, client)
    (entry,) = RetrySet(client).page()
    for error, changes in (
        (BadArgument, {"args": {"a": 1}}),
        (BadArgument, {"args": [object()]}),
        (BadArgument, {"kwargs": [1]}),
        (BadOption, {"queue": "a b"}),
    ):
        with pytest.raises(error):
            RetrySet(client).retry(entry, **changes)
    configure(max_payload=1_000)
    try:
        with pytest.raises(PayloadTooLarge):
            RetrySet(client).retry(entry, args=["x" * 2_000])
    finally:
        settings.reset()
    assert RetrySet(client).size() == 1


def test_a_sweep_goes_on_where_it_stood(client: Client, db: Any) -> None:
    put(db, client, 1_200)
    retries, rank, moved, steps = RetrySet(client), 0, 0, 0
    while rank is not None:
        swept = retries.sweep("kill", lambda entry: entry.args[0] % 3 == 0, client.now(), rank)
        moved, rank, steps = moved + swept.moved, swept.rank, steps + 1
    assert (moved, steps) == (400, 3)
    assert (retries.size(), DeadSet(client).size()) == (800, 400)
    assert all(entry.args[0] % 3 for entry in retries)


@pytest.mark.parametrize("at", [50.0, 100.0, 400.5, 700.0, 1_299.0, 5_000.0])
def test_a_sweep_gives_each_entry_that_is_meant_another_time_once(client: Client, db: Any, at: float) -> None:
    put(db, client, 1_200)
    was_there = 100 <= at <= 1_299 and (at - 100) % 3 == 0
    retries, rank, moved, steps = RetrySet(client), 0, 0, 0
    while rank is not None:
        meant = lambda entry: entry.args[0] % 3 == 0  # noqa: E731
        swept = retries.sweep("reschedule", meant, client.now(), rank, at)
        moved, rank, steps = moved + swept.moved, swept.rank, steps + 1
        assert steps < 8, "it does not end"
    assert moved == 400 - was_there
    assert all((entry.score == at) == (entry.args[0] % 3 == 0 or entry.args[0] + 100 == at) for entry in retries)


def test_a_sweep_to_another_time_needs_one_and_no_other_does(client: Client) -> None:
    for verb, at in (("reschedule", None), ("retry", 5.0)):
        with pytest.raises(BadArgument, match="retry, delete, kill, reschedule"):
            RetrySet(client).sweep(verb, lambda _: True, 0.0, at=at)  # type: ignore[arg-type]


def test_a_sweep_that_a_set_cannot_do_says_what_it_can(client: Client) -> None:
    with pytest.raises(BadArgument, match="retry, delete"):
        DeadSet(client).sweep("kill", lambda _: True, 0.0)
