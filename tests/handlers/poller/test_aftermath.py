"""What becomes of a lease once its invocation has answered, died, or been lost."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from sidelamb.errors import RedisError
from sidelamb.payload import decode
from sidelamb_handlers.config import CapsuleConfig
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome
from sidelamb_handlers.event import Answer, Status
from sidelamb_handlers.poller.aftermath import Aftermath
from sidelamb_handlers.poller.flight import Flight
from sidelamb_handlers.poller.releaser import Releaser
from sidelamb_handlers.poller.reply import Kind, Reply, lost
from tests.handlers.kit import (
    STORE,
    answered,
    api_error,
    everything,
    exit_error,
    function_error,
    payload,
    places,
    push,
    reserve,
    soon,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

    from sidelamb.link import Link
    from sidelamb_handlers.poller.patient import Patient
    from tests.handlers.proxy import Proxy

LEASE = "sidelamb:lease:c:1"


class World:
    """A lease and the aftermath of its flight."""

    def __init__(self, db: redis.Redis, link: Link, patient: Patient) -> None:
        self.db = db
        self.link = link
        self.launched: list[Flight] = []
        self.woken: list[int] = []
        self.aftermath = Aftermath(
            CapsuleConfig("c", "worker"),
            "p",
            store=STORE,
            redis=patient,
            releaser=Releaser("c", STORE, patient),
            launch=self.launched.append,
            wake=lambda: self.woken.append(1),
        )

    def flight(self, *raws: bytes, claim: str = "", lease: str = "c:1", timeout: float = 60.0) -> Flight:
        push(self.db, *raws)
        (held,) = reserve(self.link, lease)
        flight = Flight(held, time.time() + 30, timeout)
        if claim:
            self.claim(lease, claim)
        return flight

    def claim(self, lease: str, request_id: str) -> None:
        call = STORE.claim(lease, request_id=request_id, now=time.time(), deadline=time.time() + 60)
        assert self.link.run(call)


@pytest.fixture
def world(db: redis.Redis, link: Link, make_patient: Callable[..., Patient]) -> World:
    return World(db, link, make_patient())


CLAIM = "r1/a1b2c3d4"
RAWS = [payload("work", n) for n in range(4)]
REFUSED = {"sidelamb": 1, "lease": "c:1", "status": "refused", "reason": "too late", "ran": 0, "ms": 0}
SETTLED = {"sidelamb": 1, "lease": "c:1", "status": "settled", "ran": 1, "ms": 5}


def unsettled(**outcomes: Decision) -> Reply:
    by_field = {f"{key[1:]}:default": decision for key, decision in outcomes.items()}
    answer = Answer("c:1", Status.UNSETTLED, ran=1, ms=1.0, outcomes=by_field, claim=CLAIM)
    return answered(answer.to_wire(), "r1")


class TestSettled:
    async def test_an_answer_that_all_is_settled_costs_no_round_trip(self, world: World, db):
        flight = world.flight(RAWS[0], claim=CLAIM)
        db.config_resetstat()
        assert await world.aftermath.after(flight, answered(SETTLED, "r1")) is True
        assert "cmdstat_evalsha" not in db.info("commandstats")

    @pytest.mark.parametrize(
        "reply", [exit_error("r1"), lost(TimeoutError()), api_error(500, "ServiceException"), answered(None)]
    )
    async def test_an_empty_lease_is_done_whatever_the_answer(self, world: World, db, reply):
        flight = world.flight(RAWS[0], claim=CLAIM)
        world.link.run(STORE.settle("c:1", "c", now=time.time(), done=["0:default"], request_id=CLAIM))
        before = everything(db)
        assert await world.aftermath.after(flight, reply) is True
        assert everything(db) == before

    async def test_an_answer_about_another_lease_says_nothing_about_this_one(self, world: World, db):
        """As when a capsule names the scheduler's function by mistake: nobody would ever hear of it."""
        flight = world.flight(RAWS[0])
        scheduler = {"sidelamb": 1, "lease": "", "status": "settled", "ran": 0, "ms": 0, "promoted": 0}
        assert await world.aftermath.after(flight, answered(scheduler, "r1")) is False


