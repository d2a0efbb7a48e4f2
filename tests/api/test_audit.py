"""The audit finds what is not as it must be, and mends it without losing a job."""

from __future__ import annotations

import pytest

from sidelamb.api import Audit
from tests.api.conftest import NOW, payload


def lease(client, name: str, *jids: str, claim: bool = False) -> None:
    client.link.run(client.store.enqueue([("mail", payload(jid)) for jid in jids]))
    call = client.store.reserve(
        [name], ["mail"], capsule="c", poller="p", expires=NOW + 30, cap=99, most_jobs=99, most_bytes=10**7
    )
    client.link.run(call)
    if claim:
        client.link.run(client.store.claim(name, request_id="r/1", now=NOW, deadline=NOW + 100))


def only(client) -> str:
    (finding,) = Audit(client).run()
    assert finding.mend() is True
    assert finding.mend() is False
    assert Audit(client).run() == []
    return str(finding)


@pytest.fixture(autouse=True)
def healthy(client, db):
    """A system with something of everything, and nothing wrong."""
    lease(client, "c:1", "a", "b", claim=True)
    lease(client, "c:2", "c")
    client.link.run(client.store.enqueue([("mail", payload("d"))]))
    db.zadd(client.store.keys.retry, {payload("e"): NOW})
    db.zadd(client.store.keys.dead, {payload("f"): NOW})


def test_a_healthy_system_has_no_findings(client):
    seen: list[int] = []
    assert Audit(client).run(seen.append) == []
    assert seen[-1] == 6


async def test_async_code_has_the_same(client):
    assert await Audit(client).arun() == []


def test_a_lease_that_the_set_does_not_know_expires_now(client, db):
    db.zrem(client.store.keys.leases, "c:1")
    assert "nobody would reap it" in only(client)
    assert db.zscore(client.store.keys.leases, "c:1") == NOW


def test_a_lease_without_jobs_is_removed_with_its_slot(client, db):
    db.delete(client.store.keys.lease("c:2"))
    assert "it holds no job" in only(client)
    assert not db.sismember(client.store.keys.slots("c"), "c:2")
    assert db.zscore(client.store.keys.leases, "c:2") is None


def test_a_slot_of_no_lease_is_freed(client, db):
    db.sadd(client.store.keys.slots("c"), "c:9")
    assert "one invocation fewer" in only(client)


def test_a_lease_without_a_slot_gets_one(client, db):
    db.srem(client.store.keys.slots("c"), "c:1")
    assert "one invocation too many" in only(client)


def test_a_lease_that_never_expires_expires_now(client, db):
    db.zadd(client.store.keys.leases, {"c:1": float("inf")})
    assert "which is no time" in only(client)


def test_a_queue_that_no_page_lists_is_listed(client, db):
    db.srem(client.store.keys.queues, "mail")
    assert "no page shows it" in only(client)


@pytest.mark.parametrize("score", ["-inf", "+inf"])
def test_an_entry_without_a_time_gets_the_present_one(client, db, score):
    db.execute_command("ZADD", client.store.keys.schedule, score, payload("g"))
    assert "which is no time" in only(client)
    assert db.zscore(client.store.keys.schedule, payload("g")) == NOW


def test_of_two_copies_the_one_in_a_claimed_lease_stays(client, db):
    db.lpush(client.store.keys.queue("mail"), payload("a"))
    assert "mending removes it from queue:mail" in only(client)
    assert db.hvals(client.store.keys.lease("c:1")).count(payload("a")) == 1


def test_of_two_copies_in_one_queue_one_stays(client, db):
    db.lpush(client.store.keys.queue("mail"), payload("d"))
    assert "job d" in only(client)
    assert db.lrange(client.store.keys.queue("mail"), 0, -1) == [payload("d")]


def test_a_copy_whose_twin_has_left_meanwhile_stays(client, db):
    db.zadd(client.store.keys.dead, {payload("d"): NOW})
    (finding,) = Audit(client).run()
    db.lrem(client.store.keys.queue("mail"), 0, payload("d"))
    assert finding.mend() is False
    assert db.zscore(client.store.keys.dead, payload("d")) == NOW


def test_a_key_of_another_program_is_reported_and_left_alone(client, db):
    db.delete(client.store.keys.retry)
    db.set(client.store.keys.retry, "theirs")
    (finding,) = Audit(client).run()
    assert "must be a zset" in str(finding)
    assert not finding.can_be_mended
    assert finding.mend() is False
    assert db.get(client.store.keys.retry) == b"theirs"
