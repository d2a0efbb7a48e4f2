"""Keys of features that another program has taken: a job ends all the same, once, and it is said."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import chain
from sidelamb.api import DeadSet, RetrySet
from sidelamb.effects import Effect
from sidelamb.errors import RedisRefused
from sidelamb.limits import Bucket, Concurrent, Window
from sidelamb.store import Move, Settled
from sidelamb_handlers.scheduler import Scheduler
from tests.handlers.kit import STORE, payload, push, reserve, waiting

if TYPE_CHECKING:
    import redis

    from sidelamb import Client
    from sidelamb.link import Link


def spoil(db: redis.Redis, key: str) -> None:
    """Put what nobody of us keeps there into a key."""
    db.delete(key)
    db.xadd(key, {"of": "somebody else"})


def errors(lines: list[dict[str, Any]]) -> list[str]:
    return [line["text"] for line in lines if line["levelname"] == "ERROR"]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"unique_for": 60}, "lock"),
        ({"unique_for": 60}, "sidelamb:locks"),
        ({"result_ttl": 60}, "sidelamb:status:"),
        ({"result_ttl": 60}, "sidelamb:bell:"),
        ({"limit": Concurrent(1)}, "sidelamb:limit:concurrent:work"),
    ],
    ids=["a lock", "all locks", "a status", "a bell", "a limit"],
)
def test_a_job_that_has_run_ends_with_its_neighbours_and_the_log_names_the_key(
    job: Any, client: Client, run: Any, db: redis.Redis, lines: list[Any], options: Any, key: str
) -> None:
    ran = []

    @job(**options)
    def work() -> None:
        ran.append(1)
        spoil(db, key)

    @job
    def other() -> None:
        ran.append(2)

    jid = work.using(client=client).enqueue()
    key = next(iter(db.scan_iter("sidelamb:lock:*"))).decode() if key == "lock" else key
    key += jid if key.endswith(":") else ""
    other.using(client=client).enqueue()
    assert run()["status"] == "settled"
    assert (ran, db.get("stat:processed")) == ([1, 2], b"2")
    assert db.zcard("sidelamb:leases") == 0
    assert db.type(key) == b"stream"
    said = errors(lines)
    assert said
    assert all(f"{key} is a stream" in text and jid in text for text in said), said


@pytest.mark.parametrize("options", [{"result_ttl": 60}, {"unique_for": 60, "unique_until": "start"}], ids=str)
def test_what_cannot_keep_a_job_from_running_does_not(
    job: Any, client: Client, run: Any, db: redis.Redis, options: Any
) -> None:
    ran = []

    @job(**options)
    def work() -> None:
        ran.append(1)

    work.using(client=client).enqueue()
    for key in [*db.scan_iter("sidelamb:status:*"), *db.scan_iter("sidelamb:lock:*")]:
        spoil(db, key.decode())
    run()
    assert (ran, db.zcard("sidelamb:leases"), waiting(db)) == ([1], 0, [])


@pytest.mark.parametrize(
    "limit", [Concurrent(1), Window(1, per=9), Bucket(1, per=9)], ids=lambda limit: limit.KIND
)
def test_a_job_whose_limit_cannot_be_asked_fails_and_says_why(
    job: Any, client: Client, run: Any, db: redis.Redis, limit: Any
) -> None:
    ran = []

    @job(limit=limit)
    def work() -> None:
        ran.append(1)

    work.using(client=client).enqueue()
    key = limit.key("work")
    spoil(db, key)
    run()
    assert (ran, waiting(db), db.zcard("sidelamb:leases")) == ([], [], 0)
    (entry,) = RetrySet(client)
    assert f"{key} is a stream" in entry.error_message
    assert "Another program uses one of our keys" in entry.error_message
    db.delete(key)
    RetrySet(client).retry_all()
    run()
    assert ran == [1]


def test_the_next_step_of_a_chain_whose_queue_is_none_is_dead_and_can_be_retried(
    job: Any, client: Client, run: Any, db: redis.Redis, lines: list[Any]
) -> None:
    ran = []

    @job
    def work(n: int) -> None:
        ran.append(n)

    @job(queue="other")
    def after(n: int) -> None:
        ran.append(n)

    chain(work.si(1), after.si(2)).enqueue(client)
    spoil(db, "queue:other")
    assert run()["status"] == "settled"
    assert (ran, db.zcard("sidelamb:leases")) == ([1], 0)
    (dead,) = DeadSet(client)
    assert (dead.name, dead.queue) == ("after", "other")
    (text,) = errors(lines)
    assert "queue:other is a stream" in text
    assert "in dead" in text
    db.delete("queue:other")
    DeadSet(client).retry_all()
    assert len(waiting(db, "other")) == 1


def test_a_next_step_that_names_no_dead_set_is_not_given_up(db: redis.Redis, link: Link) -> None:
    """As one comes from a worker one release older, through a poller."""
    push(db, payload("work", 1))
    reserve(link, "c:1")
    spoil(db, "queue:other")
    step = Effect("next", ("queues", "queue:other"), ("other", "{}"))
    move = Move("0:default", "x", count="p", effects=[step])
    with pytest.raises(RedisRefused, match="queue:other is a stream"):
        link.run(STORE.settle("c:1", "c", now=1.0, moves=[move]))
    db.delete("queue:other")
    assert link.run(STORE.settle("c:1", "c", now=1.0, moves=[move])) == Settled(1, 0)
    assert waiting(db, "other") == [b"{}"]


def test_the_lease_of_a_killed_job_is_reaped(job: Any, client: Client, link: Link, db: redis.Redis) -> None:
    @job(result_ttl=60)
    def work() -> None: ...

    jid = work.using(client=client).enqueue()
    reserve(link, "c:1")
    now = time.time()
    link.run(STORE.claim("c:1", request_id="r1", now=now, deadline=now + 60))
    spoil(db, f"sidelamb:status:{jid}")
    made = Scheduler(link, STORE, clock=lambda: now + 61).make_pass(now + 90)
    assert (made.reaped, db.zcard("sidelamb:leases")) == (1, 0)
    assert db.llen("sidelamb:alone:default") == 1


def test_who_settles_is_told_what_was_given_up(db: redis.Redis, link: Link) -> None:
    push(db, payload("work", 1))
    reserve(link, "c:1")
    spoil(db, "sidelamb:lock:l")
    effect = Effect("unlock", ("sidelamb:lock:l", "sidelamb:locks"), ("work-1", "l"))
    move = Move("0:default", "x", count="p", effects=[effect])
    settled = link.run(STORE.settle("c:1", "c", now=1.0, moves=[move]))
    assert (settled.moved, settled.left) == (1, 0)
    assert [(one.field, one.verb) for one in settled.given_up] == [("0:default", "unlock")]


@pytest.mark.parametrize("kind", ["due", "records"])
def test_where_nothing_periodic_can_be_kept_all_else_is_promoted_and_reaped(
    db: redis.Redis, link: Link, kind: str
) -> None:
    now = time.time()
    db.zadd("schedule", {payload("late", 1): now - 1})
    push(db, payload("held", 1))
    reserve(link, "c:1", expires=now - 1)
    db.zadd("sidelamb:periodic:due", {"nightly": now - 1})
    spoil(db, {"due": "sidelamb:periodic:due", "records": "sidelamb:periodic"}[kind])
    made = Scheduler(link, STORE).make_pass(now + 9)
    assert (made.promoted, made.reaped, made.ticked) == (1, 1, 0)


def test_a_poller_looks_on_where_nothing_periodic_can_be_kept(db: redis.Redis, link: Link) -> None:
    push(db, payload("work", 1))
    spoil(db, "sidelamb:periodic:due")
    assert link.run(STORE.look(["default"])).waiting == {"default": 1}
