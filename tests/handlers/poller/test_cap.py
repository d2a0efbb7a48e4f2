"""The cap of a queue: no more of its jobs are in flight than it says, over all pollers and whatever dies."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.api import Queue
from sidelamb.store import Store, keep
from sidelamb_handlers.config import CapsuleConfig, Config
from sidelamb_handlers.poller import heartbeat as heartbeat_module
from sidelamb_handlers.poller.poller import Poller
from sidelamb_handlers.scheduler import Scheduler
from tests.handlers.kit import (
    STORE,
    Context,
    event_for,
    exit_error,
    payload,
    places,
    push,
    reserve,
    soon,
    stop,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import redis

    from sidelamb.link import Link
    from sidelamb.store import Reserved

FLYING = "sidelamb:in-flight:default"


def mail(count: int, start: int = 0) -> list[bytes]:
    return [payload("work", n) for n in range(start, start + count)]


def taken(link: Link, *ids: str, caps: dict[str, int], queues: tuple[str, ...] = ("default",), **more: Any) -> int:
    """Take what may be taken; say how many jobs that was."""
    return sum(len(held.jobs) for held in reserve(link, *ids, caps=caps, queues=queues, **more))


def claimed(link: Link, lease: str = "c:1") -> None:
    now = time.time()
    assert link.run(STORE.claim(lease, request_id="r", now=now, deadline=now + 60))


class TestReserve:
    def test_takes_no_more_than_the_cap_over_all_leases_and_capsules(self, link: Link, db: redis.Redis):
        push(db, *mail(10))
        assert taken(link, "c:1", "c:2", caps={"default": 3}, most_jobs=1) == 2
        assert taken(link, "d:1", "d:2", caps={"default": 3}, capsule="d", poller="q") == 1
        assert taken(link, "d:3", caps={"default": 3}, capsule="d") == 0
        assert waiting(db) == mail(7, 3)

    def test_packs_no_more_than_the_cap(self, link: Link, db: redis.Redis):
        push(db, *mail(10))
        assert taken(link, "c:1", caps={"default": 4}) == 4
        assert db.hgetall(FLYING) == {b"c:1": b"4"}

    def test_a_cap_of_one_is_one_job(self, link: Link, db: redis.Redis):
        push(db, *mail(3))
        assert taken(link, "c:1", "c:2", caps={"default": 1}) == 1
        assert taken(link, "c:3", caps={"default": 1}) == 0
        link.run(STORE.settle("c:1", "c", now=1.0, done=["0:default"]))
        assert taken(link, "c:3", caps={"default": 1}) == 1

    def test_counts_jobs_under_suspicion_and_serves_them_first(self, link: Link, db: redis.Redis):
        push(db, *mail(3))
        db.lpush("sidelamb:alone:default", *mail(2, 7))
        (held,) = reserve(link, "c:1", "c:2", caps={"default": 1})
        assert held.jobs == {"0!default": mail(1, 7)[0]}
        assert taken(link, "c:3", "c:4", "c:5", caps={"default": 3}) == 2

    def test_says_which_queue_is_held_back_and_takes_from_the_others(self, link: Link, db: redis.Redis):
        push(db, *mail(3))
        push(db, *mail(2, 10), queue="other")
        call = STORE.reserve(
            [f"c:{n}" for n in range(9)],
            ["default", "other"],
            capsule="c",
            poller="p",
            expires=time.time() + 30,
            cap=9,
            most_jobs=9,
            most_bytes=9999,
            caps={"default": 1},
        )
        reserved: Reserved = link.run(call)
        assert [list(held.jobs) for held in reserved.leases] == [["0:default"], ["0:other"], ["0:other"]]
        assert (reserved.waiting, reserved.held_back) == (0, ("default",))

    def test_a_mixed_pack_counts_for_each_queue_alone(self, link: Link, db: redis.Redis):
        push(db, *mail(4))
        push(db, *mail(4, 10), queue="other")
        taken(link, "c:1", caps={"default": 3, "other": 2}, queues=("default", "other"))
        assert (db.hgetall(FLYING), db.hgetall("sidelamb:in-flight:other")) == ({b"c:1": b"3"}, {b"c:1": b"2"})

    def test_a_full_queue_whose_cap_was_lowered_waits_until_enough_are_gone(self, link: Link, db: redis.Redis):
        push(db, *mail(9))
        assert taken(link, "c:1", "c:2", "c:3", caps={"default": 3}, most_jobs=1) == 3
        link.run(STORE.settle("c:1", "c", now=1.0, done=["0:default"]))
        assert taken(link, "c:4", caps={"default": 2}) == 0
        link.run(STORE.settle("c:2", "c", now=1.0, done=["0:default"]))
        assert taken(link, "c:5", caps={"default": 2}) == 1

    def test_a_lost_answer_takes_no_second_time(self, link: Link, db: redis.Redis):
        push(db, *mail(5))
        assert taken(link, "c:1", caps={"default": 2}) == 2
        assert taken(link, "c:1", caps={"default": 2}) == 2
        assert taken(link, "c:2", caps={"default": 2}) == 0

    def test_works_in_one_slot_of_a_cluster(self, link: Link, db: redis.Redis):
        store = Store("{app}")
        link.run(store.enqueue([("default", raw) for raw in mail(3)]))
        call = store.reserve(
            ["c:1"],
            ["default"],
            capsule="c",
            poller="p",
            expires=9e9,
            cap=9,
            most_jobs=9,
            most_bytes=999,
            caps={"default": 2},
        )
        assert len(link.run(call).leases[0].jobs) == 2
        assert all(key.startswith(b"{app}:") for key in (*db.keys("*"), *call.keys))

    def test_costs_four_commands_at_most_and_nothing_without_one(self, link: Link, db: redis.Redis):
        def commands(caps: dict[str, int]) -> int:
            push(db, *mail(1))
            lease = f"c:{len(spent)}"
            db.config_resetstat()
            taken(link, lease, caps=caps)
            spent.append(sum(stat["calls"] for stat in db.info("commandstats").values()))
            link.run(STORE.settle(lease, "c", now=1.0, done=["0:default"]))
            return spent[-1]

        spent: list[int] = []
        commands({})  # loads the script
        plain = commands({})
        assert commands({"other": 1}) == plain
        assert not db.exists(FLYING)
        assert [commands({"default": 2}) - plain for _ in range(2)] == [2, 4], (
            "the second forgets the first's lease"
        )


class TestRoom:
    """Comes with whatever takes a job out of its lease."""

    @pytest.mark.parametrize("how", ["released", "reaped", "settled", "given back"])
    def test_when_the_lease_is_gone(self, link: Link, db: redis.Redis, how: str):
        push(db, *mail(2))
        (held,) = reserve(link, "c:1", caps={"default": 2})
        if how == "released":
            link.run(STORE.release("c", [held]))
        elif how == "reaped":
            now = time.time() + 60
            Scheduler(link, STORE, clock=lambda: now).make_pass(now + 60)
        else:
            claimed(link)
            moves = [keep(field) for field in held.jobs] if how == "given back" else ()
            link.run(STORE.settle("c:1", "c", now=1.0, done=list(held.jobs) if not moves else (), moves=moves))
        push(db, *mail(3, 10))
        assert taken(link, "c:2", caps={"default": 2}) == 2

    def test_with_each_job_that_ends_in_a_lease_that_goes_on(
        self, link: Link, db: redis.Redis, make_worker: Any, job: Any
    ):
        room, seen = threading.Event(), []

        @job
        def work(n: int) -> None:
            if n == 2:
                assert room.wait(5)

        push(db, *mail(9))
        (held,) = reserve(link, "c:1", caps={"default": 3})
        event = CapsuleConfig("c", "f", caps={"default": 3}).capped(held.jobs)
        thread = threading.Thread(
            target=lambda: seen.append(make_worker().handle(event_for(held, capped=event), Context()))
        )
        thread.start()
        end = time.monotonic() + 5
        while not (now := taken(link, "c:2", caps={"default": 3})) and time.monotonic() < end:
            time.sleep(0.005)
        room.set()
        thread.join()
        assert now == 2
        assert seen[0]["status"] == "settled"
        assert db.hget(FLYING, "c:1") is None or db.zscore("sidelamb:leases", "c:1") is None
        assert taken(link, "c:3", caps={"default": 3}) == 1

    def test_not_with_the_halves_of_a_lease_whose_sandbox_died(self, link: Link, db: redis.Redis):
        push(db, *mail(9))
        reserve(link, "c:1", caps={"default": 4})
        claimed(link)
        held = link.run(STORE.lease("c:1"))
        narrow = STORE.narrow(
            held,
            ("c:a", "c:b"),
            first=1,
            request_id="r",
            poller="p",
            expires=time.time() + 30,
            capped=["default"],
        )
        link.run(narrow)
        assert db.hgetall(FLYING) == {b"c:a": b"1", b"c:b": b"3"}
        assert taken(link, "c:2", caps={"default": 4}) == 0

    def test_leases_from_before_there_was_a_cap_are_counted_once(self, link: Link, db: redis.Redis):
        push(db, *mail(9))
        reserve(link, "c:1", most_jobs=2)
        assert [link.run(STORE.recount("c:1", "default")) for _ in range(2)] == [2, 0]
        assert link.run(STORE.recount("c:nobody", "default")) == 0
        assert taken(link, "c:2", caps={"default": 3}) == 1


@pytest.fixture
async def start(redis_url: str) -> AsyncIterator[Callable[..., Poller]]:
    """Starts pollers with one capsule each, of the same name."""
    tasks: list[asyncio.Task[None]] = []
    pollers: list[Poller] = []

    def begin(invoker: Any, **capsule: Any) -> Poller:
        settings = CapsuleConfig(**{"name": "c", "function": "worker", **capsule})
        pollers.append(Poller(Config(redis=redis_url, capsules=(settings,)), invoker))
        tasks.append(asyncio.create_task(pollers[-1].run()))
        return pollers[-1]

    yield begin
    await stop(tasks)
    for poller in pollers:
        await stop(task for capsule in poller.capsules for task in capsule._tasks)
        await poller._link.close()


class Running:
    """Counts how many runs of `work` there are at once."""

    def __init__(self, job: Any, takes_s: float = 0.003) -> None:
        self._lock, self.now, self.most, self.ran = threading.Lock(), 0, 0, []

        @job
        def work(n: int) -> None:
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(takes_s)
            with self._lock:
                self.now -= 1
                self.ran.append(n)


class TestPollers:
    @pytest.mark.parametrize(("cap", "most"), [(1, 1), (3, 1), (4, 5)])
    async def test_two_of_them_never_have_more_in_flight_and_all_jobs_run(
        self, start, sandboxes, job, db, cap, most
    ):
        running = Running(job)
        push(db, *mail(40))
        for _ in range(2):
            start(sandboxes, in_flight=6, jobs=most, threads=most, caps={"default": cap})
        await soon(lambda: len(running.ran) == 40, 20)
        assert running.most == cap if most == 1 else running.most <= cap
        await soon(lambda: not places(db))

    async def test_a_cap_of_one_keeps_the_order(self, start, sandboxes, job, db):
        running = Running(job, 0.001)
        push(db, *mail(25))
        for _ in range(2):
            start(sandboxes, in_flight=6, caps={"default": 1})
        await soon(lambda: len(running.ran) == 25, 20)
        assert running.ran == list(range(25))

    async def test_room_is_used_at_once_not_at_the_next_look(self, start, sandboxes, job, db):
        running = Running(job, 0.0)
        push(db, *mail(30))
        began = time.monotonic()
        start(sandboxes, caps={"default": 1})
        await soon(lambda: len(running.ran) == 30, 20)
        assert time.monotonic() - began < 5  # 30 looks would take 30 s

    async def test_a_full_queue_makes_nobody_spin_and_does_not_slow_its_neighbour_down(
        self, start, sandboxes, job, db, link, monkeypatch
    ):
        monkeypatch.setattr(heartbeat_module, "EVERY_S", 600.0)
        running = Running(job)
        push(db, *mail(5))
        assert taken(link, "d:1", caps={"default": 1}, capsule="d") == 1  # another poller's, and slow
        poller = start(sandboxes, queues=("default", "other"), caps={"default": 1})
        await soon(lambda: poller.capsules[0].hungry.is_set() and db.info("clients")["blocked_clients"] == 1)
        db.config_resetstat()
        await asyncio.sleep(1.2)
        calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in db.info("commandstats").items()}
        assert calls["evalsha"] <= 6  # a look and a reserve a second
        assert "blmove" not in calls
        pushed = time.monotonic()
        push(db, payload("work", 99), queue="other")
        await soon(lambda: running.ran == [99])
        assert time.monotonic() - pushed < 0.5
        link.run(STORE.settle("d:1", "d", now=1.0, done=["0:default"]))
        await soon(lambda: len(running.ran) == 5)

    async def test_a_queue_that_was_full_is_peeked_at_again(self, start, sandboxes, job, db):
        running = Running(job, 0.0)
        push(db, *mail(3))
        poller = start(sandboxes, caps={"default": 1})
        await soon(lambda: len(running.ran) == 3)
        await soon(lambda: poller.capsules[0].hungry.is_set() and db.info("clients")["blocked_clients"] == 1, 0.6)
        assert poller.capsules[0].held_back == ()

    async def test_a_poller_that_died_before_it_invoked_keeps_its_place_until_its_leases_expire(
        self, start, sandboxes, job, db, link
    ):
        running = Running(job)
        push(db, *mail(3))
        assert taken(link, "c:dead", caps={"default": 1}, expires=time.time() + 0.5) == 1
        start(sandboxes, caps={"default": 1})
        await asyncio.sleep(0.3)
        assert running.ran == []
        await asyncio.sleep(0.3)
        Scheduler(link, STORE).make_pass(time.time() + 60)
        await soon(lambda: len(running.ran) == 3)
        assert (sorted(running.ran), running.most) == ([0, 1, 2], 1)

    async def test_a_job_that_ends_its_sandbox_runs_again_within_the_cap(self, start, sandboxes, job, db, link):
        running, deaths = Running(job), []

        async def dies(_: str, event: Any, request_id: str) -> Any:
            if len(deaths) < 2 and event["jobs"][0]["jid"] == "work-0":
                deaths.append(request_id)
                now = time.time()
                await asyncio.to_thread(claim, event["lease"], request_id, now)
                return exit_error(request_id)
            return None

        def claim(lease: str, request_id: str, now: float) -> None:
            link.run(STORE.claim(lease, request_id=request_id, now=now, deadline=now + 60))

        sandboxes.instead = dies
        push(db, *mail(8))
        start(sandboxes, in_flight=2, jobs=4, threads=4, caps={"default": 4})
        await soon(lambda: len(running.ran) == 8, 15)
        assert len(deaths) == 2
        assert running.most <= 4
        await soon(lambda: not places(db))

    async def test_what_flies_when_a_cap_comes_is_counted(self, start, sandboxes, job, db, link):
        running = Running(job)
        push(db, *mail(3))
        assert taken(link, "d:old", caps={}, capsule="d", most_jobs=1) == 1
        poller = start(sandboxes, caps={"default": 1})
        await soon(lambda: poller.capsules[0].held_back == ("default",))
        assert running.ran == []
        link.run(STORE.settle("d:old", "d", now=1.0, done=["0:default"]))
        await soon(lambda: len(running.ran) == 2)

    async def test_a_paused_queue_with_a_cap_stays_paused(self, start, sandboxes, job, db, client):
        running = Running(job)
        Queue("default", client).pause()
        push(db, *mail(2))
        poller = start(sandboxes, caps={"default": 1})
        await soon(lambda: poller.capsules[0].held_back == ("default",))
        Queue("default", client).resume()
        await soon(lambda: len(running.ran) == 2)
