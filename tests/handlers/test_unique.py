"""Unique jobs: the lock goes with the job, however it ends; worker and Redis are the real ones."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import BadArgument, BadOption, Client, Discard, Kill, Retry, Snooze, configure, settings
from sidelamb.api import DeadSet, Locks, Queue, RetrySet, ScheduledSet
from sidelamb.limits import Concurrent
from sidelamb.payload import decode
from sidelamb_handlers.failure import KILLS_MOST
from sidelamb_handlers.poller.flight import new_lease_id
from sidelamb_handlers.reaping import reaping
from tests.handlers.kit import STORE, Context, event_for, reserve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis


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


def test_a_queue_that_is_cleared_gives_back_the_locks_of_all_its_jobs(job, client, db):
    work = declared(job, client)
    assert work.enqueue_many((n,) for n in range(2_500)) == 2_500
    db.lpush("sidelamb:alone:default", db.rpop("queue:default"))
    db.rpush("queue:default", b"no job", b"{}")
    assert Queue("default", client).clear() == 2_502
    assert locks(db) == []
    assert not db.exists("sidelamb:locks", "queue:default", "sidelamb:alone:default")
    assert not db.sismember("queues", "default")
    assert work.enqueue(1)


def test_a_queue_whose_jobs_run_while_it_is_cleared_is_cleared_of_the_others(job, client, db, monkeypatch):
    work = declared(job, client)
    work.enqueue_many((n,) for n in range(30))
    queue = Queue("default", client)
    drop, popped = queue._calls.drop, []

    def moving(*args: Any) -> Any:
        if len(popped) < 3:
            popped.append(db.rpop("queue:default"))
        return drop(*args)

    monkeypatch.setattr(queue._calls, "drop", moving)
    assert queue.clear() == 27
    assert sorted(locks(db)) == sorted(decode(raw)["jid"].encode() for raw in popped)


def test_a_handle_among_the_arguments_is_its_job_s_id(job, client, db):
    work = declared(job, client)
    handle = work.enqueue(1)
    assert work.enqueue(handle) == work.enqueue(str(handle))


def test_what_makes_it_unique_must_be_json(job, client, db):
    with pytest.raises(BadOption, match=r"unique_by of work has returned .*; expected plain JSON"):
        declared(job, client, unique_by=lambda *_: {1}).enqueue()
    assert not db.keys("*")


def test_arguments_that_json_cannot_carry_are_told_as_for_any_job(job, client, db):
    with pytest.raises(BadArgument):
        declared(job, client).enqueue(object())
    assert not db.keys("*")


def test_a_call_is_the_same_however_its_arguments_are_passed(job, client, db):
    @job(unique_for=60)
    def work(user: int, opts: dict[str, int] | None = None, *, why: str = "", how: str = "") -> None: ...

    held = work.using(client=client)
    jid = held.enqueue(1, {"a": 1, "b": 2}, why="x", how="y")
    assert held.enqueue(user=1, opts={"b": 2, "a": 1}, how="y", why="x") == jid
    assert held.enqueue(1, how="y", why="x", opts={"a": 1, "b": 2}) == jid
    assert held.enqueue(1, {"a": 1, "b": 3}, why="x", how="y") != jid
    assert db.llen("queue:default") == 2


def test_what_only_looks_alike_is_another_call(job, client, db):
    @job(unique_for=60)
    def work(a: int, /, *rest: int, **more: int) -> None: ...

    held = work.using(client=client)
    calls = [((1,), {}), ((1, 2), {}), ((1,), {"a": 1}), ((1,), {"rest": 2}), ((2,), {"a": 1})]
    assert len({str(held.enqueue(*args, **kwargs)) for args, kwargs in calls}) == 5


def test_jobs_of_other_services_can_be_unique_and_encrypted_too(client, db):
    first = client.enqueue("Other::Job", 1)
    assert client.enqueue("Other::Job", 1) != first
    work = client.job("Other::Job", unique_for=60)
    assert work.enqueue(1) == work.enqueue(1) != work.enqueue(2)
    configure(keys={"k1": secrets.token_bytes(32)})
    client.job("Other::Job", encrypt=True, queue="sealed").enqueue("secret")
    settings.reset()
    assert b"secret" not in db.lindex("queue:sealed", 0)


def test_a_function_that_fails_on_the_arguments_is_named(job, client, db):
    with pytest.raises(BadOption, match=r"unique_by of work has failed: TypeError: .*takes 0 positional"):
        declared(job, client, unique_by=lambda: 1).enqueue(5)
    with pytest.raises(BadOption, match="by of the limit of work has failed: ZeroDivisionError"):
        declared(job, client, limit=Concurrent(1, by=lambda n: 1 / n)).enqueue(0)
    assert not db.keys("*")


def test_a_job_that_has_expired_before_it_ran_gives_it_back(job, client, run, db):
    work = declared(job, client, expires_in=0.01)
    work.enqueue()
    time.sleep(0.02)
    run()
    assert locks(db) == []


def test_a_job_that_a_worker_has_keeps_its_equals_out(job, client, link, make_worker, db):
    seen = []

    @job(unique_for=60)
    def work() -> None:
        seen.append(held.enqueue())

    held = work.using(client=client)
    jid = held.enqueue()
    (lease,) = reserve(link, new_lease_id("c"))
    assert held.enqueue() == jid
    make_worker().handle(event_for(lease), Context())
    assert seen == [jid]
    assert held.enqueue() != jid


def test_a_limit_that_puts_it_off_leaves_a_lock_until_start_where_it_is(job, client, run, db):
    api = Concurrent(1, name="api")
    work = declared(job, client, unique_until="start", limit=api)
    jid = work.enqueue()
    with api.hold(client=client):
        run()
    assert work.enqueue() == jid


@pytest.mark.parametrize("strange", [{"unique_for": 1e300}, {"unique_for": "x"}, {"unique_for": -5}, {"lock": 7}])
def test_payloads_of_other_clients_with_strange_locks_are_stored_and_run(job, client, run, db, strange):
    @job
    def work() -> None: ...

    client.push({"class": "work", "args": [], "jid": "a1", "lock": "work:1", "unique_for": 60, **strange})
    run()
    assert db.llen("queue:default") == 0
    assert not db.keys("sidelamb:lock:*")


class TestEncrypted:
    """The digest is keyed, so that it says nothing of the arguments; rotation finds the locks of both keys."""

    OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)

    @pytest.fixture(autouse=True)
    def no_keys_left(self) -> Iterator[None]:
        yield
        settings.reset()

    def test_the_lock_cannot_be_told_from_the_arguments(self, job, client, db):
        plain = declared(job, client)
        plain.enqueue(7)
        configure(keys={"k1": self.OLD})
        declared(job, client, encrypt=True).enqueue(7)
        configure(keys={"k1": self.NEW})
        declared(job, client, encrypt=True).enqueue(7)
        found = [lock.key for lock in Locks(client)]
        assert len(set(found)) == 3

    def test_equals_are_kept_out_and_the_lock_goes_with_the_end(self, job, client, run, db):
        configure(keys={"k1": self.OLD})
        work = declared(job, client, encrypt=True)
        assert work.enqueue(7) == work.enqueue(7)
        run()
        assert locks(db) == []

    def test_while_keys_are_rotated_old_and_new_processes_keep_each_other_s_equals_out(self, job, client, run, db):
        work = declared(job, client, encrypt=True)
        configure(keys={"k1": self.OLD})
        first = work.enqueue(7)
        configure(keys={"k2": self.NEW, "k1": self.OLD})
        assert work.enqueue(7) == first
        second = work.enqueue(8)
        configure(keys={"k1": self.OLD})
        assert work.enqueue(8) == second
        configure(keys={"k1": self.OLD, "k2": self.NEW})
        assert work.enqueue(8) == second
        assert len(locks(db)) == 3
        run()
        assert locks(db) == []
