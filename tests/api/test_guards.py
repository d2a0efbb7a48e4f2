"""Locks, limits and caps on every kind of Redis: plain, with a namespace, and on clusters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Client, job
from sidelamb.api import Limits, Locks, Queue
from sidelamb.holding import take
from sidelamb.limits import Bucket, Concurrent, Window

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def client(place: tuple[str, str, type[Any]]) -> Iterator[Client]:
    url, namespace, _ = place
    client = Client(url, namespace=namespace)
    yield client
    client.close()


@job(unique_for=60, name="guards_of_any_redis")
def unique(n: int) -> None: ...


def test_locks_are_listed_found_and_given_back(client: Client, db: Any) -> None:
    jid = unique.using(client=client).enqueue(1)
    locks = Locks(client)
    (lock,) = locks
    assert locks.find(jid) == locks.get(lock.key) == locks.of(unique, 1) == lock
    assert locks.release_lost() == []
    db.delete(client.store.keys.queue("default"))
    assert locks.release_lost() == [lock]
    jid = unique.using(client=client).enqueue(1)
    db.sadd(client.store.keys.queues, "foo")
    db.set(client.store.keys.queue("foo"), f'{{"jid":"{jid}"}}')
    assert locks.release_lost() == []
    db.delete(client.store.keys.queue("default"))
    assert [lock.jid for lock in locks.release_lost()] == [jid], "what another program keeps is no job"
    unique.using(client=client).enqueue(1)
    assert Queue("default", client).clear() == 1
    assert locks.size() == 0


def test_limits_are_listed_given_back_and_reset(client: Client, db: Any) -> None:
    now = time.time()
    for limit in (Concurrent(2), Window(2, per=60), Bucket(2, per=60)):
        assert client.link.run(take(client.store.keys, limit.taking("x", "j1", now, now + 60))) == ""
    limits = Limits(client)
    assert {limit.kind: limit.used for limit in limits} == {"concurrent": 1, "window": 1, "bucket": 1}
    for limit in limits:
        if limit.kind != "bucket":
            assert limits.release(limit, limits.holders(limit)[0])
        limits.reset(limit)
    assert limits.size() == 0


def test_a_cap_holds(client: Client) -> None:
    store, run = client.store, client.link.run
    run(store.enqueue([("mail", b'{"jid":"%d"}' % n) for n in range(5)]))

    def reserve(lease: str) -> int:
        call = store.reserve(
            [lease],
            ["mail"],
            capsule="c",
            poller="p",
            expires=9e9,
            cap=9,
            most_jobs=9,
            most_bytes=999,
            caps={"mail": 2},
        )
        return sum(len(held.jobs) for held in run(call).leases)

    assert [reserve("c:1"), reserve("c:2")] == [2, 0]
    assert run(store.recount("c:1", "mail")) == 0
    run(store.claim("c:1", request_id="r", now=1.0, deadline=9e9))
    held = run(store.lease("c:1"))
    run(store.narrow(held, ("c:a", "c:b"), first=1, request_id="r", poller="p", expires=9e9, capped=["mail"]))
    assert reserve("c:3") == 0
    run(store.settle("c:a", "c", now=1.0, done=["0:mail"]))
    assert reserve("c:4") == 1
