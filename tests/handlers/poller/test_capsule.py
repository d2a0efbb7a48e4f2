"""A capsule at work, on a real Redis: nothing is lost, nothing runs twice at once, and blame is fair."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.link import Link
from sidelamb.payload import decode
from sidelamb_handlers import ending
from sidelamb_handlers import watch as watch_module
from sidelamb_handlers import worker as worker_module
from sidelamb_handlers.event import MOST_BYTES
from sidelamb_handlers.poller import capsule as capsule_module
from sidelamb_handlers.poller import circuit as circuit_module
from sidelamb_handlers.poller.reply import Reply, lost
from sidelamb_handlers.scheduler import Scheduler
from tests.handlers.kit import (
    STORE,
    Context,
    Sandboxes,
    api_error,
    exit_error,
    function_error,
    payload,
    places,
    push,
    reserve,
    soon,
    waiting,
)
from tests.handlers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Script:
    """A Lambda that answers as a test wants, and runs nothing."""

    def __init__(self, reply: Callable[[Any], Reply | Awaitable[Reply]]) -> None:
        self._reply = reply
        self.events: list[bytes] = []

    async def invoke(self, function: str, event: bytes, *, timeout: float) -> Reply:
        """Invoke."""
        self.events.append(event)
        reply = self._reply(json.loads(event))
        return reply if isinstance(reply, Reply) else await reply

    async def close(self) -> None:
        """Nothing to give up."""


def jids(events: list[Any]) -> list[list[str]]:
    return [[job["jid"] for job in event["jobs"]] for event in events]


def work_of(count: int, start: int = 0, **fields: Any) -> list[bytes]:
    return [payload("work", n, **fields) for n in range(start, start + count)]


@pytest.fixture
def ran(job: Callable[..., Any]) -> list[int]:
    """The runs of `work`, a job that succeeds."""
    seen: list[int] = []

    @job
    def work(n: int) -> None:
        seen.append(n)

    return seen


class TestReserving:
    async def test_few_jobs_are_spread_one_each(self, make_capsule, background, sandboxes, ran, db):
        push(db, *work_of(3))
        background(make_capsule(sandboxes, in_flight=10).run())
        await soon(lambda: not places(db))
        assert sorted(jids(sandboxes.events)) == [["work-0"], ["work-1"], ["work-2"]]
        assert sorted(ran) == [0, 1, 2]

    async def test_few_jobs_are_spread_one_each_after_very_short_ones_too(
        self, make_capsule, background, sandboxes, ran, db
    ):
        push(db, *work_of(10))
        capsule = make_capsule(sandboxes, in_flight=10, jobs=2_000)
        capsule._pack.ran(2_000, 2.0)
        background(capsule.run())
        await soon(lambda: not places(db))
        assert [len(names) for names in jids(sandboxes.events)] == [1] * 10

    async def test_what_is_too_much_for_one_call_to_redis_fills_all_slots_by_several(
        self, make_capsule, background, sandboxes, job, db
    ):
        go = threading.Event()

        @job
        def work(n: int) -> None:
            go.wait(5)

        push(db, *work_of(12_000))
        capsule = make_capsule(sandboxes, in_flight=10, jobs=2_000)
        capsule._pack.ran(2_000, 2.0)
        background(capsule.run())
        await soon(lambda: len(capsule.flights) == 10)
        assert [len(flight.lease.jobs) for flight in capsule.flights.values()] == [1_200] * 10
        go.set()
        await soon(lambda: not places(db))

    async def test_many_are_packed_evenly_in_order(self, make_capsule, background, sandboxes, ran, db):
        push(db, *work_of(12))
        background(make_capsule(sandboxes, in_flight=4).run())
        await soon(lambda: len(ran) == 12)
        assert sorted(jids(sandboxes.events)) == sorted(
            [f"work-{m}" for m in range(n, n + 3)] for n in (0, 3, 6, 9)
        )

    async def test_an_invocation_carries_no_more_than_its_most(self, make_capsule, background, sandboxes, ran, db):
        push(db, *work_of(25))
        background(make_capsule(sandboxes, in_flight=1, jobs=10).run())
        await soon(lambda: not places(db))
        assert [len(names) for names in jids(sandboxes.events)] == [10, 10, 5]
        assert ran == list(range(25))

    async def test_never_more_fly_than_the_capsule_may_and_a_freed_slot_is_used_at_once(
        self, make_capsule, background, sandboxes, job, db
    ):
        @job
        def work(n: int) -> None:
            time.sleep(0.005)

        push(db, *work_of(40))
        background(make_capsule(sandboxes, in_flight=3, jobs=1).run())
        await soon(lambda: not places(db))
        assert sandboxes.most_flying == 3

    async def test_slots_that_another_poller_uses_are_not_free(
        self, make_capsule, background, sandboxes, ran, db, link
    ):
        push(db, *work_of(3))
        reserve(link, "c:other-1", "c:other-2", most_jobs=1)
        capsule = make_capsule(sandboxes, in_flight=2)
        background(capsule.run())
        await soon(lambda: capsule._short)
        assert waiting(db) == work_of(1, 2)
        assert sandboxes.events == []

    async def test_the_event_says_until_when_to_start_and_how(self, make_capsule, background, sandboxes, ran, db):
        push(db, *work_of(1))
        background(make_capsule(sandboxes, timeout=33.0, threads=5).run())
        await soon(lambda: not places(db))
        (event,) = sandboxes.events
        assert event["start_by"] == pytest.approx(time.time() + 30, abs=2)
        assert event["deadline"] == pytest.approx(event["start_by"] + 33 + 10)
        assert (event["capsule"], event["threads"], event["detached"]) == ("c", 5, False)
        assert event["lease"].startswith("c:")

    async def test_queues_are_served_in_strict_order(self, make_capsule, background, sandboxes, ran, db):
        push(db, *work_of(2, 10), queue="low")
        push(db, *work_of(2), queue="high")
        background(make_capsule(sandboxes, in_flight=1, queues=("high", "low")).run())
        await soon(lambda: len(ran) == 4)
        assert ran == [0, 1, 10, 11]

    async def test_with_nothing_to_do_it_is_hungry_and_a_word_wakes_it(
        self, make_capsule, background, sandboxes, ran, db
    ):
        capsule = make_capsule(sandboxes)
        background(capsule.run())
        await asyncio.wait_for(capsule.hungry.wait(), 5)
        push(db, *work_of(1))
        capsule.wake()
        await soon(lambda: ran == [0])
        await asyncio.wait_for(capsule.hungry.wait(), 5)

    async def test_a_paused_queue_is_left_alone_without_spinning(
        self, make_capsule, background, sandboxes, ran, db
    ):
        db.sadd("paused", "default")
        push(db, *work_of(3))
        capsule = make_capsule(sandboxes)
        db.config_resetstat()
        background(capsule.run())
        await asyncio.sleep(0.2)
        assert sum(s["calls"] for n, s in db.info("commandstats").items() if "eval" in n) <= 3
        assert waiting(db) == work_of(3)

    async def test_the_packing_learns_from_the_answers(self, make_capsule, background, sandboxes, job, db):
        @job
        def work(n: int) -> None:
            time.sleep(0.05)

        push(db, *work_of(2))
        capsule = make_capsule(sandboxes, in_flight=1, jobs=100)
        background(capsule.run())
        await soon(lambda: not places(db))
        await soon(lambda: capsule._pack.size < 100)
        assert 20 <= capsule._pack.size <= 40

    async def test_metrics_of_the_answers_are_added_up(self, make_capsule, background, sandboxes, job, db):
        @job
        def work(n: int) -> None:
            if n == 1:
                raise ValueError

        push(db, *work_of(4))
        capsule = make_capsule(sandboxes)
        background(capsule.run())
        await soon(lambda: capsule.metrics.amounts().get("work|p") == 4)
        assert capsule.metrics.amounts()["work|f"] == 1


class TestThrottled:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(capsule_module, "RETRY_FIRST_S", 0.01)
        monkeypatch.setattr(capsule_module, "RETRY_MOST_S", 0.05)

    THROTTLE = api_error(429, "TooManyRequestsException", Reason="ConcurrentInvocationLimitExceeded")

    @pytest.mark.parametrize(
        "reply",
        [
            THROTTLE,
            api_error(429, "TooManyRequestsException", Reason="CallerRateLimitExceeded"),
            api_error(502, "ENINotReadyException"),
            api_error(409, "ResourceConflictException"),
        ],
        ids=lambda reply: reply.kind.value,
    )
    async def test_a_lease_is_kept_and_tried_again_until_it_runs(
        self, make_capsule, background, sandboxes, ran, db, reply
    ):
        tries = Counter()

        async def instead(function: str, event: Any, request_id: str) -> Reply | None:
            tries[event["lease"]] += 1
            return reply if tries[event["lease"]] < 4 else None

        sandboxes.instead = instead
        push(db, *work_of(2))
        background(make_capsule(sandboxes).run())
        await soon(lambda: not places(db))
        assert sorted(ran) == [0, 1]
        assert list(tries.values()) == [4, 4]
        assert not db.exists("retry", "stat:failed")

    async def test_fewer_fly_after_too_many_did(self, make_capsule, background, db):
        push(db, *work_of(8))
        capsule = make_capsule(Script(lambda event: self.THROTTLE), in_flight=8)
        background(capsule.run())
        await soon(lambda: capsule.limit.value == 4)

    async def test_what_is_merely_not_ready_lowers_nothing(self, make_capsule, background, db):
        push(db, *work_of(8))
        script = Script(lambda event: api_error(502, "ENINotReadyException"))
        capsule = make_capsule(script, in_flight=8)
        background(capsule.run())
        await soon(lambda: len(script.events) > 16)
        assert capsule.limit.value == 8

    async def test_when_there_is_no_time_left_to_start_all_go_back_together_in_order(
        self, make_capsule, background, db, monkeypatch
    ):
        monkeypatch.setattr(capsule_module, "START_WINDOW_S", 0.15)
        raws = push(db, *work_of(20))
        capsule = make_capsule(Script(lambda event: self.THROTTLE), in_flight=5)
        background(capsule.run())
        await soon(lambda: len(capsule.flights) == 5)
        capsule._stopping.set()  # take nothing new, without a word to those that fly
        assert await capsule.landed(5)
        assert waiting(db) == raws
        assert set(db.keys("*")) == {b"queues", b"queue:default"}

    async def test_a_capsule_that_goes_quiet_gives_them_back_at_once(self, make_capsule, background, db):
        raws = push(db, *work_of(20))
        capsule = make_capsule(Script(lambda event: self.THROTTLE), in_flight=5)
        background(capsule.run())
        await soon(lambda: len(capsule.flights) == 5)
        capsule.quiet()
        assert await capsule.landed(2)
        assert waiting(db) == raws

    async def test_it_does_not_open_the_circuit(self, make_capsule, background, db, monkeypatch):
        monkeypatch.setattr(capsule_module, "START_WINDOW_S", 0.05)
        push(db, *work_of(5))
        script = Script(lambda event: self.THROTTLE)
        capsule = make_capsule(script, in_flight=5)
        background(capsule.run())
        await soon(lambda: capsule.wake() or len({e[:60] for e in script.events}) > 10)
        assert not capsule.circuit.is_open


class TestUnsendable:
    async def test_bytes_that_are_no_json_go_to_dead_and_their_neighbours_run(
        self, make_capsule, background, sandboxes, ran, db, caplog
    ):
        push(db, b"junk", *work_of(1), b'{"a":', b"\xff", *work_of(1, 1), b'{"a":NaN}')
        background(make_capsule(sandboxes, in_flight=1).run())
        await soon(lambda: ran == [0, 1])
        await soon(lambda: not db.exists("sidelamb:leases"))
        assert sorted(db.zrange("dead", 0, -1)) == sorted([b"junk", b'{"a":', b"\xff", b'{"a":NaN}'])
        assert db.get("stat:processed") == b"2"

    async def test_however_long_they_are_only_their_beginning_travels(
        self, make_capsule, background, sandboxes, db
    ):
        junk = b"junk" * 100_000
        push(db, junk)
        background(make_capsule(sandboxes).run())
        await soon(lambda: db.zcard("dead"))
        assert db.zrange("dead", 0, -1) == [junk]
        assert len(sandboxes.events[0]["jobs"][0]) <= 1_000
        await soon(lambda: not db.exists("sidelamb:leases"))

    async def test_one_that_does_not_fit_into_an_event_goes_to_dead_with_the_reason(
        self, make_capsule, background, sandboxes, ran, db
    ):
        push(db, payload("work", "x" * MOST_BYTES, jid="big"), *work_of(1))
        background(make_capsule(sandboxes).run())
        await soon(lambda: ran == [0])
        await soon(lambda: db.zcard("dead"))
        dead = decode(db.zrange("dead", 0, -1)[0])
        assert (dead["jid"], dead["error_class"], dead["retry_count"]) == ("big", "PayloadTooLarge", 0)
        assert "store the data and send its id" in dead["error_message"]
        await soon(lambda: not db.exists("sidelamb:leases"))

    async def test_several_that_fit_only_alone_travel_alone(self, make_capsule, background, sandboxes, job, db):
        sizes = []

        @job
        def work(text: str) -> None:
            sizes.append(len(text))

        push(db, *(payload("work", "x" * 4_000_000, jid=f"j{n}") for n in range(3)))
        background(make_capsule(sandboxes, in_flight=1).run())
        await soon(lambda: sizes == [4_000_000] * 3)
        assert [len(event["jobs"]) for event in sandboxes.events] == [1, 1, 1]

    @pytest.mark.parametrize("raw", [b"null", b"5", b'"x"', b"[]", b"{}", b'{"class":5}'])
    async def test_json_that_is_no_job_is_buried_by_the_worker(
        self, make_capsule, background, sandboxes, ran, db, raw
    ):
        push(db, raw, *work_of(1))
        background(make_capsule(sandboxes, in_flight=1).run())
        await soon(lambda: ran == [0])
        await soon(lambda: not db.exists("sidelamb:leases"))
        assert db.zcard("dead") == 1

    async def test_one_that_lambdas_runtime_cannot_read_holds_up_nobody(
        self, make_capsule, background, sandboxes, ran, db, monkeypatch
    ):
        monkeypatch.setattr(circuit_module, "PROBE_FIRST_S", 0.05)
        deep = b'{"class":"work","jid":"deep","args":[' + b"[" * 1_010 + b"]" * 1_010 + b"]}"
        push(db, deep, *work_of(1))
        capsule = make_capsule(sandboxes, in_flight=1)
        background(capsule.run())
        await soon(lambda: capsule.wake() or ran == [0], 0.7)

    async def test_one_that_is_too_large_names_its_queue_for_the_web_page(
        self, make_capsule, background, sandboxes, db
    ):
        push(db, b'{"class":"work","args":["' + b"x" * MOST_BYTES + b'"]}')
        background(make_capsule(sandboxes).run())
        await soon(lambda: db.zcard("dead"))
        assert decode(db.zrange("dead", 0, -1)[0])["queue"] == "default"


class TestCircuit:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(circuit_module, "PROBE_FIRST_S", 0.1)

    BROKEN = function_error({"errorType": "Runtime.ImportModuleError", "errorMessage": "No module named 'app'"})

    async def test_three_failures_before_any_claim_open_it_and_that_is_said_once(
        self, make_capsule, background, db, caplog
    ):
        raws = push(db, *work_of(30))
        script = Script(lambda event: self.BROKEN)
        capsule = make_capsule(script, in_flight=3, jobs=10)
        background(capsule.run())
        await soon(lambda: capsule.circuit.is_open)
        probes = len(script.events)
        await soon(lambda: capsule.wake() or len(script.events) >= probes + 2)
        errors = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
        assert len(errors) == 1
        assert "function worker fails before it claims a job" in errors[0]
        assert "No module named 'app'" in errors[0]
        capsule.quiet()
        await capsule.landed(2)
        assert sorted(waiting(db)) == sorted(raws)
        assert not db.exists("retry", "dead", "stat:failed")

    async def test_it_probes_with_one_job_at_a_time_less_and_less_often(self, make_capsule, background, db):
        push(db, *work_of(30))
        at: list[float] = []

        async def slowly(event: Any) -> Reply:
            at.append(time.monotonic())
            flying.append(len(event["jobs"]))
            await asyncio.sleep(0.01)
            return self.BROKEN

        flying: list[int] = []
        capsule = make_capsule(Script(slowly), in_flight=3, jobs=10)
        background(capsule.run())
        await soon(lambda: capsule.wake() or len(at) >= 6)
        assert flying[3:6] == [1, 1, 1]
        assert at[3] - at[2] >= 0.1
        assert at[4] - at[3] >= 0.2
        assert at[5] - at[4] >= 0.4

    async def test_a_claim_closes_it_and_everything_flies_again(
        self, make_capsule, background, sandboxes, ran, db, caplog
    ):
        broken = True

        async def instead(function: str, event: Any, request_id: str) -> Reply | None:
            return self.BROKEN if broken else None

        sandboxes.instead = instead
        push(db, *work_of(30))
        capsule = make_capsule(sandboxes, in_flight=3, jobs=2)
        background(capsule.run())
        await soon(lambda: capsule.circuit.is_open)
        broken = False
        await soon(lambda: capsule.wake() or not places(db))
        assert sorted(ran) == list(range(30))
        assert "its function works again" in caplog.text
        assert not db.exists("stat:failed")

    async def test_a_job_that_fails_is_no_failure_of_the_function(
        self, make_capsule, background, sandboxes, job, db
    ):
        @job
        def work(n: int) -> None:
            raise ValueError

        push(db, *work_of(10))
        capsule = make_capsule(sandboxes)
        background(capsule.run())
        await soon(lambda: db.zcard("retry") == 10)
        assert not capsule.circuit.is_open

    async def test_an_outage_of_redis_does_not_open_it(
        self, make_capsule, make_patient, background, sandboxes, ran, db, proxy: Proxy, monkeypatch
    ):
        monkeypatch.setattr(capsule_module, "START_WINDOW_S", 0.3)
        capsule = make_capsule(sandboxes, redis=make_patient(proxy.url), in_flight=5)
        proxy.cut()
        background(capsule.run())
        push(db, *work_of(5))
        await asyncio.sleep(0.4)
        proxy.mend()
        await soon(lambda: sandboxes.events)
        assert min(event["start_by"] for event in sandboxes.events) > time.time()
        await soon(lambda: capsule.wake() or sorted(ran) == [0, 1, 2, 3, 4])
        assert not capsule.circuit.is_open


class TestBlame:
    def poisoned(self, sandboxes: Sandboxes, link: Link, poison: str) -> None:
        """Every invocation that carries the poison claims its lease and then loses its sandbox."""

        async def instead(function: str, event: Any, request_id: str) -> Reply | None:
            if not [job for job in event["jobs"] if job["jid"] == poison and not job.get("doomed")]:
                return None
            claim = STORE.claim(
                event["lease"], request_id=f"{request_id}/x", now=time.time(), deadline=event["deadline"]
            )
            assert link.run(claim)
            return exit_error(request_id)

        sandboxes.instead = instead

    async def test_the_one_poison_job_of_twenty_is_found_and_nobody_else_is_charged(
        self, make_capsule, background, sandboxes, ran, db, link
    ):
        self.poisoned(sandboxes, link, "work-13")
        push(db, *work_of(20))
        background(make_capsule(sandboxes, in_flight=1).run())
        await soon(lambda: list(places(db).values()) == [["retry"]])
        assert sorted(ran) == [n for n in range(20) if n != 13]
        charged = decode(db.zrange("retry", 0, -1)[0])
        assert (charged["jid"], charged["kills"], charged["retry_count"]) == ("work-13", 2, 1)
        assert "signal: segmentation fault" in charged["error_message"]
        assert (db.get("stat:processed"), db.get("stat:failed")) == (b"21", b"2")

    async def test_three_kills_and_it_is_dead_with_the_reason(
        self, make_capsule, background, sandboxes, ran, db, link
    ):
        """At once again after the first, later after the second, and then a worker lays it to rest."""
        self.poisoned(sandboxes, link, "work-0")
        push(db, *work_of(1))
        capsule = make_capsule(sandboxes)
        background(capsule.run())
        await soon(lambda: db.zcard("retry"))
        ((raw, _),) = db.zpopmin("retry")
        assert decode(raw)["kills"] == 2
        push(db, raw)
        capsule.wake()
        await soon(lambda: db.zcard("dead"))
        assert ran == []
        dead = decode(db.zrange("dead", 0, -1)[0])
        assert (dead["kills"], dead["retry_count"], dead["doomed"]) == (3, 2, False)
        assert dead["error_class"] == "SandboxKilled"
        assert (db.get("stat:processed"), db.get("stat:failed")) == (b"3", b"3")
        assert "(kill 3 of 3)" in dead["error_message"]
        assert "request-" in dead["error_message"]
        assert len(places(db)) == 1

    async def test_a_lost_reply_leaves_what_was_claimed_to_its_worker_which_settles_it(
        self, make_capsule, background, sandboxes, job, db
    ):
        go, begun = threading.Event(), threading.Event()

        @job
        def work(n: int) -> None:
            begun.set()
            go.wait(5)

        async def instead(function: str, event: Any, request_id: str) -> Reply | None:
            threading.Thread(target=sandboxes._run, args=(event, request_id), daemon=True).start()
            await soon(begun.is_set)
            return lost(ConnectionResetError())

        sandboxes.instead = instead
        push(db, *work_of(1))
        capsule = make_capsule(sandboxes)
        background(capsule.run())
        await soon(lambda: begun.is_set() and not capsule.flights)
        assert list(places(db).values()) == [[f"sidelamb:lease:{sandboxes.events[0]['lease']}"]]
        capsule.wake()
        go.set()
        await soon(lambda: not places(db))
        assert len(sandboxes.events) == 1
        assert db.get("stat:processed") == b"1"

    async def test_a_request_that_was_lost_before_it_came_anywhere_is_taken_back_at_once(
        self, make_capsule, background, sandboxes, ran, db
    ):
        lose = True

        async def instead(function: str, event: Any, request_id: str) -> Reply | None:
            return lost(ConnectionResetError()) if lose else None

        sandboxes.instead = instead
        raws = push(db, *work_of(1))
        capsule = make_capsule(sandboxes)
        background(capsule.run())
        await soon(lambda: waiting(db) == raws)
        lose = False
        await soon(lambda: capsule.wake() or ran == [0])

    async def test_a_request_that_arrives_after_it_was_taken_back_runs_nothing(
        self, make_capsule, background, sandboxes, ran, db, make_worker
    ):
        """The connection was lost, the invocation comes later."""
        late: list[Any] = []

        async def instead(function: str, event: Any, request_id: str) -> Reply | None:
            if not late:
                late.append(event)
                return lost(TimeoutError())
            return None

        sandboxes.instead = instead
        push(db, *work_of(1))
        capsule = make_capsule(sandboxes)
        background(capsule.run())
        await soon(lambda: capsule.wake() or ran == [0])
        assert make_worker().handle(late[0], Context(5))["status"] == "refused"
        assert ran == [0]

    async def test_beside_a_job_that_would_not_stop_its_neighbour_is_not_charged(
        self, make_capsule, background, sandboxes, job, db, monkeypatch
    ):
        monkeypatch.setattr(watch_module, "TICK_S", 0.02)
        monkeypatch.setattr(ending, "MARGIN_S", 0.15)

        @job
        def stuck() -> None:
            time.sleep(0.4)

        @job
        def innocent() -> None:
            time.sleep(0.3)

        push(db, payload("stuck", timeout=0.05), payload("innocent"))
        background(make_capsule(sandboxes, in_flight=1, threads=2).run())
        await soon(lambda: b"innocent-0" in b"".join(db.zrange("retry", 0, -1)) or len(places(db)) == 1)
        await asyncio.sleep(0.05)
        assert not [raw for raw in places(db) if b"innocent" in raw and b"kills" in raw]


class TestUnsettled:
    async def test_outcomes_that_a_worker_could_not_write_are_written_for_it(
        self, make_capsule, background, make_worker, job, db, proxy: Proxy
    ):
        @job
        def work(n: int) -> None:
            proxy.cut()
            if n == 1:
                raise ValueError

        sandboxes = Sandboxes(lambda **options: make_worker(proxy.url, **options), timeout_s=1.0)
        push(db, payload("work", 1))
        background(make_capsule(sandboxes).run())
        await soon(lambda: db.zcard("retry"))
        assert list(places(db).values()) == [["retry"]]
        assert db.get("stat:failed") == b"1"


class TestDetached:
    def detached(self, make_worker: Callable[..., Any], timeout_s: float = 5.0) -> Sandboxes:
        return Sandboxes(lambda **options: make_worker("", **options), timeout_s)

    async def test_jobs_go_one_each_and_are_settled_from_the_answers(
        self, make_capsule, background, make_worker, job, db
    ):
        @job
        def work(n: int) -> None:
            if n == 1:
                raise ValueError

        sandboxes = self.detached(make_worker)
        push(db, *work_of(4))
        background(make_capsule(sandboxes, in_flight=2, detached=True).run())
        await soon(lambda: list(places(db).values()) == [["retry"]])
        assert [len(event["jobs"]) for event in sandboxes.events] == [1, 1, 1, 1]
        assert (db.get("stat:processed"), db.get("stat:failed")) == (b"4", b"1")

    async def test_the_lease_is_claimed_before_the_invocation(
        self, make_capsule, background, make_worker, job, db
    ):
        claims = []

        @job
        def work(n: int) -> None:
            (key,) = db.keys("sidelamb:lease:*")
            claims.append(db.hget(key, "claim"))

        push(db, *work_of(1))
        background(make_capsule(self.detached(make_worker), detached=True).run())
        await soon(lambda: claims)
        assert claims[0].startswith(b"poller-c:")

    async def test_what_could_not_be_claimed_is_not_sent(
        self, make_capsule, background, make_worker, job, db, link
    ):
        """Redis has forgotten the lease, or it was reaped meanwhile: the job is elsewhere by now."""
        from sidelamb_handlers.poller.flight import Flight

        sent = []

        async def instead(function: str, event: Any, request_id: str) -> Reply | None:
            sent.append(event)
            return lost(TimeoutError())

        sandboxes = self.detached(make_worker)
        sandboxes.instead = instead
        push(db, *work_of(1))
        (held,) = reserve(link, "c:1")
        db.delete("sidelamb:lease:c:1", "sidelamb:leases", "sidelamb:slots:c")
        capsule = make_capsule(sandboxes, detached=True)
        capsule._launch(Flight(held, time.time() + 30, 5.0))
        assert await capsule.landed(5)
        assert sent == []

    async def test_the_job_after_one_that_had_to_be_stopped_is_not_charged(
        self, make_capsule, background, make_worker, job, db, monkeypatch
    ):
        monkeypatch.setattr(watch_module, "TICK_S", 0.02)

        @job
        def slow() -> None:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                time.sleep(0.002)

        @job
        def innocent() -> None: ...

        push(db, payload("slow", timeout=0.05), payload("innocent"))
        background(make_capsule(self.detached(make_worker), in_flight=1, detached=True).run())
        await soon(lambda: all(where == ["retry"] for where in places(db).values()))
        assert [decode(raw)["jid"] for raw in db.zrange("retry", 0, -1)] == ["slow-0"]


class TestStopping:
    async def test_a_quiet_capsule_takes_nothing_more_and_what_flies_goes_on(
        self, make_capsule, background, sandboxes, job, db
    ):
        go, begun = threading.Event(), threading.Event()

        @job
        def work(n: int) -> None:
            begun.set()
            go.wait(5)

        push(db, *work_of(5))
        capsule = make_capsule(sandboxes, in_flight=1, jobs=1)
        task = background(capsule.run())
        await soon(begun.is_set)
        capsule.quiet()
        await asyncio.wait_for(task, 5)
        assert len(waiting(db)) == 4
        assert await capsule.landed(0.05) is False
        go.set()
        assert await capsule.landed(5) is True
        assert waiting(db) == work_of(4, 1)
        assert not db.exists("sidelamb:leases")

    async def test_what_still_flies_when_time_is_over_stays_in_its_lease_and_is_settled_by_its_worker(
        self, make_capsule, background, sandboxes, job, db
    ):
        go, begun = threading.Event(), threading.Event()

        @job
        def work(n: int) -> None:
            begun.set()
            go.wait(5)

        push(db, *work_of(1))
        capsule = make_capsule(sandboxes)
        background(capsule.run())
        await soon(begun.is_set)
        capsule.quiet()
        assert await capsule.landed(0.02) is False
        for task in list(capsule._tasks):  # the process ends
            task.cancel()
        assert [where[0][:15] for where in places(db).values()] == ["sidelamb:lease:"]
        go.set()
        await soon(lambda: not places(db))
        assert db.get("stat:processed") == b"1"

    async def test_a_reserve_that_is_cancelled_is_found_again_by_its_ids(
        self, make_capsule, background, sandboxes, ran, db
    ):
        capsule = make_capsule(sandboxes, in_flight=2)
        push(db, *work_of(2))
        capsule._ids = ["c:first", "c:second"]
        reserved = await capsule._redis.run(
            STORE.reserve(
                capsule._ids,
                ["default"],
                capsule="c",
                poller="p",
                expires=time.time() + 30,
                cap=2,
                most_jobs=1,
                most_bytes=9_999,
            )
        )
        assert len(reserved.leases) == 2  # and this answer was never read
        background(capsule.run())
        await soon(lambda: not places(db))
        assert sorted(ran) == [0, 1]


class TestRedisGoesAway:
    async def test_an_outage_in_the_middle_of_traffic_loses_and_repeats_nothing(
        self, make_capsule, make_patient, background, sandboxes, job, db, proxy: Proxy, caplog
    ):
        runs: Counter[int] = Counter()

        @job
        def work(n: int) -> None:
            runs[n] += 1
            time.sleep(0.002)

        push(db, *work_of(200))
        capsule = make_capsule(sandboxes, redis=make_patient(proxy.url), in_flight=5, jobs=5)
        background(capsule.run())
        for _ in range(3):
            before = len(runs)
            await soon(lambda before=before: len(runs) > before + 10 or len(runs) == 200)
            proxy.cut()
            await asyncio.sleep(0.05)
            proxy.mend()
        await soon(lambda: capsule.wake() or not places(db))
        assert runs == Counter(range(200))
        assert sum("trying again until it works" in m for m in caplog.messages) <= 3

    async def test_the_connections_of_the_poller_may_die_at_any_time(
        self, make_capsule, background, sandboxes, job, db
    ):
        runs: Counter[int] = Counter()

        @job
        def work(n: int) -> None:
            runs[n] += 1

        capsule = make_capsule(sandboxes, in_flight=5, jobs=3)
        background(capsule.run())
        for start in range(0, 300, 30):
            push(db, *work_of(30, start))
            capsule.wake()
            await asyncio.sleep(0.005)
            db.client_kill_filter(_type="normal", skipme=True)
        await soon(lambda: capsule.wake() or not places(db))
        assert runs == Counter(range(300))


@pytest.mark.parametrize("seed", [1, 2])
async def test_in_the_middle_of_everything_nothing_is_lost_nothing_overlaps_and_only_the_guilty_are_charged(
    make_capsule, background, make_worker, job, db, redis_url, seed, monkeypatch
):
    """Two pollers, jobs that fail, sandboxes that die, answers that get lost, throttles, a flickering Redis."""
    monkeypatch.setattr(capsule_module, "RETRY_FIRST_S", 0.005)
    monkeypatch.setattr(circuit_module, "PROBE_FIRST_S", 0.02)
    dice = random.Random(seed)
    lock = threading.Lock()
    running: set[int] = set()
    runs: Counter[int] = Counter()
    overlaps: list[int] = []
    poison = {17, 171}

    @job
    def work(n: int) -> None:
        with lock:
            if n in running:
                overlaps.append(n)
            running.add(n)
            runs[n] += 1
        time.sleep(0.0005)
        with lock:
            running.discard(n)
        if n % 11 == 5:
            raise ValueError("as always")

    class Storm(Sandboxes):
        def __init__(self, number: int) -> None:
            super().__init__(make_worker)
            self.instead = self.trouble
            self.after = self.loss
            self.link = Link(redis_url)

        async def trouble(self, function: str, event: Any, request_id: str) -> Reply | None:
            if poison & {job["args"][0] for job in event["jobs"] if not job.get("doomed")}:
                token = f"{request_id}/x"
                claim = STORE.claim(event["lease"], request_id=token, now=time.time(), deadline=event["deadline"])
                return exit_error(request_id) if self.link.run(claim) else lost(OSError())
            roll = dice.random()
            if roll < 0.10:
                return api_error(429, "TooManyRequestsException", Reason="x")
            if roll < 0.15:
                return lost(ConnectionResetError())
            if roll < 0.18:
                return api_error(500, "ServiceException", request_id)
            return None

        def loss(self, reply: Reply) -> Reply:
            return lost(ConnectionResetError()) if dice.random() < 0.1 else reply

    storms = [Storm(n) for n in range(2)]
    capsules = [
        make_capsule(storm, poller=f"p{n}", in_flight=6, jobs=12, threads=2) for n, storm in enumerate(storms)
    ]
    for capsule in capsules:
        background(capsule.run())
    for start in range(0, 240, 60):
        push(db, *work_of(60, start))
        for capsule in capsules:
            capsule.wake()
        await asyncio.sleep(0.03)
        db.client_kill_filter(_type="normal", skipme=True)

    def at_rest(*allowed: str) -> bool:
        for capsule in capsules:
            capsule.wake()
        where = {name for names in places(db).values() for name in names}
        return not any(c.flights for c in capsules) and all(name.startswith(allowed) for name in where)

    await soon(lambda: at_rest("retry", "sidelamb:lease:"), 20)
    # What is claimed and nobody heard of waits for its deadline; by then its invocations are long over.
    await soon(lambda: not any(storm.flying for storm in storms))
    later = Scheduler(storms[0].link, STORE, clock=lambda: time.time() + 1_000)
    later.make_pass(time.time() + 2_000)
    await soon(lambda: at_rest("retry", "dead"), 20)
    for storm in storms:
        storm.link.close()
    assert overlaps == []
    assert set(runs) == set(range(240)) - poison
    kept = {decode(raw)["args"][0]: decode(raw) for raw in places(db)}
    assert set(kept) == {n for n in range(240) if n % 11 == 5} | poison
    assert {n for n, job in kept.items() if "kills" in job} == poison
    assert all(len(where) == 1 for where in places(db).values())


@pytest.mark.parametrize("seed", [1, 2])
async def test_however_redis_flickers_for_pollers_and_workers_every_job_runs_once(
    make_capsule, make_patient, background, make_worker, job, db, redis_url, seed, monkeypatch
):
    monkeypatch.setattr(capsule_module, "RETRY_FIRST_S", 0.005)
    monkeypatch.setattr(circuit_module, "PROBE_FIRST_S", 0.02)
    monkeypatch.setattr(watch_module, "TICK_S", 0.02)
    monkeypatch.setattr(worker_module, "REDIS_TIMEOUTS", {"socket_connect_timeout": 0.2, "socket_timeout": 0.2})
    dice = random.Random(seed)
    lock = threading.Lock()
    runs: Counter[int] = Counter()

    @job
    def work(n: int) -> None:
        with lock:
            runs[n] += 1
        time.sleep(0.001)

    @job
    async def async_work(n: int) -> None:
        with lock:
            runs[n] += 1
        await asyncio.sleep(0.001)
        if n % 11 == 5:
            raise ValueError

    for_workers, for_pollers = Proxy(redis_url), Proxy(redis_url)
    lambdas = [Sandboxes(lambda **options: make_worker(for_workers.url, **options), 1.5) for _ in range(2)]
    capsules = [
        make_capsule(each, redis=make_patient(for_pollers.url), in_flight=6, jobs=12, threads=3)
        for each in lambdas
    ]
    for capsule in capsules:
        background(capsule.run())
    for start in range(0, 240, 60):
        push(db, *(payload(("work", "async_work")[n % 2], n) for n in range(start, start + 60)))
        for capsule in capsules:
            capsule.wake()
        await asyncio.sleep(dice.random() * 0.05)
        proxy = dice.choice([for_workers, for_pollers])
        dice.choice([proxy.cut, proxy.freeze, proxy.hush])()
        await asyncio.sleep(dice.random() * 0.3)
        proxy.mend()

    def at_rest() -> bool:
        for capsule in capsules:
            capsule.wake()
        flying = any(capsule.flights for capsule in capsules)
        return not flying and all(where == ["retry"] for where in places(db).values())

    await soon(at_rest, 20)
    for_workers.close()
    for_pollers.close()
    assert runs == Counter(range(240))
    failed = {decode(raw)["args"][0] for raw in db.zrange("retry", 0, -1)}
    assert failed == {n for n in range(240) if n % 11 == 5 and n % 2}
    assert not [raw for raw in places(db) if b"kills" in raw]