class TestUnclaimed:
    @pytest.mark.parametrize(
        "reply",
        [
            lost(ConnectionResetError()),
            api_error(500, "ServiceException"),
            api_error(429, "TooManyRequestsException"),
            api_error(404, "ResourceNotFoundException"),
            answered(REFUSED, "r1"),
            answered(None),
            exit_error("r1"),
            function_error({"errorType": "Runtime.ImportModuleError", "errorMessage": "no module"}),
        ],
        ids=lambda reply: reply.kind.value,
    )
    async def test_whatever_the_reply_it_goes_back_at_once_uncharged(self, world: World, db, reply):
        flight = world.flight(*RAWS)
        push(db, payload("work", 99))
        assert await world.aftermath.after(flight, reply) is False
        assert waiting(db) == [*RAWS, payload("work", 99)]
        assert set(db.keys("*")) == {b"queues", b"queue:default"}

    async def test_one_that_is_claimed_at_that_very_moment_is_left_to_its_worker(self, world: World, db):
        flight = world.flight(*RAWS)
        after = asyncio.create_task(world.aftermath.after(flight, lost(TimeoutError())))
        await soon(lambda: world.aftermath._releaser._waiting)
        world.claim("c:1", "late")
        assert await after is False
        assert places(db) == {raw: [LEASE] for raw in RAWS}

    async def test_several_go_back_together_in_their_old_order(self, world: World, db):
        await world.aftermath.after(
            world.flight(payload("work", 77)), lost(TimeoutError())
        )  # scripts are known now
        db.delete("queue:default")
        flights = [world.flight(raw, lease=f"c:{n}") for n, raw in enumerate(RAWS)]
        db.config_resetstat()
        await asyncio.gather(*(world.aftermath.after(f, lost(TimeoutError())) for f in reversed(flights)))
        assert waiting(db) == RAWS
        assert db.info("commandstats")["cmdstat_evalsha"]["calls"] == 4 + 1


