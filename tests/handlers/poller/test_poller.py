"""The whole poller, with a Lambda inside this process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb_handlers.config import CapsuleConfig, Config
from sidelamb_handlers.poller import heartbeat as heartbeat_module
from sidelamb_handlers.poller import look as look_module
from sidelamb_handlers.poller.poller import Poller
from sidelamb_handlers.scheduler import Scheduler
from tests.handlers.kit import STORE, payload, places, push, soon, stop, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.handlers.proxy import Proxy


@pytest.fixture
async def start(redis_url: str) -> AsyncIterator[Callable[..., tuple[Poller, asyncio.Task[None]]]]:
    """Starts a poller with one capsule."""
    tasks: list[asyncio.Task[None]] = []
    pollers: list[Poller] = []

    def begin(
        invoker: Any, *, url: str = redis_url, stop_timeout: float = 5.0, scheduler: str = "", **capsule: Any
    ) -> tuple[Poller, asyncio.Task[None]]:
        settings = CapsuleConfig(**{"name": "c", "function": "worker", **capsule})
        config = Config(redis=url, capsules=(settings,), stop_timeout=stop_timeout, scheduler=scheduler)
        pollers.append(Poller(config, invoker))
        tasks.append(asyncio.create_task(pollers[-1].run()))
        return pollers[-1], tasks[-1]

    yield begin
    await stop(tasks)
    for poller in pollers:
        await stop(task for capsule in poller.capsules for task in capsule._tasks)
        await poller._link.close()


@pytest.fixture
def ran(job: Callable[..., Any]) -> list[float]:
    """When `work` ran, s."""
    seen: list[float] = []

    @job
    def work(n: int) -> None:
        seen.append(time.monotonic())

    return seen


async def idle(poller: Poller, db: Any) -> None:
    await soon(lambda: all(c.hungry.is_set() for c in poller.capsules) and db.info("clients")["blocked_clients"])


class TestServing:
    async def test_a_job_runs_soon_after_its_push(self, start, sandboxes, ran, db):
        poller, _ = start(sandboxes)
        delays = []
        for n in range(7):
            await idle(poller, db)
            pushed = time.monotonic()
            push(db, payload("work", n))
            await soon(lambda n=n: len(ran) == n + 1)
            delays.append(ran[-1] - pushed)
        assert sorted(delays)[3] < 0.1

    async def test_many_jobs_of_several_queues_all_run_once(self, start, sandboxes, ran, db):
        start(sandboxes, queues=("a", "b"), weights=(3, 1), in_flight=5, threads=2)
        for n in range(0, 400, 20):
            push(db, *(payload("work", m) for m in range(n, n + 20)), queue="ab"[n // 20 % 2])
            await asyncio.sleep(0.002)
        await soon(lambda: not places(db))
        assert len(ran) == 400

    async def test_idle_it_only_looks_once_a_second(self, start, sandboxes, db, monkeypatch):
        monkeypatch.setattr(heartbeat_module, "EVERY_S", 600.0)  # no second beat, however long the start takes
        poller, _ = start(sandboxes, queues=("a", "b"), scheduler="sched")
        await idle(poller, db)
        await soon(lambda: db.scard("processes"))  # the first beat is over
        db.config_resetstat()
        await asyncio.sleep(3)
        calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in db.info("commandstats").items()}
        assert 2 <= calls.pop("evalsha") <= 4
        for inside in ("zrange", "llen", "scard", "config|resetstat", "info", "zcard", "command|docs"):
            calls.pop(inside, None)
        assert calls == {}

    async def test_a_queue_whose_key_another_program_uses_is_named_once_and_the_others_are_served(
        self, start, sandboxes, ran, db, caplog
    ):
        db.sadd("queues", "foo")
        db.set("queue:foo", "x")
        push(db, payload("work", 0, queue="default"))
        start(sandboxes, queues=("foo", "default"))
        await soon(lambda: len(ran) == 1)
        push(db, *(payload("work", n, queue="default") for n in range(1, 20)))
        await soon(lambda: len(ran) == 20)
        named = "queue:foo is no list, so its jobs do not run: another program uses it; rename or delete it"
        await soon(lambda: named in caplog.messages)
        db.delete("queue:foo")
        push(db, payload("work", 20, queue="foo"), queue="foo")
        await soon(lambda: len(ran) == 21)
        assert [line for line in caplog.messages if "queue:foo" in line] == [named]
        assert "refused" not in caplog.text

    async def test_a_queue_whose_key_another_program_uses_makes_nobody_spin(self, start, sandboxes, db):
        db.set("queue:foo", "x")
        poller, _ = start(sandboxes, queues=("foo", "default"))
        await idle(poller, db)
        db.config_resetstat()
        await asyncio.sleep(1)
        calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in db.info("commandstats").items()}
        assert calls["evalsha"] <= 5
        assert "blmove" not in calls

    async def test_a_paused_queue_with_jobs_makes_nobody_spin(self, start, sandboxes, db):
        db.sadd("paused", "default")
        push(db, payload("work", 1))
        start(sandboxes)
        await asyncio.sleep(0.3)
        db.config_resetstat()
        await asyncio.sleep(1)
        calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in db.info("commandstats").items()}
        assert calls["evalsha"] <= 5
        assert "blmove" not in calls
        assert len(waiting(db)) == 1

    async def test_a_queue_that_is_unpaused_is_served_within_a_look(self, start, sandboxes, ran, db):
        db.sadd("paused", "default")
        push(db, payload("work", 1))
        start(sandboxes)
        await asyncio.sleep(0.2)
        db.srem("paused", "default")
        await soon(lambda: ran, 1.5)

    async def test_a_paused_queue_with_jobs_does_not_slow_its_neighbour_down(
        self, start, sandboxes, ran, db, monkeypatch
    ):
        monkeypatch.setattr(look_module, "EVERY_S", 0.5)
        db.sadd("paused", "a")
        push(db, payload("work", 1), queue="a")
        start(sandboxes, queues=("a", "b"))
        await asyncio.sleep(0.6)
        delays = []
        for n in range(2, 4):
            await asyncio.sleep(0.05)
            pushed = time.monotonic()
            push(db, payload("work", n), queue="b")
            await soon(lambda n=n: len(ran) == n - 1)
            delays.append(ran[-1] - pushed)
        assert max(delays) < 0.25


class TestStopping:
    async def test_term_waits_for_what_flies_and_takes_nothing_more(self, start, sandboxes, job, db, caplog):
        go, begun = threading.Event(), threading.Event()

        @job
        def work(n: int) -> None:
            begun.set()
            go.wait(5)

        push(db, *(payload("work", n) for n in range(3)))
        poller, task = start(sandboxes, in_flight=1, jobs=1)
        await soon(begun.is_set)
        poller.signal("TERM")
        await asyncio.sleep(0.1)
        assert not task.done()
        go.set()
        await asyncio.wait_for(task, 5)
        assert waiting(db) == [payload("work", 1), payload("work", 2)]
        assert not db.exists("processes", poller.identity, "sidelamb:leases")
        assert "TERM: taking no more jobs" in caplog.messages
        assert caplog.messages[-1] == "stopped"

    async def test_what_does_not_end_in_time_is_left_to_its_worker(self, start, sandboxes, job, db, caplog):
        go, begun = threading.Event(), threading.Event()

        @job
        def work(n: int) -> None:
            begun.set()
            go.wait(5)

        push(db, payload("work", 1))
        poller, task = start(sandboxes, stop_timeout=0.05)
        await soon(begun.is_set)
        poller.signal("TERM")
        await asyncio.wait_for(task, 5)
        assert "1 invocations are still running; their workers settle them" in caplog.messages
        assert len(places(db)) == 1
        go.set()
        await soon(lambda: not places(db))

    async def test_tstp_quiets_and_stays(self, start, sandboxes, ran, db):
        poller, task = start(sandboxes)
        await idle(poller, db)
        poller.signal("TSTP")
        push(db, payload("work", 1))
        await asyncio.sleep(0.1)
        assert (ran, task.done()) == ([], False)
        poller.signal("TERM")
        await asyncio.wait_for(task, 5)

    async def test_signals_of_the_system_and_of_the_web_page_are_obeyed(self, start, sandboxes, db):
        poller, task = start(sandboxes)
        await idle(poller, db)
        db.lpush(f"{poller.identity}-signals", "TSTP")
        await poller._heartbeat.beat()
        assert poller._heartbeat.is_quiet
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 5)

    @pytest.mark.parametrize("name", ["TTIN", "USR1", "", "term"])
    async def test_other_signals_are_ignored(self, start, sandboxes, db, name):
        poller, task = start(sandboxes)
        await idle(poller, db)
        poller.signal(name)
        assert not poller._heartbeat.is_quiet
        assert not task.done()

    async def test_jobs_that_were_just_being_reserved_do_not_wait_for_their_leases_to_expire(
        self, start, sandboxes, ran, db, proxy: Proxy
    ):
        poller, task = start(sandboxes, url=proxy.url)
        await idle(poller, db)
        proxy.delay_s = 0.1
        push(db, payload("work", 1))
        await soon(lambda: db.exists("sidelamb:leases"))  # Redis has reserved; the answer is on its way
        poller.signal("TERM")
        await asyncio.wait_for(task, 5)
        assert not db.exists("sidelamb:leases")

    async def test_a_restart_under_load_loses_and_repeats_nothing(self, start, sandboxes, ran, db, link):
        push(db, *(payload("work", n) for n in range(300)))
        for _ in range(4):
            poller, task = start(sandboxes, in_flight=3, jobs=5)
            before = len(ran)
            await soon(lambda before=before: len(ran) > before + 20)
            poller.signal("TERM")
            await asyncio.wait_for(task, 5)
        start(sandboxes)
        # What was reserved in the moment of a stop waits for its start_by, which comes earlier here.
        scheduler = Scheduler(link, STORE, clock=lambda: time.time() + 35)
        await soon(lambda: scheduler.make_pass(time.time() + 60) and not places(db))
        assert len(ran) == 300


class TestReport:
    async def test_what_is_served_is_said_at_the_start(self, start, sandboxes, db, caplog):
        caplog.set_level(logging.INFO, "sidelamb.poller")
        poller, _ = start(sandboxes, queues=("a", "b"), in_flight=7, jobs=9, threads=2)
        await idle(poller, db)
        assert "capsule c: a, b → worker, 7 in flight, 9 jobs each, 2 at once" in caplog.messages

    async def test_a_redis_that_may_evict_jobs_is_a_warning(self, start, sandboxes, db, caplog):
        db.config_set("maxmemory-policy", "allkeys-lru")
        try:
            poller, _ = start(sandboxes)
            await idle(poller, db)
        finally:
            db.config_set("maxmemory-policy", "noeviction")
        assert "Redis may evict jobs: its maxmemory-policy is allkeys-lru; set it to noeviction" in caplog.messages

    async def test_a_redis_that_may_not_is_none(self, start, sandboxes, db, caplog):
        poller, _ = start(sandboxes)
        await idle(poller, db)
        assert [r.getMessage() for r in caplog.records if r.levelno > logging.INFO] == []

    async def test_a_redis_that_is_away_at_the_start_is_waited_for(
        self, start, sandboxes, ran, db, proxy: Proxy, caplog
    ):
        proxy.cut()
        start(sandboxes, url=proxy.url)
        await soon(lambda: caplog.messages)
        push(db, payload("work", 1))
        proxy.mend()
        await soon(lambda: ran)


async def test_a_poller_is_one_process_of_sidekiq_while_it_runs(start, sandboxes, db):
    poller, task = start(sandboxes)
    await soon(lambda: db.smembers("processes") == {poller.identity.encode()})
    assert db.hget(poller.identity, "quiet") == b"false"
    poller.signal("TERM")
    await asyncio.wait_for(task, 5)
    assert not db.exists("processes", poller.identity)
