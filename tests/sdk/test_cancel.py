"""Cancelling by id, and what is left in Redis for it: on a real Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

import sidelamb
from sidelamb import BadArgument, Client
from sidelamb.errors import RedisRefused
from sidelamb.keys import Keys
from sidelamb.link import Link
from sidelamb.scripts import load
from sidelamb.state import KEPT_S, State, StateStore
from sidelamb.store import Claim, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from sidelamb.store import Call

NOW = 1_795_405_727.5
KEYS = Keys()
STATES = StateStore(KEYS)


@pytest.fixture
def link(redis_url: str) -> Iterator[Link]:
    link = Link(redis_url)
    yield link
    link.close()


def contents(db: redis.Redis) -> dict[bytes, bytes | None]:
    """All keys with their whole values and whether they expire."""
    return {key: (db.dump(key), db.ttl(key) > 0) for key in sorted(db.keys())}  # type: ignore[misc]


class TestCancel:
    def test_marks_the_job_so_that_ruby_can_read_it(self, link: Link, db: redis.Redis) -> None:
        link.run(STATES.cancel("j1", NOW))
        expected = {b"cancelled": b"1795405727", b"ex": b"0", b"c": b"null", b"rt": b"0"}
        assert db.hgetall("it-j1") == expected
        assert db.ttl("it-j1") == db.ttl("sidelamb:cancelled") == KEPT_S
        assert db.zrange("sidelamb:cancelled", 0, -1, withscores=True) == [(b"j1", 1_795_405_727.0)]

    def test_leaves_what_the_job_has_written(self, link: Link, db: redis.Redis) -> None:
        db.hset("it-j1", mapping={"ex": 3, "c": "17", "rt": "1.5"})
        link.run(STATES.cancel("j1", NOW))
        assert db.hgetall("it-j1") == {b"ex": b"3", b"c": b"17", b"rt": b"1.5", b"cancelled": b"1795405727"}

    def test_again_keeps_the_first_time(self, link: Link, db: redis.Redis) -> None:
        link.run(STATES.cancel("j1", NOW))
        link.run(STATES.cancel("j1", NOW + 60))
        assert db.hget("it-j1", "cancelled") == b"1795405727"
        assert db.zcard("sidelamb:cancelled") == 1

    def test_forgets_marks_that_are_thirty_days_old(self, link: Link, db: redis.Redis) -> None:
        link.run(STATES.cancel("old", NOW - KEPT_S - 1))
        link.run(STATES.cancel("young", NOW - KEPT_S + 60))
        link.run(STATES.cancel("new", NOW))
        assert db.zrange("sidelamb:cancelled", 0, -1) == [b"young", b"new"]

    @pytest.mark.parametrize("jid", ["", None, 5, b"j1", ["j1"]])
    def test_takes_the_id_of_a_job(self, client: Client, jid: Any) -> None:
        with pytest.raises(BadArgument, match="cancel takes the id of a job"):
            client.cancel(jid)

    def test_through_the_processs_client(self, configured: None, db: redis.Redis) -> None:
        sidelamb.cancel("j1")
        assert db.hexists("it-j1", "cancelled")
        assert abs(int(db.hget("it-j1", "cancelled") or 0) - time.time()) < 5

    def test_through_a_client_of_ones_own_in_its_namespace(self, redis_url: str, db: redis.Redis) -> None:
        sidelamb.cancel("j1", Client(redis_url, namespace="{app}"))
        assert set(db.keys()) == {b"{app}:it-j1", b"{app}:sidelamb:cancelled"}

    async def test_from_async_code(self, redis_url: str, configured: None, db: redis.Redis) -> None:
        await sidelamb.acancel("j1")
        await sidelamb.acancel("j2", Client(redis_url))
        with pytest.raises(BadArgument):
            await sidelamb.acancel("")
        assert db.zrange("sidelamb:cancelled", 0, -1) == [b"j1", b"j2"]


class TestClaim:
    def test_says_whether_there_is_anything_cancelled(self, link: Link, db: redis.Redis) -> None:
        db.zadd("sidelamb:leases", {"c:1": NOW})
        db.hset("sidelamb:lease:c:1", mapping={"capsule": "c", "poller": "p", "open": "1", "0:q": "{}"})
        call = Store().claim("c:1", request_id="r", now=NOW, deadline=NOW + 9)
        assert link.run(call) is Claim.YES
        link.run(STATES.cancel("j1", NOW))
        assert link.run(call) is Claim.LOOK
        assert link.run(Store().claim("c:1", request_id="r2", now=NOW, deadline=NOW + 9)) is Claim.NO
        assert Claim.LOOK
        assert not Claim.NO


class TestCancelled:
    def test_says_which(self, link: Link) -> None:
        link.run(STATES.cancel("b", 0.0))
        link.run(STATES.cancel("c", NOW))
        assert link.run(STATES.cancelled(["a", "b", "c"])) == {"c"}, "b is too old"

    def test_of_thousands(self, link: Link, db: redis.Redis) -> None:
        jids = [f"j{n}" for n in range(5_000)]
        db.zadd("sidelamb:cancelled", dict.fromkeys(jids[::7], NOW))
        assert link.run(STATES.cancelled(jids)) == set(jids[::7])


class TestForget:
    def test_removes_states_and_marks(self, link: Link, db: redis.Redis) -> None:
        for jid in ("a", "b", "c"):
            link.run(STATES.cancel(jid, NOW))
        assert link.run(STATES.forget(["a", "b", "never"])) == 2
        assert set(db.keys()) == {b"it-c", b"sidelamb:cancelled"}

    def test_of_thousands(self, link: Link, db: redis.Redis) -> None:
        jids = [f"j{n}" for n in range(4_500)]
        for jid in jids:
            db.hset(f"it-{jid}", "ex", 1)
        assert link.run(STATES.forget(jids)) == 4_500
        assert db.keys() == []


class TestCheckpoint:
    def test_is_read_as_it_was_written(self, link: Link) -> None:
        state = State(3, b'{"a":[1]}', 12.345, 2)
        assert link.run(STATES.checkpoint("j1", state)) is False
        assert link.run(STATES.read("j1")) == state

    def test_says_that_the_job_was_cancelled(self, link: Link) -> None:
        link.run(STATES.cancel("j1", NOW))
        assert link.run(STATES.checkpoint("j1", State(1))) is True
        assert link.run(STATES.read("j1")).cancelled

    def test_that_says_nothing_new_of_ours_leaves_rubys_fields(self, link: Link, db: redis.Redis) -> None:
        link.run(STATES.checkpoint("j1", State(1, b"1", 1.0, 3)))
        link.run(STATES.checkpoint("j1", State(2, b"2", 2.0)))
        assert db.hgetall("it-j1") == {b"ex": b"2", b"c": b"2", b"rt": b"2.0"}

    def test_of_a_job_that_has_none_reads_as_new(self, link: Link) -> None:
        assert link.run(STATES.read("j1")) == State()

    def test_of_one_that_ruby_cancelled_before_it_ran_reads_too(self, link: Link, db: redis.Redis) -> None:
        db.hset("it-j1", "cancelled", "1795405727")
        assert link.run(STATES.read("j1")) == State(cancelled=True)


# --- every script: all or nothing ------------------------------------------------------------------------


def cancel_call(link: Link) -> Call[Any]:
    link.run(STATES.cancel("old", NOW - 2 * KEPT_S))
    return STATES.cancel("j1", NOW)


def checkpoint_call(link: Link) -> Call[Any]:
    link.run(STATES.checkpoint("j1", State(1, b"1")))
    return STATES.checkpoint("j1", State(1, b"2", 2.0, 1))


def forget_call(link: Link) -> Call[Any]:
    for jid in ("a", "b", "c"):
        link.run(STATES.cancel(jid, NOW))
    return STATES.forget(["a", "b"])


def cancelled_call(link: Link) -> Call[Any]:
    link.run(STATES.cancel("a", NOW))
    return STATES.cancelled(["a", "b"])


def read_call(link: Link) -> Call[Any]:
    link.run(STATES.checkpoint("j1", State(1, b"1")))
    return STATES.read("j1")


WRITES = [cancel_call, checkpoint_call, forget_call]
CALLS = [*WRITES, cancelled_call, read_call]


@pytest.mark.parametrize("make", CALLS, ids=lambda make: make.__name__)
def test_with_any_key_of_the_wrong_type_a_script_does_nothing(
    link: Link, db: redis.Redis, make: Callable[[Link], Call[Any]]
) -> None:
    for key in make(link).keys:
        db.flushall()
        call = make(link)
        db.delete(key)
        db.lpush(key, "wrong")
        before = contents(db)
        if make is forget_call and key.startswith(b"it-"):
            link.run(call)  # what lies in the place of a state goes
            assert not db.exists(key)
            continue
        with pytest.raises(RedisRefused, match="WRONGTYPE"):
            link.run(call)
        assert contents(db) == before


@pytest.mark.parametrize("make", WRITES, ids=lambda make: make.__name__)
def test_with_a_full_redis_a_script_does_its_work(
    link: Link, db: redis.Redis, make: Callable[[Link], Call[Any]]
) -> None:
    call = make(link)
    before = contents(db)
    db.config_set("maxmemory", 1)
    try:
        link.run(call)
    finally:
        db.config_set("maxmemory", 0)
    assert contents(db) != before


@pytest.mark.parametrize("make", CALLS, ids=lambda make: make.__name__)
def test_a_script_may_arrive_twice(link: Link, db: redis.Redis, make: Callable[[Link], Call[Any]]) -> None:
    call = make(link)
    link.run(call)
    before = contents(db)
    link.run(call)
    assert contents(db) == before
    assert call.repeatable


def test_every_script_declares_every_key_it_touches(link: Link, db: redis.Redis, redis_url: str) -> None:
    """Redis checks declared keys only in cluster mode; an ACL that allows just them checks here."""
    for make in CALLS:
        db.flushall()
        call = make(link)
        rules = [b"~" + key for key in call.keys]
        db.execute_command("ACL", "SETUSER", "narrow", "reset", "on", ">pw", "+@all", *rules)
        narrow = Link(redis_url.replace("://", "://narrow:pw@"))
        narrow.run(call)
        narrow.close()
    db.execute_command("ACL", "DELUSER", "narrow")


def test_the_clock_is_never_redis_own() -> None:
    for name in ("state", "checkpoint", "cancel", "cancelled", "forget"):
        assert b"'TIME'" not in load(name).text