class TestClaimed:
    @pytest.mark.parametrize(
        "reply",
        [
            lost(TimeoutError()),
            api_error(500, "ServiceException", "r1"),
            answered(None, "r1"),
            function_error({"errorType": "ValueError", "errorMessage": "no"}, "r1"),
            function_error({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": "big"}, "r1"),
        ],
        ids=lambda reply: reply.message[:20],
    )
    async def test_an_answer_that_proves_nothing_leaves_it_to_its_deadline(self, world: World, db, caplog, reply):
        flight = world.flight(*RAWS, claim=CLAIM)
        before = everything(db)
        assert await world.aftermath.after(flight, reply) is True
        assert everything(db) == before
        assert "may be running, so it waits for its deadline" in caplog.text

    async def test_anothers_claim_is_left_alone_even_if_this_sandbox_is_gone(self, world: World, db):
        flight = world.flight(RAWS[0], claim="other")
        before = everything(db)
        assert await world.aftermath.after(flight, exit_error("r1")) is True
        assert everything(db) == before

    async def test_a_worker_that_claimed_without_knowing_it_and_ran_nothing_gives_it_back(self, world: World, db):
        """Its claim arrived, the answer to it did not."""
        flight = world.flight(*RAWS, claim=CLAIM)
        assert await world.aftermath.after(flight, answered(REFUSED, "r1")) is False
        assert waiting(db) == RAWS
        assert db.get("stat:processed") is None

    async def test_a_refusal_over_anothers_claim_changes_nothing(self, world: World, db):
        flight = world.flight(*RAWS, claim="other")
        before = everything(db)
        await world.aftermath.after(flight, answered(REFUSED, "r1"))
        assert everything(db) == before


class TestBlame:
    async def test_a_job_that_was_alone_is_charged_with_reason_request_and_log(self, world: World, db, caplog):
        flight = world.flight(RAWS[0], claim=CLAIM)
        assert await world.aftermath.after(flight, exit_error("r1")) is True
        (raw,) = db.lrange("sidelamb:alone:default", 0, -1)
        after = decode(raw)
        assert (after["kills"], after["retry_count"], after["error_class"]) == (1, 0, "SandboxKilled")
        assert "signal: segmentation fault" in after["error_message"]
        assert "request r1 of worker" in after["error_message"]
        assert "/aws/lambda/worker" in after["error_message"]
        assert not db.exists(LEASE)
        assert (db.get("stat:processed"), db.get("stat:failed")) == (b"1", b"1")
        assert "ended its sandbox" in caplog.text
        assert world.woken == [1]

    async def test_the_second_kill_makes_it_wait(self, world: World, db):
        flight = world.flight(payload("work", 1, kills=1, retry_count=0, failed_at=1.5), claim=CLAIM)
        await world.aftermath.after(flight, exit_error("r1"))
        ((raw, at),) = db.zrange("retry", 0, -1, withscores=True)
        assert decode(raw)["kills"] == 2
        assert at > time.time() + 13

    async def test_the_third_kill_dooms_it(self, world: World, db, caplog):
        raw = payload("work", 1, kills=2, retry_count=1, failed_at=1.5)
        flight = world.flight(raw, claim=CLAIM)
        await world.aftermath.after(flight, exit_error("r1"))
        (raw,) = db.lrange("sidelamb:alone:default", 0, -1)
        assert (decode(raw)["kills"], decode(raw)["doomed"]) == (3, True)
        assert "(kill 3 of 3)" in decode(raw)["error_message"]
        assert "ended its sandbox and goes to dead" in caplog.text

    async def test_of_several_nobody_is_charged_and_they_are_sent_again_in_two_halves(self, world: World, db):
        flight = world.flight(*RAWS, claim=CLAIM)
        assert await world.aftermath.after(flight, exit_error("r1")) is True
        assert [list(f.lease.jobs.values()) for f in world.launched] == [RAWS[:2], RAWS[2:]]
        assert all(f.timeout == 60.0 and f.start_by > time.time() + 25 for f in world.launched)
        assert not db.exists("retry", "dead", "stat:failed")
        assert db.smembers("sidelamb:slots:c") == {f.lease.lease.encode() for f in world.launched}
        assert all(not world.link.run(STORE.lease(f.lease.lease)).claim for f in world.launched)

    async def test_their_halves_are_run_with_care(self, world: World):
        flight = world.flight(*RAWS, claim=CLAIM)
        assert not flight.careful
        await world.aftermath.after(flight, exit_error("r1"))
        assert [f.careful for f in world.launched] == [True, True]

    async def test_of_those_that_ran_with_care_the_first_that_is_left_is_suspected(self, world: World, db):
        claim = f"{CLAIM}/careful"
        flight = world.flight(*RAWS, claim=claim)
        world.link.run(STORE.settle("c:1", "c", now=time.time(), done=["0:default"], request_id=claim))
        await world.aftermath.after(flight, exit_error("r1"))
        assert [list(f.lease.jobs.values()) for f in world.launched] == [RAWS[1:2], RAWS[2:]]
        assert not db.exists("retry", "dead", "stat:failed")

    async def test_what_had_been_settled_before_the_end_is_not_sent_again(self, world: World):
        flight = world.flight(*RAWS, claim=CLAIM)
        world.link.run(STORE.settle("c:1", "c", now=time.time(), done=["0:default"], request_id=CLAIM))
        await world.aftermath.after(flight, exit_error("r1"))
        assert [raw for f in world.launched for raw in f.lease.jobs.values()] == RAWS[1:]

    async def test_a_job_that_cannot_be_read_is_charged_and_not_lost(self, world: World, db):
        flight = world.flight(b"[1]", claim=CLAIM)
        await world.aftermath.after(flight, exit_error("r1"))
        assert places(db).keys() == {b"[1]"}

    async def test_the_last_one_left_of_several_is_served_alone_before_it_is_charged(self, world: World, db):
        flight = world.flight(*RAWS, claim=CLAIM)
        done = ["0:default", "1:default", "2:default"]
        world.link.run(STORE.settle("c:1", "c", now=time.time(), done=done, request_id=CLAIM))
        await world.aftermath.after(flight, exit_error("r1"))
        (raw,) = db.lrange("sidelamb:alone:default", 0, -1)
        assert raw == RAWS[3]


class TestUnsettled:
    RETRY = Decision(Outcome.RETRY, 2e9, {"retry_count": 0}, failed=True)

    async def test_the_outcomes_are_written_down_for_the_worker(self, world: World, db):
        flight = world.flight(*RAWS, claim=CLAIM)
        back = Decision(Outcome.RETURNED, counted=False)
        reply = unsettled(_0=SUCCEEDED, _1=self.RETRY, _2=back, _3=back)
        assert await world.aftermath.after(flight, reply) is True
        ((raw, at),) = db.zrange("retry", 0, -1, withscores=True)
        assert (decode(raw)["retry_count"], at) == (0, 2e9)
        assert waiting(db) == RAWS[2:]
        assert (db.get("stat:processed"), db.get("stat:failed")) == (b"2", b"1")
        assert not db.exists(LEASE)

    async def test_what_is_missing_in_them_stays_in_the_lease(self, world: World, db):
        flight = world.flight(*RAWS, claim=CLAIM)
        await world.aftermath.after(flight, unsettled(_0=SUCCEEDED))
        assert places(db) == {raw: [LEASE] for raw in RAWS[1:]}

    async def test_what_is_not_in_the_lease_changes_nothing(self, world: World, db):
        flight = world.flight(RAWS[0], claim=CLAIM)
        await world.aftermath.after(flight, unsettled(_0=SUCCEEDED, _7=SUCCEEDED, _8=self.RETRY))
        assert db.get("stat:processed") == b"1"
        assert not db.exists("retry")

    async def test_they_are_written_down_when_redis_is_back(
        self, db, link, make_patient: Callable[..., Patient], proxy: Proxy, caplog
    ):
        world = World(db, link, make_patient(proxy.url))
        flight = world.flight(*RAWS[:2], claim=CLAIM)
        proxy.cut()
        after = asyncio.create_task(world.aftermath.after(flight, unsettled(_0=SUCCEEDED, _1=self.RETRY)))
        await soon(lambda: caplog.messages)
        assert not after.done()
        proxy.mend()
        assert await asyncio.wait_for(after, 5) is True
        assert (db.get("stat:processed"), db.zcard("retry")) == (b"2", 1)
        assert not db.exists(LEASE)
        assert "works again" in caplog.messages[-1]

    async def test_they_are_given_up_at_the_deadline_and_that_is_said(
        self, db, link, make_patient: Callable[..., Patient], proxy: Proxy, caplog
    ):
        world = World(db, link, make_patient(proxy.url))
        flight = world.flight(RAWS[0], claim=CLAIM)
        flight.start_by = time.time() - 60 - 10 + 0.2
        proxy.cut()
        assert await asyncio.wait_for(world.aftermath.after(flight, unsettled(_0=SUCCEEDED)), 5) is True
        assert "outcomes of lease c:1 could not be written before its deadline" in caplog.messages[-1]

    async def test_another_requests_outcomes_are_not_written_down(self, world: World, db):
        flight = world.flight(RAWS[0], claim="other")
        before = everything(db)
        await world.aftermath.after(flight, unsettled(_0=SUCCEEDED))
        assert everything(db) == before


class TestDetached:
    """The poller has claimed for a worker without Redis."""

    def flight(self, world: World) -> Flight:
        flight = world.flight(RAWS[0], claim="poller-c:1")
        flight.claimed_as = "poller-c:1"
        return flight

    async def test_the_outcome_is_written_down_under_the_pollers_claim(self, world: World, db):
        assert await world.aftermath.after(self.flight(world), unsettled(_0=SUCCEEDED)) is True
        assert db.get("stat:processed") == b"1"
        assert not db.exists(LEASE)

    @pytest.mark.parametrize(
        "reply",
        [
            answered(REFUSED, "r1"),
            api_error(429, "TooManyRequestsException"),
            api_error(404, "ResourceNotFoundException"),
            api_error(502, "ENINotReadyException"),
            function_error({"errorType": "Runtime.ImportModuleError", "errorMessage": "no module"}),
        ],
        ids=lambda reply: reply.kind.value,
    )
    async def test_what_proves_that_nothing_ran_gives_it_back_uncharged(self, world: World, db, reply):
        assert await world.aftermath.after(self.flight(world), reply) is False
        assert waiting(db) == [RAWS[0]]
        assert not db.exists(LEASE, "stat:processed")

    async def test_a_sandbox_that_is_gone_charges_it(self, world: World, db):
        assert await world.aftermath.after(self.flight(world), exit_error("r1")) is True
        assert decode(db.lrange("sidelamb:alone:default", 0, -1)[0])["kills"] == 1

    @pytest.mark.parametrize("reply", [lost(TimeoutError()), api_error(500, "ServiceException"), answered(None)])
    async def test_what_proves_nothing_leaves_it_to_its_deadline(self, world: World, db, reply):
        flight = self.flight(world)
        before = everything(db)
        assert await world.aftermath.after(flight, reply) is True
        assert everything(db) == before


async def test_jobs_that_cannot_be_sent_are_buried_from_an_unclaimed_lease(world: World, db):
    flight = world.flight(b"junk", RAWS[0])
    decision = Decision(Outcome.DEAD, time.time(), counted=False)
    await world.aftermath.bury(flight.lease, {"0:default": decision})
    assert db.zrange("dead", 0, -1) == [b"junk"]
    assert places(db)[RAWS[0]] == [LEASE]


def test_errors_of_redis_have_one_root():
    assert issubclass(RedisError, Exception)
    assert {k.value for k in Kind} >= {"sandbox gone", "unknown"}
