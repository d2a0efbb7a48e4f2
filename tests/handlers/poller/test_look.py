"""The one look a second: it wakes the scheduler in time, and whoever has work."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import job
from sidelamb.link import Link
from sidelamb.timetable import Entry
from sidelamb.timetable_calls import TimetableCalls
from sidelamb_handlers.poller import look as module
from sidelamb_handlers.poller.look import Lookout
from sidelamb_handlers.scheduler import Scheduler
from tests.handlers.kit import STORE, answered, api_error, payload, push, reserve, soon, waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb_handlers.poller.reply import Reply
    from tests.handlers.proxy import Proxy

DONE = {"sidelamb": 1, "lease": "", "status": "settled", "ran": 0, "ms": 0, "promoted": 1}


@job(name="tidy")
def tidy() -> None:
    """Do nothing."""


class Clock:
    """A scheduler function that notes when it was woken, and may make a real pass."""

    def __init__(self, scheduler: Scheduler | None = None, reply: Reply | None = None) -> None:
        self._scheduler = scheduler
        self.reply = reply or answered(DONE)
        self.woken_at: list[float] = []
        self.functions: list[str] = []

    async def invoke(self, function: str, event: bytes, *, timeout: float) -> Reply:
        """Invoke."""
        self.woken_at.append(time.time())
        self.functions.append(function)
        if self._scheduler is not None:
            await asyncio.to_thread(self._scheduler.make_pass, time.time() + 10)
        return self.reply

    async def close(self) -> None:
        """Nothing to give up."""


@pytest.fixture
def watch_out(make_patient: Callable[..., Any], background: Callable[..., Any]) -> Callable[..., Lookout]:
    """Starts a lookout, as every poller has one."""

    def start(
        invoker: Any, *, scheduler: str = "sched", url: str = "", capsules: Any = (), peeks: Any = ()
    ) -> Lookout:
        redis = make_patient(url) if url else make_patient()
        made = Lookout(scheduler, ["default"], capsules, peeks, store=STORE, redis=redis, invoker=invoker)
        background(made.run())
        return made

    return start


@pytest.fixture
def real(redis_url: str) -> Any:
    link = Link(redis_url)
    yield Clock(Scheduler(link, STORE))
    link.close()


class TestWaking:
    async def test_of_two_pollers_one_wakes_the_scheduler_and_in_time(self, watch_out, real, db):
        due = time.time() + 1.3
        db.zadd("schedule", {payload("work", 1): due})
        watch_out(real)
        await asyncio.sleep(0.4)  # they do not look at the same moment
        watch_out(real)
        await soon(lambda: waiting(db))
        assert time.time() - due < 0.25
        await asyncio.sleep(0.3)
        assert len(real.woken_at) == 1
        assert -0.01 <= real.woken_at[0] - due < 0.15
        assert real.functions == ["sched"]

    async def test_nothing_that_is_far_away_wakes_it(self, watch_out, db, monkeypatch):
        monkeypatch.setattr(module, "EVERY_S", 0.05)
        clock = Clock()
        db.zadd("schedule", {payload("work", 1): time.time() + 60})
        db.zadd("retry", {payload("work", 2): time.time() + 30})
        watch_out(clock)
        await asyncio.sleep(0.3)
        assert clock.woken_at == []

    @pytest.mark.parametrize("key", ["schedule", "retry"])
    async def test_what_is_overdue_wakes_it_at_once(self, watch_out, real, db, key):
        db.zadd(key, {payload("work", 1): time.time() - 100})
        watch_out(real)
        await soon(lambda: waiting(db), 0.9)

    async def test_a_lease_that_expires_wakes_it(self, watch_out, real, db, link):
        push(db, payload("work", 1))
        reserve(link, "c:1", expires=time.time() + 0.2)
        watch_out(real)
        await soon(lambda: waiting(db), 0.9)
        assert not db.exists("sidelamb:leases")

    async def test_a_periodic_job_starts_at_its_time(self, watch_out, real, db, link):
        calls, due = TimetableCalls(STORE.keys), time.time() + 1.2
        link.run(calls.register("p", Entry("p", tidy, "* * * * *").record(), time.time()))
        watch_out(real)
        await soon(lambda: db.zscore("sidelamb:periodic:due", "p") > 0, 0.9)  # it was woken to find the next time
        db.zadd("sidelamb:periodic:due", {"p": due})
        await soon(lambda: waiting(db))
        assert 0 <= time.time() - due < 0.25

    async def test_without_a_scheduler_function_nobody_is_woken(self, watch_out, db, monkeypatch):
        monkeypatch.setattr(module, "EVERY_S", 0.05)
        clock = Clock()
        db.zadd("schedule", {payload("work", 1): time.time() - 1})
        watch_out(clock, scheduler="")
        await asyncio.sleep(0.2)
        assert clock.woken_at == []

    async def test_while_the_head_does_not_move_it_is_woken_less_and_less_often(self, watch_out, db, monkeypatch):
        monkeypatch.setattr(module, "EVERY_S", 0.05)
        monkeypatch.setattr(module, "WAKE_CLAIM_MS", 10)
        clock = Clock()
        db.zadd("schedule", {payload("work", 1): time.time() - 1})
        watch_out(clock)
        await asyncio.sleep(1.2)
        assert 2 <= len(clock.woken_at) <= 6
        gaps = [b - a for a, b in zip(clock.woken_at, clock.woken_at[1:], strict=False)]
        assert gaps[-1] > 2 * gaps[0]

    async def test_a_head_that_moves_is_new_and_wakes_it_at_once(self, watch_out, db, monkeypatch):
        monkeypatch.setattr(module, "EVERY_S", 0.05)
        monkeypatch.setattr(module, "WAKE_CLAIM_MS", 10)
        clock = Clock()
        db.zadd("schedule", {payload("work", 1): time.time() - 1})
        watch_out(clock)
        await asyncio.sleep(0.6)
        before = len(clock.woken_at)
        db.zadd("schedule", {payload("work", 2): time.time() - 2})
        await soon(lambda: len(clock.woken_at) > before, 0.3)

    async def test_jobs_that_fall_due_soon_after_a_wake_wait_until_it_may_be_woken_again(
        self, watch_out, real, db
    ):
        first = time.time() + 0.2
        dues = [first + more for more in (0, 0.05, 0.5, 0.55)]
        db.zadd("schedule", {payload("work", n): due for n, due in enumerate(dues)})
        watch_out(real)
        for n, due in enumerate(dues, 1):
            await soon(lambda n=n: len(waiting(db)) >= n)
            assert time.time() - due < module.WAKE_CLAIM_MS / 1000 + 0.15
        assert len(real.woken_at) <= len(dues)
        assert all(b - a >= module.WAKE_CLAIM_MS / 1000 for a, b in pairwise(real.woken_at))

    async def test_when_there_is_nothing_more_it_is_one_look_a_second_again(self, watch_out, real, db):
        db.zadd("schedule", {payload("work", 1): time.time() - 1})
        watch_out(real)
        await soon(lambda: waiting(db))
        await asyncio.sleep(0.2)
        before = db.info("commandstats")["cmdstat_evalsha"]["calls"]
        await asyncio.sleep(2)
        assert db.info("commandstats")["cmdstat_evalsha"]["calls"] - before <= 2


class TestTrouble:
    async def test_a_scheduler_that_fails_is_one_warning_and_its_recovery_one_more(
        self, watch_out, db, monkeypatch, caplog
    ):
        monkeypatch.setattr(module, "EVERY_S", 0.03)
        monkeypatch.setattr(module, "WAKE_CLAIM_MS", 5)
        monkeypatch.setattr(module, "BACKOFF_MOST_S", 0.03)
        clock = Clock(reply=api_error(404, "ResourceNotFoundException", Message="no such function"))
        db.zadd("schedule", {payload("work", 1): time.time() - 1})
        watch_out(clock)
        await soon(lambda: len(clock.woken_at) > 4)
        assert len(caplog.messages) == 1
        assert "the scheduler function sched" in caplog.messages[0]
        assert "no such function" in caplog.messages[0]
        clock.reply = answered(DONE)
        await soon(lambda: len(caplog.messages) == 2)
        assert "works again" in caplog.messages[1]

    async def test_a_scheduler_of_ones_own_may_answer_anything(self, watch_out, db, monkeypatch, caplog):
        monkeypatch.setattr(module, "EVERY_S", 0.03)
        clock = Clock(reply=answered({"ok": True}))
        db.zadd("schedule", {payload("work", 1): time.time() - 1})
        watch_out(clock)
        await soon(lambda: clock.woken_at)
        await asyncio.sleep(0.05)
        assert caplog.messages == []

    async def test_redis_may_be_away_for_a_while(self, watch_out, db, proxy: Proxy, monkeypatch):
        monkeypatch.setattr(module, "EVERY_S", 0.03)
        clock = Clock()
        proxy.cut()
        watch_out(clock, url=proxy.url)
        await asyncio.sleep(0.1)
        db.zadd("schedule", {payload("work", 1): time.time() - 1})
        proxy.mend()
        await soon(lambda: clock.woken_at)


class TestTelling:
    async def test_a_capsule_whose_queue_has_jobs_is_woken_and_its_peeks_hear_the_number(
        self, watch_out, db, monkeypatch
    ):
        monkeypatch.setattr(module, "EVERY_S", 0.03)

        class Someone:
            queue = "default"

            def __init__(self) -> None:
                from sidelamb_handlers.config import CapsuleConfig

                self.config = CapsuleConfig("c", "f")
                self.heard: list[Any] = []

            def wake(self) -> None:
                self.heard.append("wake")

            def looked(self, waiting: int | None) -> None:
                self.heard.append(waiting)

        capsule, peek = Someone(), Someone()
        watch_out(Clock(), capsules=[capsule], peeks=[peek])
        await soon(lambda: 0 in peek.heard)
        assert capsule.heard == []
        push(db, payload("work", 1), payload("work", 2))
        await soon(lambda: 2 in peek.heard)
        assert "wake" in capsule.heard
        db.sadd("paused", "default")
        await soon(lambda: None in peek.heard)
        told = len(capsule.heard)
        await asyncio.sleep(0.1)
        assert len(capsule.heard) == told
