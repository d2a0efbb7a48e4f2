"""Locks of unique jobs, looked after: listed in pages, found, given back by hand or because nobody is left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Client, job
from sidelamb.api import DeadSet, Lock, Locks, Queue, RetrySet, ScheduledSet
from sidelamb.api import locks as locks_module
from sidelamb.errors import BadArgument
from sidelamb.payload import decode
from sidelamb.registry import registry
from tests.handlers.kit import STORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis


@pytest.fixture
def work(client: Client) -> Iterator[Any]:
    @job(unique_for=60, name="work")
    def work(n: int) -> None: ...

    yield work.using(client=client)
    registry._jobs.pop("work")


@pytest.fixture
def locks(client: Client) -> Locks:
    return Locks(client)


def test_they_are_listed_with_their_job_and_their_end(work: Any, locks: Locks) -> None:
    jid = work.enqueue(1)
    (lock,) = locks
    assert (lock.name, lock.jid) == ("work", jid)
    assert lock.until is not None
    assert 50 < lock.until.timestamp() - time.time() <= 60
    assert locks.page() == [lock]
    assert locks.size() == 1


def test_a_job_s_payload_names_its_lock(work: Any, locks: Locks, db: redis.Redis) -> None:
    work.enqueue(1)
    assert [lock.key for lock in locks] == [decode(db.lindex("queue:default", 0))["lock"]]


def test_many_are_gone_through_in_pages(work: Any, locks: Locks, client: Client) -> None:
    work.enqueue_many((n,) for n in range(250))
    assert len({lock.jid for lock in locks}) == 250
    pages = [len(locks.page(number, 100)) for number in range(4)]
    assert pages == [100, 100, 50, 0]
    last = [lock.jid for lock in locks][-1]
    assert locks.find(last).jid == last  # type: ignore[union-attr]
    assert locks.find("nobody") is None


async def test_the_same_from_async_code(work: Any, locks: Locks, client: Client) -> None:
    work.enqueue(1)
    (lock,) = [lock async for lock in locks]
    assert await locks.aget(lock.key) == lock
    assert await locks.arelease(lock)
    assert await locks.asize() == 0
    await client.aclose()


def test_the_lock_of_a_call(work: Any, locks: Locks, client: Client) -> None:
    jid = work.enqueue(1)
    declared = registry.find("work")
    assert declared is not None
    assert locks.of(declared, 1).jid == jid  # type: ignore[union-attr]
    assert locks.of(declared, 2) is None


def test_of_a_job_that_is_not_unique_there_is_none(locks: Locks) -> None:
    @job(name="plain_one")
    def plain_one() -> None: ...

    with pytest.raises(BadArgument, match="plain_one has no locks: it is declared without unique_for"):
        locks.of(plain_one)


def test_by_hand_it_is_given_back_once_and_not_another_job_s(work: Any, locks: Locks) -> None:
    work.enqueue(1)
    (lock,) = locks
    assert locks.release(lock)
    assert not locks.release(lock)
    other = work.enqueue(1)
    assert not locks.release(lock)
    assert locks.get(lock.key).jid == other  # type: ignore[union-attr]
    assert locks.release(lock.key)
    assert not locks.release(lock.key)
    assert list(locks) == []
    with pytest.raises(BadArgument, match="takes a Lock or its key"):
        locks.release(7)  # type: ignore[arg-type]


def test_what_has_ended_by_itself_is_not_shown_and_goes_with_new_ones(
    work: Any, locks: Locks, client: Client, db: redis.Redis
) -> None:
    registry.find("work").using(client=client, unique_for=1).enqueue_many((n,) for n in range(30))  # type: ignore[union-attr]
    for key in db.keys("sidelamb:lock:*"):
        db.delete(key)
    for name in db.zrange("sidelamb:locks", 0, -1):
        db.zadd("sidelamb:locks", {name: time.time() - 1})
    assert list(locks) == []
    assert locks.size() == 0
    for n in range(2):
        work.enqueue(100 + n)
    assert db.zcard("sidelamb:locks") == 12
    assert locks.release_lost() == []
    assert db.zcard("sidelamb:locks") == 2


class TestLost:
    """A lock is given back if its job is provably gone, and only then."""

    def test_of_a_job_that_somebody_took_away_without_a_word(
        self, work: Any, locks: Locks, db: redis.Redis
    ) -> None:
        gone = work.enqueue(1)
        stays = work.enqueue(2)
        db.ltrim("queue:default", 0, 0)  # as Ruby's Web UI deletes
        assert [lock.jid for lock in locks.release_lost()] == [gone]
        assert work.enqueue(1) != gone
        assert work.enqueue(2) == stays

    @pytest.mark.parametrize("place", ["queue", "schedule", "retry", "alone", "lease", "claimed", "new lease"])
    def test_never_of_one_that_is_somewhere(
        self, work: Any, locks: Locks, client: Client, db: redis.Redis, place: str, monkeypatch: Any
    ) -> None:
        jid = work.enqueue_in(60, 1) if place == "schedule" else work.enqueue(1)
        (raw,) = db.zrange("schedule", 0, -1) if place == "schedule" else db.lrange("queue:default", 0, -1)
        if place in {"retry", "alone"}:
            db.rpop("queue:default")
            db.zadd("retry", {raw: 9e9}) if place == "retry" else db.lpush("sidelamb:alone:default", raw)
        reserve = STORE.reserve(
            ["c:1"],
            ["default"],
            capsule="c",
            poller="p",
            expires=time.time() + 9,
            cap=9,
            most_jobs=9,
            most_bytes=999,
        )
        if place in {"lease", "claimed"}:
            client.link.run(reserve)
        if place == "claimed":
            client.link.run(STORE.claim("c:1", request_id="r", now=time.time(), deadline=time.time() + 9))
        if place == "new lease":  # made between the two looks
            lost = locks._calls.lost

            def late(*args: Any) -> Any:
                client.link.run(reserve)
                return lost(*args)

            monkeypatch.setattr(locks._calls, "lost", late)
        assert locks.release_lost() == []
        assert work.enqueue(1) == jid

    def test_nothing_is_proven_where_it_would_take_long(
        self, work: Any, locks: Locks, db: redis.Redis, monkeypatch: Any
    ) -> None:
        work.enqueue(1)
        db.delete("queue:default")
        db.lpush("queue:default", *(b"x%d" % n for n in range(5_001)))
        assert locks.release_lost() == []
        db.ltrim("queue:default", 0, 2)
        db.lpush("queue:default", b"x" * 4_200_000)
        assert locks.release_lost() == []
        db.lpop("queue:default")
        monkeypatch.setattr(locks_module, "LEASES_MOST", 0)
        db.zadd("sidelamb:leases", {"c:1": 9e9})
        assert locks.release_lost() == []
        db.delete("sidelamb:leases")
        assert len(locks.release_lost()) == 1

    def test_a_lease_that_lost_jobs_while_one_looked_proves_nothing(
        self, work: Any, locks: Locks, client: Client, db: redis.Redis, monkeypatch: Any
    ) -> None:
        jid = work.enqueue(1)
        (raw,) = db.lrange("queue:default", 0, -1)
        db.delete("queue:default")
        lost = locks._calls.lost

        def late(*args: Any) -> Any:
            db.zadd("sidelamb:leases", {"c:1": 9e9})
            db.hset("sidelamb:lease:c:1", mapping={"capsule": "c", "poller": "p", "claim": "r 1 1"})
            db.zadd("retry", {raw: 9e9})
            db.zrem("retry", raw)
            return lost(*args)

        monkeypatch.setattr(locks._calls, "lost", late)
        assert locks.release_lost() == []
        assert work.enqueue(1) == jid

    def test_a_queue_that_came_meanwhile_proves_nothing(
        self, work: Any, locks: Locks, db: redis.Redis, monkeypatch: Any
    ) -> None:
        work.enqueue(1)
        (raw,) = db.lrange("queue:default", 0, -1)
        db.delete("queue:default")
        lost = locks._calls.lost

        def late(*args: Any) -> Any:
            db.sadd("queues", "new")
            db.lpush("queue:new", raw)
            return lost(*args)

        monkeypatch.setattr(locks._calls, "lost", late)
        assert locks.release_lost() == []

    def test_an_id_that_json_may_write_in_several_ways_is_left_alone(
        self, client: Client, locks: Locks, db: redis.Redis
    ) -> None:
        client.push({"class": "w", "args": [], "queue": "q", "jid": "é1", "lock": "w:1", "unique_for": 60})
        db.delete("queue:q")
        assert len(list(locks)) == 1
        assert locks.release_lost() == []

    def test_the_scheduler_s_minute_gives_them_back_and_a_poller_s_wake_does_not_look(
        self, work: Any, locks: Locks, db: redis.Redis, redis_url: str, monkeypatch: Any
    ) -> None:
        from sidelamb_handlers import scheduler
        from sidelamb_handlers.coldstart import once
        from tests.handlers.kit import Context

        monkeypatch.setenv("SIDELAMB_REDIS_URL", redis_url)
        monkeypatch.setattr(scheduler, "_scheduler", once(scheduler.from_environment))
        work.enqueue(1)
        db.delete("queue:default")
        scheduler.handler({"source": scheduler.POLLER}, Context())
        assert len(list(locks)) == 1
        scheduler.handler({"source": "aws.events"}, Context())
        assert list(locks) == []


def test_a_dead_job_that_is_sent_back_takes_its_lock_again_unless_another_has_it(
    work: Any, locks: Locks, client: Client, db: redis.Redis
) -> None:
    first = work.enqueue_in(60, 1)
    scheduled = ScheduledSet(client)
    assert scheduled.kill(next(iter(scheduled)))
    assert list(locks) == []
    dead = DeadSet(client)
    assert dead.retry(next(iter(dead)))
    assert work.enqueue(1) == first
    (record,) = Queue("default", client)
    assert record.jid == first

    second = work.enqueue_in(60, 2)
    assert scheduled.kill(next(iter(scheduled)))
    other = work.enqueue(2)
    assert other != second
    assert dead.retry(next(iter(dead)))
    assert locks.find(other) is not None
    assert locks.find(second) is None


def test_a_job_of_retry_that_is_sent_back_keeps_it(
    work: Any, locks: Locks, client: Client, db: redis.Redis
) -> None:
    jid = work.enqueue(1)
    db.zadd("retry", {db.rpop("queue:default"): time.time() + 60})
    retries = RetrySet(client)
    assert retries.retry(next(iter(retries)))
    assert work.enqueue(1) == jid
    assert isinstance(locks.find(jid), Lock)
