"""Unique jobs: the lock goes with the job, however it ends; worker and Redis are the real ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import BadOption, Client, Discard, Kill, Retry, Snooze
from sidelamb.api import DeadSet, Queue, RetrySet, ScheduledSet
from sidelamb.payload import decode
from sidelamb.unique import holder, release
from sidelamb_handlers.failure import KILLS_MOST
from sidelamb_handlers.poller.flight import new_lease_id
from sidelamb_handlers.reaping import reaping
from tests.handlers.kit import STORE, Context, event_for, reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from sidelamb.link import Link


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    client = Client(redis_url)
    yield client
    client.close()


@pytest.fixture
def run(link: Link, make_worker: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Has a worker run what waits in `default`."""
    made: list[Any] = []

    def once() -> dict[str, Any]:
        if not made:
            made.append(make_worker())
        (held,) = reserve(link, new_lease_id("c"))
        return made[0].handle(event_for(held), Context())

    return once


def locks(db: redis.Redis) -> list[bytes]:
    return [db.get(key) for key in db.keys("sidelamb:lock:*")]


def declared(job: Any, client: Client, raises: BaseException | None = None, **options: Any) -> Any:
    @job(unique_for=60, **options)
    def work(*args: Any, **kwargs: Any) -> None:
        if raises is not None:
            raise raises

    return work.using(client=client)


def test_of_two_equal_jobs_the_second_is_not_stored_and_names_the_first(job, client, db):
    work = declared(job, client)
    first = work.enqueue(1, key=2)
    assert work.enqueue(1, key=2) == first
    assert work.enqueue(1, key=3) != first
    assert work.enqueue_in(60, 1, key=2) == first
    assert db.llen("queue:default") == 2
    assert db.zcard("schedule") == 0


async def test_the_same_for_async_code(job, client, db):
    work = declared(job, client)
    first = await work.aenqueue(1)
    assert await work.aenqueue(1) == first
    assert await work.aenqueue_many([(1,), (2,)]) == 1
    await client.aclose()


def test_of_many_that_are_stored_at_once_too(job, client, db):
    work = declared(job, client)
    assert work.enqueue_many((n % 300,) for n in range(1_000)) == 300
    assert db.llen("queue:default") == 300


@pytest.mark.parametrize("raises", [None, Discard("no"), Kill("no")])
def test_the_lock_goes_with_the_end(job, client, run, db, raises):
    work = declared(job, client, raises)
    work.enqueue()
    run()
    assert locks(db) == []


@pytest.mark.parametrize("raises", [ValueError(), Retry(9), Snooze(9)])
def test_a_job_that_goes_on_later_keeps_it(job, client, run, db, raises):
    work = declared(job, client, raises)
    first = work.enqueue()
    run()
    assert locks(db) == [first.encode()]
    assert work.enqueue() == first


def test_until_start_it_goes_before_the_run(job, client, run, db):
    seen = []

    @job(unique_for=60, unique_until="start")
    def work() -> None:
        seen.append(locks(db))

    work.using(client=client).enqueue()
    run()
    assert seen == [[]]


@pytest.mark.parametrize("place", ["queue", "schedule", "retry", "kill"])
def test_a_person_who_deletes_or_kills_it_gives_it_back(job, client, run, db, place):
    work = declared(job, client, ValueError() if place in {"retry", "kill"} else None)
    work.enqueue_in(60) if place == "schedule" else work.enqueue()
    found: Any = Queue("default", client) if place == "queue" else ScheduledSet(client)
    if place in {"retry", "kill"}:
        run()
        found = RetrySet(client)
    entry = next(iter(found))
    assert found.kill(entry) if place == "kill" else found.delete(entry)
    assert locks(db) == []


def test_a_dead_job_that_is_sent_back_gives_back_nobody_else_s(job, client, run, db):
    work = declared(job, client, Kill("no"))
    work.enqueue()
    run()
    other = work.enqueue()
    assert DeadSet(client).delete(next(iter(DeadSet(client))))
    assert locks(db) == [other.encode()]


def test_a_job_that_kills_its_sandbox_again_and_again_gives_it_back_when_it_is_dead(
    job, client, link, make_worker, db
):
    work = declared(job, client, max_retries=0)
    work.enqueue()
    for _ in range(KILLS_MOST):
        for held in reserve(link, new_lease_id("c")):
            now = time.time()
            link.run(STORE.claim(held.lease, request_id="r", now=now, deadline=now + 1))
            held = link.run(STORE.lease(held.lease))  # noqa: PLW2901
            moves = reaping(held, now=now + 2, random=lambda: 0.0)
            link.run(STORE.reap(held, "c", now=now + 2, moves=moves))
        if DeadSet(client).size():
            break
        assert len(locks(db)) == 1
        (held,) = reserve(link, new_lease_id("c"))
        make_worker().handle(event_for(held), Context())  # it is doomed: laid to rest, not run
    assert DeadSet(client).size() == 1
    assert locks(db) == []


def test_the_lock_of_a_scheduled_job_lasts_from_its_time(job, client, db):
    declared(job, client).enqueue_in(1_000)
    (key,) = db.keys("sidelamb:lock:*")
    assert 1_050 < db.ttl(key) <= 1_060


def test_a_key_of_ones_own(job, client, db):
    work = declared(job, client, unique_by=lambda user, **_: user)
    assert work.enqueue(1, why="a") == work.enqueue(1, why="b")
    assert work.enqueue(2) != work.enqueue(1)


def test_by_hand(job, client, db):
    jid = declared(job, client).enqueue()
    lock = decode(db.lindex("queue:default", 0))["lock"]
    assert holder(lock, client) == jid
    assert release(lock, client)
    assert not release(lock, client)
    assert holder(lock, client) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"unique_for": 0}, "unique_for is 0"),
        ({"unique_until": "end"}, "expected 'success' or 'start'"),
        ({"unique_by": "user"}, "expected a function of the job's arguments"),
    ],
)
def test_what_cannot_be_is_refused(job, options, says):
    with pytest.raises(BadOption, match=says):
        job(lambda: None, name="x", **options)
