"""Limits that all processes share; workers, Redis and the scheduler's pass are the real ones."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import BadOption, Client
from sidelamb.api import ScheduledSet
from sidelamb.limits import Bucket, Concurrent, OverLimit, Window
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
    """Has a worker run what waits in `default`, in one invocation."""
    made: list[Any] = []

    def once(threads: int = 1) -> dict[str, Any]:
        if not made:
            made.append(make_worker())
        (held,) = reserve(link, new_lease_id("c"))
        return made[0].handle(event_for(held, threads=threads), Context())

    return once


def slots(db: redis.Redis, name: str) -> set[bytes]:
    return set(db.zrange(f"sidelamb:limit:concurrent:{name}", 0, -1))


class TestConcurrent:
    def test_holds_a_slot_while_it_runs_and_no_longer(self, job: Any, client: Client, run: Any, db: redis.Redis):
        seen = []

        @job(limit=Concurrent(1))
        def work() -> None:
            seen.append(slots(db, "work"))

        jid = work.using(client=client).enqueue()
        run()
        assert seen == [{jid.encode()}]
        assert slots(db, "work") == set()

    @pytest.mark.parametrize("most", [1, 3])
    def test_is_never_exceeded_and_all_run_in_the_end(
        self, job: Any, client: Client, link: Link, run: Any, db: redis.Redis, most: int
    ):
        at_once, running, ran = [0], threading.Semaphore(100), Counter()  # the semaphore counts what runs

        @job(limit=Concurrent(most))
        def work(n: int) -> None:
            running.acquire()
            at_once.append(100 - running._value)
            time.sleep(0.002)
            ran[n] += 1
            running.release()

        work.using(client=client).enqueue_many((n,) for n in range(12))
        while sum(ran.values()) < 12:
            run(threads=6)
            ScheduledSet(client).retry_all()
        assert max(at_once) <= most
        assert set(ran.values()) == {1}
        assert slots(db, "work") == set()

    def test_puts_off_uncounted_with_jitter_and_lets_neighbours_pass(
        self, job: Any, client: Client, run: Any, db: redis.Redis
    ):
        ran = []

        @job(limit=Concurrent(1, name="api"))
        def limited(n: int) -> None:
            ran.append(n)

        @job
        def free() -> None:
            ran.append("free")

        with Concurrent(1, name="api").hold(client=client):
            limited.using(client=client).enqueue_many((n,) for n in range(20))
            free.using(client=client).enqueue()
            run()
        assert ran == ["free"]
        waits = [entry.score - time.time() for entry in ScheduledSet(client)]
        assert len(waits) == 20
        assert min(waits) > 0.5
        assert max(waits) < 1.6
        assert len(set(waits)) > 10
        assert db.get("stat:processed") == b"1", "what is put off is no attempt"
        assert all(entry.retry_count is None for entry in ScheduledSet(client))

    @pytest.mark.parametrize("how", ["fails", "dies", "is discarded"])
    def test_gives_the_slot_back_however_it_ends(
        self, job: Any, client: Client, run: Any, db: redis.Redis, how: str
    ):
        from sidelamb import Discard

        @job(limit=Concurrent(1), max_retries=0 if how == "dies" else 3)
        def work() -> None:
            raise Discard("no") if how == "is discarded" else ValueError

        work.using(client=client).enqueue()
        run()
        assert slots(db, "work") == set()

    def test_gives_the_slot_of_a_killed_job_back_with_the_blame(
        self, job: Any, client: Client, link: Link, db: redis.Redis
    ):
        @job(limit=Concurrent(1))
        def work() -> None: ...

        jid = work.using(client=client).enqueue()
        (held,) = reserve(link, "c:1")
        now = time.time()
        link.run(STORE.claim("c:1", request_id="r1", now=now, deadline=now + 60))
        effect = Concurrent(1).taking("work", jid, now, now + 60)
        assert link.run(STORE.begin("c:1", "0:default", "r1", [effect])) == ""
        held = link.run(STORE.lease("c:1"))
        moves = reaping(held, now=now + 61, random=lambda: 0.0)
        assert link.run(STORE.reap(held, "c", now=now + 61, moves=moves)) == 1
        assert slots(db, "work") == set()

    def test_loses_the_slot_of_a_dead_invocation_at_its_deadline(self, client: Client, link: Link):
        limit, now = Concurrent(1), time.time()
        take = limit._take(client.store.keys, "x", "dead", 0.05)
        assert link.run(take) == ""
        assert link.run(limit._take(client.store.keys, "x", "next", 9)).startswith("1.0 over the limit x")
        time.sleep(max(0.0, now + 0.06 - time.time()))
        assert link.run(limit._take(client.store.keys, "x", "next", 9)) == ""

    def test_is_one_for_each_key(self, job: Any, client: Client, run: Any, db: redis.Redis):
        ran = []

        @job(limit=Concurrent(1, name="tenant", by=lambda tenant: tenant))
        def work(tenant: str) -> None:
            ran.append(tenant)

        with Concurrent(1, name="tenant").hold(key="a", client=client):
            work.using(client=client).enqueue_many([("a",), ("b",)])
            run()
        assert ran == ["b"]

    def test_asked_again_by_its_holder_does_not_count_twice(self, client: Client, link: Link):
        limit = Concurrent(1)
        for _ in range(2):
            assert link.run(limit._take(client.store.keys, "x", "me", 9)) == ""


class TestWindow:
    def test_lets_so_many_start_in_any_stretch_of_time(self, client: Client, link: Link):
        limit, passed = Window(3, per=10), []
        for tenth in range(400):
            now = 1_795_405_727.5 + tenth / 10
            effect = limit.taking("x", f"j{tenth}", now, now + 9)
            if not link.run(_call(client, effect)):
                passed.append(now)
        assert len(passed) == 12
        assert all(later - sooner >= 10 for sooner, later in zip(passed, passed[3:], strict=False))

    def test_says_when_there_is_room_again(self, client: Client, link: Link):
        limit, now = Window(2, per=10), 1_795_405_727.5
        for n in range(2):
            assert link.run(_call(client, limit.taking("x", f"j{n}", now + n, now + 9))) == ""
        assert link.run(_call(client, limit.taking("x", "j2", now + 4, now + 9))) == "6.000 over the limit x"

    def test_counts_a_retry_as_a_start(self, job: Any, client: Client, run: Any, db: redis.Redis):
        ran = []

        @job(limit=Window(2, per=60))
        def work() -> None:
            ran.append(1)
            raise ValueError

        from sidelamb.api import RetrySet

        work.using(client=client).enqueue()
        for _ in range(3):
            run()
            RetrySet(client).retry_all()
        assert len(ran) == 2
        (entry,) = ScheduledSet(client)
        assert 50 < entry.score - time.time() <= 91


class TestBucket:
    def test_leaks_evenly_after_a_burst(self, client: Client, link: Link):
        limit, passed = Bucket(2, per=1, burst=3), []
        for tenth in range(51):
            now = 1_795_405_727.5 + tenth / 10
            while not link.run(_call(client, limit.taking("x", "j", now, now + 9))):
                passed.append(tenth)
        assert passed == [0, 0, 0, *range(5, 51, 5)]

    def test_says_how_long_to_wait(self, client: Client, link: Link):
        limit, now = Bucket(1, per=8), 1_795_405_727.5
        assert link.run(_call(client, limit.taking("x", "j", now, now + 9))) == ""
        assert link.run(_call(client, limit.taking("x", "j", now + 2, now + 9))) == "6.000 over the limit x"


class TestOutsideOfJobs:
    def test_is_held_and_given_back(self, client: Client, db: redis.Redis):
        limit = Concurrent(1, name="api")
        with limit.hold(client=client):
            assert len(slots(db, "api")) == 1
            with pytest.raises(OverLimit, match="'api' was not free within 0 s"), limit.hold(client=client):
                pass
        assert slots(db, "api") == set()

    def test_is_given_back_after_an_error(self, client: Client, db: redis.Redis):
        with pytest.raises(KeyError), Concurrent(1, name="api").hold(client=client):
            raise KeyError
        assert slots(db, "api") == set()

    def test_waits(self, client: Client):
        window = Window(1, per=0.2, name="api")
        began = time.monotonic()
        for _ in range(2):
            with window.hold(client=client, wait=5):
                pass
        assert time.monotonic() - began >= 0.2

    def test_needs_a_name(self):
        with pytest.raises(BadOption, match="needs a name"), Concurrent(1).hold():
            pass


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Concurrent(0), "Concurrent is 0"),
        (lambda: Concurrent(True), "Concurrent is True"),
        (lambda: Window(1, per=0), "per of Window is 0"),
        (lambda: Window(1, per="x"), "per of Window is 'x'"),
        (lambda: Bucket(1, burst=0), "burst of Bucket is 0"),
        (lambda: Concurrent(1, name=""), "name of a limit"),
        (lambda: Concurrent(1, by="x"), "by of a limit"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, says: str):
    with pytest.raises(BadOption, match=says):
        make()


def test_a_job_s_limit_must_be_one_and_cannot_be_set_for_a_call(job: Any):
    with pytest.raises(BadOption, match=r"limit is 5 \(int\); expected Concurrent"):
        job(lambda: None, limit=5, name="x")

    @job(limit=Concurrent(1))
    def work() -> None: ...

    with pytest.raises(BadOption, match="limit is code"):
        work.using(limit=Concurrent(2))


def _call(client: Client, effect: Any) -> Any:
    from sidelamb.limits import _effects

    return _effects(client.store.keys, effect)
