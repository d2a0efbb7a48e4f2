"""Outcomes are written down together, and none is dropped while Redis is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sidelamb.link import Link
from sidelamb.payload import decode
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome
from sidelamb_handlers.settler import Settler
from tests.handlers.kit import NOW, STORE, everything, payload, push, reserve, waiting

if TYPE_CHECKING:
    import redis

    from tests.handlers.proxy import Proxy

RETRY = Decision(Outcome.RETRY, NOW + 15, {"retry_count": 0, "queue": "default"}, failed=True)
BACK = Decision(Outcome.RETURNED, counted=False)


@pytest.fixture
def raws(db: redis.Redis, link: Link) -> list[bytes]:
    """Five jobs in a claimed lease."""
    raws = push(db, *(payload("work", n) for n in range(5)))
    (held,) = reserve(link, "c:1")
    assert link.run(STORE.claim(held.lease, request_id="r1", now=NOW, deadline=time.time() + 60))
    return raws


def settler(link: Link | None, request_id: str = "r1") -> Settler:
    return Settler(link, STORE, lease="c:1", capsule="c", request_id=request_id, jobs=5, clock=lambda: NOW)


def flush(made: Settler, within_s: float = 5.0) -> bool:
    return made.flush(NOW + within_s)


def test_with_nothing_pending_nothing_is_sent(link: Link, db: redis.Redis):
    db.config_resetstat()
    assert flush(settler(link)) is True
    assert "cmdstat_evalsha" not in db.info("commandstats")


def test_each_outcome_is_written_down_and_the_last_one_closes_the_lease(
    link: Link, db: redis.Redis, raws: list[bytes]
):
    made = settler(link)
    made.add("0:default", SUCCEEDED)
    made.add("1:default", RETRY)
    made.add("2:default", BACK)
    made.add("3:default", Decision(Outcome.DISCARDED, NOW))
    assert flush(made) is True
    assert made.pending == {}
    assert db.hlen("sidelamb:lease:c:1") == 3 + 1
    made.add("4:default", Decision(Outcome.DEAD, NOW, {"error_class": "E"}, failed=True))
    assert flush(made) is True
    ((retried, at),) = db.zrange("retry", 0, -1, withscores=True)
    assert (decode(retried)["retry_count"], at) == (0, NOW + 15)
    assert decode(db.zrange("dead", 0, -1)[0])["error_class"] == "E"
    assert waiting(db) == [raws[2]]
    assert (db.get("stat:processed"), db.get("stat:failed")) == (b"4", b"2")
    assert not db.exists("sidelamb:lease:c:1", "sidelamb:leases", "sidelamb:slots:c")


def test_returned_jobs_are_next_to_run_in_their_old_order(link: Link, db: redis.Redis, raws: list[bytes]):
    push(db, payload("work", 99))
    made = settler(link)
    for n in range(5):
        made.add(f"{n}:default", BACK)
    assert flush(made) is True
    assert waiting(db) == [*raws, payload("work", 99)]


def test_successes_cost_one_round_trip_and_changes_one_more(link: Link, db: redis.Redis, raws: list[bytes]):
    made = settler(link)
    made.add("0:default", SUCCEEDED)
    flush(made)
    made.add("4:default", RETRY)
    flush(made)
    db.config_resetstat()
    made.add("1:default", SUCCEEDED)
    made.add("2:default", SUCCEEDED)
    flush(made)
    assert db.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
    made.add("3:default", RETRY)
    flush(made)
    assert db.info("commandstats")["cmdstat_evalsha"]["calls"] == 3


def test_a_lease_all_of_whose_jobs_succeeded_is_closed_without_naming_them(
    link: Link, db: redis.Redis, raws: list[bytes]
):
    made = settler(link)
    for n in range(3):
        made.add(f"{n}:default", SUCCEEDED)
    flush(made)
    made.add("3:default", SUCCEEDED)
    made.add("4:default", SUCCEEDED)
    db.config_resetstat()
    assert flush(made) is True
    calls = db.info("commandstats")
    assert (calls["cmdstat_evalsha"]["calls"], "cmdstat_hdel" in calls) == (1, False)
    assert not db.exists("sidelamb:lease:c:1", "sidelamb:leases", "sidelamb:slots:c")
    assert db.get("stat:processed") == b"5"


def test_a_close_whose_answer_got_lost_is_not_counted_twice(proxy: Proxy, db: redis.Redis, raws: list[bytes]):
    link = Link(proxy.url)
    made = settler(link)
    for n in range(5):
        made.add(f"{n}:default", SUCCEEDED)
    proxy.delay_s = 0.3
    assert flush(made, 0.1) is False
    proxy.delay_s = 0.0
    assert flush(made) is True
    assert (db.get("stat:processed"), db.exists("sidelamb:lease:c:1")) == (b"5", 0)
    link.close()


def test_while_redis_is_away_everything_stays_pending_and_the_reason_is_known(
    proxy: Proxy, db: redis.Redis, raws: list[bytes]
):
    link = Link(proxy.url)
    made = settler(link)
    made.add("0:default", SUCCEEDED)
    made.add("1:default", RETRY)
    proxy.cut()
    assert flush(made) is False
    assert list(made.pending) == ["0:default", "1:default"]
    assert made.trouble is not None
    proxy.mend()
    assert flush(made) is True
    assert (made.pending, made.trouble) == ({}, None)
    assert db.zcard("retry") == 1
    link.close()


def test_a_flush_whose_answer_got_lost_is_not_written_twice(proxy: Proxy, db: redis.Redis, raws: list[bytes]):
    link = Link(proxy.url)
    made = settler(link)
    made.add("0:default", SUCCEEDED)
    made.add("1:default", RETRY)
    proxy.delay_s = 0.3
    assert flush(made, 0.1) is False
    proxy.delay_s = 0.0
    assert flush(made) is True
    assert (db.get("stat:processed"), db.zcard("retry")) == (b"2", 1)
    link.close()


def test_no_reply_is_waited_for_beyond_the_given_time(proxy: Proxy, db: redis.Redis, raws: list[bytes]):
    link = Link(proxy.url)
    made = settler(link)
    made.add("0:default", SUCCEEDED)
    made.add("1:default", RETRY)
    proxy.hush()
    began = time.monotonic()
    assert flush(made, 0.1) is False
    assert time.monotonic() - began < 0.5
    assert list(made.pending) == ["0:default", "1:default"]
    link.close()


def test_another_requests_lease_is_left_alone(link: Link, db: redis.Redis, raws: list[bytes]):
    before = everything(db)
    made = settler(link, "r2")
    made.add("0:default", SUCCEEDED)
    made.add("1:default", RETRY)
    assert flush(made) is True
    assert everything(db) == before


def test_a_lease_that_is_gone_takes_nothing(link: Link, db: redis.Redis, raws: list[bytes]):
    db.delete("sidelamb:lease:c:1")
    before = everything(db)
    made = settler(link)
    made.add("0:default", SUCCEEDED)
    made.add("1:default", RETRY)
    made.add("2:default", BACK)
    assert flush(made) is True
    assert everything(db) == {
        k: v for k, v in before.items() if k not in {b"sidelamb:leases", b"sidelamb:slots:c"}
    }


def test_without_a_redis_everything_stays_pending(db: redis.Redis, raws: list[bytes]):
    made = settler(None)
    made.add("0:default", SUCCEEDED)
    assert flush(made) is False
    assert made.trouble is None
    assert made.pending == {"0:default": SUCCEEDED}


def test_a_change_that_cannot_be_written_down_does_not_hold_up_its_neighbours(
    link: Link, db: redis.Redis, raws: list[bytes]
):
    made = settler(link)
    made.add("0:default", SUCCEEDED)
    made.add("1:default", Decision(Outcome.RETRY, NOW + 15, {"retry_count": 10**30}, failed=True))
    try:
        flush(made)
    except TypeError:
        pass
    assert not db.hexists("sidelamb:lease:c:1", "0:default")
