"""The audit finds what is not as it must be, and mends it without losing a job."""

from __future__ import annotations

import pytest

from sidelamb.api import Audit
from sidelamb.store import Settled, keep
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


async def test_async_code_has_the_same(client, db):
    assert await Audit(client).arun() == []
    db.srem(client.store.keys.queues, "mail")
    (finding,) = await Audit(client).arun()
    assert (await finding.amend(), await finding.amend()) == (True, False)
    assert await Audit(client).arun() == []


def test_a_lease_that_the_set_does_not_know_expires_now(client, db):
    db.zrem(client.store.keys.leases, "c:2")
    assert "nobody would reap it" in only(client)
    assert db.zscore(client.store.keys.leases, "c:2") == NOW


def test_a_claimed_one_only_when_its_invocation_can_no_longer_be_alive(client, db):
    db.zrem(client.store.keys.leases, "c:1")
    assert "when no invocation of it can be alive" in only(client)
    assert db.zscore(client.store.keys.leases, "c:1") == NOW + 960


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
    db.zadd(client.store.keys.leases, {"c:2": float("inf")})
    assert "which is no time" in only(client)
    assert db.zscore(client.store.keys.leases, "c:2") == NOW


def test_a_claimed_lease_that_never_expires_does_so_after_its_invocation(client, db):
    db.zadd(client.store.keys.leases, {"c:1": float("inf")})
    assert "which is no time" in only(client)
    assert db.zscore(client.store.keys.leases, "c:1") == NOW + 960


def test_fields_that_are_none_of_a_leases_go_and_it_can_close_again(client, db):
    db.hset(client.store.keys.lease("c:1"), mapping={"odd": "x", "poler": "y"})
    assert "none of a lease's (odd, poler)" in only(client)
    settle = client.store.settle("c:1", "c", now=NOW, done=["0:mail", "1:mail"], request_id="r/1")
    assert client.link.run(settle) == Settled(2, 0)
    assert Audit(client).run() == []


@pytest.mark.parametrize("name", ["capsule", "poller"])
def test_a_field_that_a_lease_lacks_is_given_back_so_that_it_closes_with_its_last_job(client, db, name):
    db.hdel(client.store.keys.lease("c:1"), name)
    assert f"it lacks its {name}" in only(client)
    settle = client.store.settle("c:1", "c", now=NOW, done=["0:mail"], request_id="r/1")
    assert client.link.run(settle) == Settled(1, 1)


@pytest.mark.parametrize("claim", [None, b"\xff garbage", b"r/1", b""], ids=repr)
@pytest.mark.parametrize("name", ["c:1", "c:2"])
def test_a_lease_whose_state_cannot_be_read_is_nobodys_and_ends_with_its_time(client, db, claim, name):
    key, score = client.store.keys.lease(name), db.zscore(client.store.keys.leases, name)
    db.hdel(key, "open", "claim")
    if claim is not None:
        db.hset(key, "claim", claim)
    assert ("its claim cannot be read" if claim is not None else "neither open nor claimed") in only(client)
    assert db.zscore(client.store.keys.leases, name) == score
    assert not client.link.run(client.store.claim(name, request_id="r/1", now=NOW, deadline=NOW + 9))
    held = client.link.run(client.store.lease(name))
    assert not held.ran_alone, "nobody is charged"
    moves = [keep(f, alone=True) for f in held.jobs]
    assert client.link.run(client.store.reap(held, "c", now=score, moves=moves)).moved == len(held.jobs)
    assert Audit(client).run() == []


def test_a_lease_that_is_open_and_claimed_is_claimed(client, db):
    db.hset(client.store.keys.lease("c:1"), "open", "2")
    assert "both open and claimed" in only(client)
    assert db.hget(client.store.keys.lease("c:1"), "claim") is not None


def test_a_slot_in_another_capsule_is_freed_there_and_stays_in_its_own(client, db):
    db.sadd(client.store.keys.slots("d"), "c:1")
    assert "is another capsule's" in only(client)
    assert db.smembers(client.store.keys.slots("c")) == {b"c:1", b"c:2"}


def test_all_that_is_wrong_with_a_lease_is_said_and_mended_at_once(client, db):
    key = client.store.keys.lease("c:9")
    db.hset(key, mapping={"0:mail": payload("x"), "odd": "y"})
    said = only(client)
    for part in ("none of a lease's", "lacks its capsule and poller", "neither open nor", "nobody would reap"):
        assert part in said
    assert db.hget(key, "0:mail") == payload("x")


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


@pytest.mark.parametrize(
    "name", ["sidelamb:leases", "sidelamb:slots:c", "sidelamb:lease:c:1", "queues", "queue:mail"]
)
def test_whichever_key_another_program_has_taken_the_rest_is_looked_at(client, db, name):
    key = client.store.keys(name)
    db.delete(key)
    db.set(key, "theirs")
    db.zadd(client.store.keys.schedule, {payload("f"): NOW})
    found = [str(finding) for finding in Audit(client).run()]
    assert any(f"{name}: it is a string" in each for each in found)
    assert any("job f is in" in each for each in found)
    assert len(found) == 2


def test_more_entries_without_a_time_than_are_shown_are_said(client, db):
    db.zadd(client.store.keys.schedule, {payload(f"g{n}"): float("inf") for n in range(1_200)})
    rounds = 0
    while found := Audit(client).run():
        assert len(found) <= 501
        assert sum(finding.mend() for finding in found) > 0
        rounds += 1
    assert rounds == 3


def test_a_key_of_another_program_is_reported_and_left_alone(client, db):
    db.delete(client.store.keys.retry)
    db.set(client.store.keys.retry, "theirs")
    (finding,) = Audit(client).run()
    assert "must be a zset" in str(finding)
    assert not finding.can_be_mended
    assert finding.mend() is False
    assert db.get(client.store.keys.retry) == b"theirs"
