"""Limits that all processes share; workers, Redis and the scheduler's pass are the real ones."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import BadArgument, BadOption, Client, holding
from sidelamb.api import Limits, ScheduledSet
from sidelamb.holding import take
from sidelamb.limits import Bucket, Concurrent, OverLimit, Window
from sidelamb_handlers.reaping import reaping
from tests.handlers.kit import STORE, payload, push, reserve

if TYPE_CHECKING:
    import redis

    from sidelamb.link import Link


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

    @pytest.mark.parametrize("threads", [1, 3])
    def test_jobs_of_one_lease_hand_the_slot_on_before_their_ends_are_written_down(
        self, job: Any, client: Client, run: Any, db: redis.Redis, threads: int
    ):
        ran, beside = [], []

        @job(limit=Concurrent(threads))
        def work(n: int) -> None:
            ran.append(n)
            beside.append(len(slots(db, "work")))

        work.using(client=client).enqueue_many((n,) for n in range(20))
        run(threads=threads)
        assert sorted(ran) == list(range(20))
        assert max(beside) <= threads
        assert slots(db, "work") == set()
        assert ScheduledSet(client).size() == 0

    def test_a_slot_of_a_run_that_goes_on_is_not_taken_over(self, job: Any, client: Client, run: Any):
        ran = []

        @job(limit=Concurrent(1))
        def work(n: int) -> None:
            ran.append(n)
            time.sleep(0.05)

        work.using(client=client).enqueue_many((n,) for n in range(2))
        run(threads=2)
        assert (len(ran), ScheduledSet(client).size()) == (1, 1)

    @pytest.mark.parametrize(("waited_s", "least_s"), [(0, 0.1), (5, 0.5), (60, 1.0)])
    def test_puts_off_uncounted_with_jitter_the_longer_it_waits_already_and_lets_neighbours_pass(
        self, job: Any, client: Client, run: Any, db: redis.Redis, waited_s: float, least_s: float
    ):
        ran = []

        @job(limit=Concurrent(1, name="api"))
        def limited(n: int) -> None:
            ran.append(n)

        @job
        def free() -> None:
            ran.append("free")

        with Concurrent(1, name="api").hold(client=client):
            began = time.time()
            made = began - waited_s
            push(db, *(payload("limited", n, limit="api", created_at=made) for n in range(20)))
            free.using(client=client).enqueue()
            run()
            took_s = time.time() - began
        assert ran == ["free"]
        waits = [entry.score - began for entry in ScheduledSet(client)]
        assert len(waits) == 20
        assert min(waits) >= least_s
        assert max(waits) < (least_s + took_s) * 1.5
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
        assert link.run(STORE.reap(held, "c", now=now + 61, moves=moves)).moved == 1
        assert slots(db, "work") == set()

    def test_loses_the_slot_of_a_dead_invocation_at_its_deadline(self, client: Client, link: Link):
        limit, now = Concurrent(1), time.time()
        take = _taking(client, limit, "x", "dead", 0.05)
        assert link.run(take) == ""
        assert link.run(_taking(client, limit, "x", "next", 9)).startswith("1.0 over the limit x")
        time.sleep(max(0.0, now + 0.06 - time.time()))
        assert link.run(_taking(client, limit, "x", "next", 9)) == ""

    def test_is_one_for_each_key(self, job: Any, client: Client, run: Any, db: redis.Redis):
        ran = []

        @job(limit=Concurrent(1, name="tenant", by=lambda tenant: tenant))
        def work(tenant: str) -> None:
            ran.append(tenant)

        with Concurrent(1, name="tenant").hold(key="a", client=client):
            work.using(client=client).enqueue_many([("a",), ("b",)])
            run()
        assert ran == ["b"]

    def test_takes_the_slots_of_those_whose_runs_are_over(self, client: Client, link: Link, db: redis.Redis):
        limit, now = Concurrent(2), time.time()
        for jid in ("a", "b"):
            assert link.run(_taking(client, limit, "x", jid, 9)) == ""
        late = limit.taking("x", "c", now, now + 9)._replace(over=("a", "gone"))
        assert link.run(_call(client, late)) == ""
        assert slots(db, "x") == {b"b", b"c"}
        assert [(one.name, one.most) for one in Limits(client)] == [("x", 2)]

    def test_asked_again_by_its_holder_does_not_count_twice(self, client: Client, link: Link):
        limit = Concurrent(1)
        for _ in range(2):
            assert link.run(_taking(client, limit, "x", "me", 9)) == ""


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

    def test_a_plain_with_waits_and_gives_back(self, client: Client, db: redis.Redis, monkeypatch: Any):
        monkeypatch.setattr(holding, "_default_client", lambda: client)
        limit, seen = Concurrent(1, name="api"), []

        def other() -> None:
            with limit:
                seen.append(len(slots(db, "api")))

        with limit:
            thread = threading.Thread(target=other)
            thread.start()
            time.sleep(0.06)
            assert seen == []
        thread.join()
        assert seen == [1]
        assert slots(db, "api") == set()

    def test_a_with_within_the_same_with_is_another_place(self, client: Client, db: redis.Redis, monkeypatch: Any):
        monkeypatch.setattr(holding, "_default_client", lambda: client)
        limit = Concurrent(2, name="api")
        with limit:
            with limit:
                assert len(slots(db, "api")) == 2
            assert len(slots(db, "api")) == 1
        assert slots(db, "api") == set()

    async def test_the_same_for_async_code(self, client: Client, db: redis.Redis, monkeypatch: Any):
        monkeypatch.setattr(holding, "_default_client", lambda: client)
        limit, most = Concurrent(2, name="api"), []

        async def work() -> None:
            async with limit:
                most.append(len(slots(db, "api")))
                await asyncio.sleep(0.001)

        await asyncio.gather(*(work() for _ in range(6)))
        assert (len(most), max(most)) == (6, 2)
        assert slots(db, "api") == set()
        async with limit.ahold(), limit.ahold():
            with pytest.raises(OverLimit):
                async with limit.ahold(wait=0.01):
                    pass
        await client.aclose()

    def test_a_job_that_lets_over_limit_out_is_put_off_uncounted(
        self, job: Any, client: Client, run: Any, db: redis.Redis
    ):
        api = Concurrent(1, name="api")

        @job
        def work() -> None:
            with api.hold(client=client):
                raise AssertionError

        work.using(client=client).enqueue()
        with api.hold(client=client):
            run()
        (entry,) = ScheduledSet(client)
        assert entry.retry_count is None
        assert db.get("stat:processed") is None
        assert 0.9 < entry.score - time.time() < 1.6

    def test_one_that_is_one_for_each_key_must_be_told_which(self, client: Client):
        with pytest.raises(BadOption, match=r"the limit 'api' is one for each key; say which: hold\(key=…\)"):
            Concurrent(1, name="api", by=str).hold(client=client).__enter__()


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


class TestKeys:
    @pytest.mark.parametrize(
        "key", ["a/b", "a:b", "*", "{x}", "é", "x" * 300, "a\nb", "\ud800", "", 7, None, ["a", 1]]
    )
    def test_may_be_anything_and_are_told_apart(
        self, job: Any, client: Client, run: Any, db: redis.Redis, key: object
    ):
        ran: list[object] = []

        @job(limit=Concurrent(1, name="t", by=lambda _, key=key: key))
        def work(n: int) -> None:
            ran.append(n)

        work.using(client=client).enqueue(1)
        if key is not None:
            with Concurrent(1, name="t").hold(key=key, client=client):
                run()
            assert ran == []
            ScheduledSet(client).retry_all()
        run()
        assert ran == [1]
        assert all(len(name) < 300 for name in db.keys("*"))

    def test_of_two_names_never_meet(self):
        call = {"class": "work", "args": []}
        one = Concurrent(1, name="a", by=lambda: "b:c").named(call)
        other = Concurrent(1, name="a:b", by=lambda: "c").named(call)
        assert one != other
        with pytest.raises(BadOption, match="expected a text without '/'"):
            Concurrent(1, name="a/b")


class TestChanges:
    def test_a_lowered_limit_lets_nobody_in_until_there_is_room(self, client: Client, link: Link):
        for n in range(3):
            assert link.run(_taking(client, Concurrent(3), "x", f"j{n}", 9)) == ""
        assert link.run(_taking(client, Concurrent(1), "x", "j9", 9))
        for n in range(3):
            assert link.run(_taking(client, Concurrent(1), "x", "j9", 9))
            link.run(take(client.store.keys, Concurrent(1).freeing("x", f"j{n}")))
        assert link.run(_taking(client, Concurrent(1), "x", "j9", 9)) == ""

    def test_a_lowered_window_waits_until_enough_have_left_it(self, client: Client, link: Link):
        now = 1_795_405_727.5
        for n in range(4):
            assert link.run(_call(client, Window(4, per=10).taking("x", f"j{n}", now + n, now + 9))) == ""
        answer = link.run(_call(client, Window(2, per=10).taking("x", "j9", now + 5, now + 9)))
        assert answer == "7.000 over the limit x", "of 4 three must leave: the third at 2 + 10"
        assert link.run(_call(client, Window(2, per=10).taking("x", "j9", now + 12, now + 9))) == ""

    def test_a_window_s_edge_belongs_to_the_next_one(self, client: Client, link: Link):
        now = 1_795_405_727.123456
        assert link.run(_call(client, Window(1, per=10).taking("x", "j1", now, now + 9))) == ""
        assert link.run(_call(client, Window(1, per=10).taking("x", "j2", now + 9.99995, now + 9)))
        assert link.run(_call(client, Window(1, per=10).taking("x", "j2", now + 10, now + 9))) == ""

    def test_a_bucket_is_never_more_than_full_after_a_quiet_time(self, client: Client, link: Link):
        limit, now = Bucket(10, per=1, burst=3), 1_795_405_727.5
        for later in (0, 1_000):
            answers = [link.run(_call(client, limit.taking("x", "j", now + later, now))) for _ in range(4)]
            assert [not answer for answer in answers] == [True, True, True, False]

    def test_a_job_from_before_there_was_a_limit_is_under_it(
        self, job: Any, client: Client, link: Link, run: Any, db: redis.Redis
    ):
        seen = []

        @job(limit=Concurrent(1))
        def work() -> None:
            seen.append(slots(db, "work"))

        client.push({"class": "work", "args": [], "jid": "old1"})
        run()
        assert seen == [{b"old1"}]
        assert slots(db, "work") == set()


class TestLookedAfter:
    def test_limits_in_use_are_listed_with_what_is_taken(self, client: Client, link: Link):
        limits, now = Limits(client), time.time()
        assert list(limits) == []
        link.run(_taking(client, Concurrent(5), "api/acme", "j1", 60))
        link.run(_taking(client, Concurrent(5), "api/acme", "j2", 30))
        link.run(_taking(client, Window(3, per=100), "send", "j1", 9))
        for _ in range(3):
            link.run(_taking(client, Bucket(1, per=50, burst=4), "ping", "j1", 9))
        found = {limit.name: limit for limit in limits}
        assert limits.size() == 3
        assert [limit.name for limit in limits.page(0, 2)] == ["api/acme", "send"]
        assert limits.page(1, 2) == [limit for limit in limits if limit.name == "ping"]
        shown = {name: (x.kind, x.most, x.per, x.used, x.free) for name, x in found.items()}
        assert shown == {
            "api/acme": ("concurrent", 5, None, 2, 3),
            "send": ("window", 3, 100.0, 1, 2),
            "ping": ("bucket", 4, 50.0, 3, 1),
        }
        ends = {name: round(x.until.timestamp() - now) for name, x in found.items() if x.until}
        assert ends == {"api/acme": 30, "send": 100, "ping": 50}

    def test_one_that_the_code_declares_is_got(self, client: Client, link: Link):
        limit = Concurrent(2, name="api", by=str)
        assert Limits(client).get(limit, key="acme") is None
        with limit.hold(key="acme", client=client):
            state = Limits(client).get(limit, key="acme")
            assert state is not None
            assert (state.used, state.free) == (1, 1)
        with pytest.raises(BadOption, match="one for each key"):
            Limits(client).get(limit)

    def test_holders_are_listed_and_a_leaked_one_is_given_back_by_hand(self, client: Client, link: Link):
        for n in range(3):
            link.run(_taking(client, Concurrent(3), "x", f"j{n}", 60 + n))
        limits = Limits(client)
        (state,) = limits
        assert [holder.who for holder in limits.holders(state)] == ["j0", "j1", "j2"]
        assert [holder.who for holder in limits.holders(state, 1, 2)] == ["j2"]
        assert limits.release(state, limits.holders(state)[0])
        assert not limits.release(state, "j0")
        assert limits.release(state, "j1")
        assert [holder.who for holder in limits.holders(state)] == ["j2"]

    def test_who_passed_a_window_is_listed_and_can_be_taken_out_of_it(self, client: Client, link: Link):
        link.run(_taking(client, Window(1, per=60), "x", "j1", 9))
        limits = Limits(client)
        (state,) = limits
        (holder,) = limits.holders(state)
        assert (holder.who, round(holder.until.timestamp() - time.time())) == ("j1", 60)  # type: ignore[union-attr]
        assert limits.release(state, holder)
        assert link.run(_taking(client, Window(1, per=60), "x", "j2", 9)) == ""

    def test_a_limit_is_reset(self, client: Client, link: Link, db: redis.Redis):
        for limit in (Concurrent(1), Window(1, per=60), Bucket(1, per=60)):
            link.run(_taking(client, limit, "x", "j1", 60))
        limits = Limits(client)
        for state in list(limits):
            if state.kind == "bucket":
                with pytest.raises(BadArgument, match="knows nobody who has filled it; reset it"):
                    limits.release(state, "j1")
                assert limits.holders(state) == []
            limits.reset(state)
        assert not db.keys("*")

    def test_what_nobody_uses_any_more_is_forgotten_by_who_uses_another(
        self, client: Client, link: Link, db: redis.Redis
    ):
        for n in range(30):
            link.run(_call(client, Window(1, per=1).taking(f"x/{n}", "j", 1_000.0 + n, 0.0)))
        assert list(Limits(client)) == []
        for n in range(3):
            link.run(_taking(client, Window(1, per=60), f"y/{n}", "j", 9))
        assert {limit.name for limit in Limits(client)} == {"y/0", "y/1", "y/2"}
        assert db.zcard("sidelamb:limits") == db.hlen("sidelamb:limit-numbers") == 3

    async def test_the_same_from_async_code(self, client: Client, link: Link):
        link.run(_taking(client, Concurrent(2), "x", "j1", 60))
        (state,) = [limit async for limit in Limits(client)]
        assert await Limits(client).asize() == 1
        assert await Limits(client).arelease(state, (await Limits(client).aholders(state))[0])
        await client.aclose()


def test_a_job_s_limit_must_be_one_and_cannot_be_set_for_a_call(job: Any):
    with pytest.raises(BadOption, match=r"limit is 5 \(int\); expected Concurrent"):
        job(lambda: None, limit=5, name="x")

    @job(limit=Concurrent(1))
    def work() -> None: ...

    with pytest.raises(BadOption, match="limit is code"):
        work.using(limit=Concurrent(2))


def _taking(client: Client, limit: Any, name: str, who: str, at_most: float) -> Any:
    now = time.time()
    return take(client.store.keys, limit.taking(name, who, now, now + at_most))


def _call(client: Client, effect: Any) -> Any:
    return take(client.store.keys, effect)
