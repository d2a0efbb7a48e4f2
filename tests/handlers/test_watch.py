"""One invocation's jobs under watch: every job gets a decision, whatever it does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.control import JobTimeout
from sidelamb_handlers import watch as module
from sidelamb_handlers.attempt import Attempt, Runner
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome
from sidelamb_handlers.ending import Ending
from sidelamb_handlers.lanes import Lanes
from sidelamb_handlers.settler import Settler
from sidelamb_handlers.watch import Watch
from tests.handlers.kit import STORE
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.registry import Registry
    from sidelamb_handlers.eventloop import KeptLoop

TICK_S = 0.02
STOP_S = 0.1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same watch, a little faster."""
    monkeypatch.setattr(module, "TICK_S", TICK_S)


class Watched:
    """An invocation without Redis: all decisions stay where they can be looked at."""

    def __init__(self, jobs: Registry, loop: KeptLoop) -> None:
        self._runner = Runner(jobs, loop.run, random=lambda: 0.0)
        self._loop = loop
        self.ended: list[tuple[str, Decision]] = []

    def run(
        self,
        *payloads: Any,
        threads: int = 1,
        seconds: float = 10.0,
        sign: str = ":",
        careful: bool = False,
        flushed: Callable[[], bool] | None = None,
    ) -> Watch:
        settler = Settler(None, STORE, lease="c:1", capsule="c", request_id="r")
        if flushed is not None:
            settler.flush = lambda _until: flushed()  # type: ignore[method-assign]
        attempts = [Attempt(f"{n}{sign}q", "q", p, "r", "c:1") for n, p in enumerate(payloads)]
        assert [self._runner.decode(a) for a in attempts] == [None] * len(attempts)
        stop = time.time() + seconds
        watch = Watch(
            attempts,
            self._runner,
            self._loop,
            settler,
            threads=threads,
            careful=careful,
            ending=Ending(stop, stop_s=STOP_S, sweep_s=STOP_S, settle_by=stop + 1),
            on_end=self._told,
        )
        watch.run()
        self.decisions = settler.pending
        return watch

    def _told(self, ended: list[tuple[Attempt, Decision]]) -> None:
        for attempt, decision in ended:
            self.ended.append((attempt.field, decision))

    def outcomes(self) -> list[str]:
        return [self.decisions[field].outcome.value for field in sorted(self.decisions)]


@pytest.fixture
def watched(jobs: Registry, kept: KeptLoop) -> Watched:
    return Watched(jobs, kept)


def call(name: str, *args: Any, **fields: Any) -> dict[str, Any]:
    return {"class": name, "args": list(args), **fields}


def spin(seconds: float = 5.0) -> None:
    """Work that an exception can interrupt."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.002)


@pytest.mark.parametrize("threads", [1, 4])
def test_every_job_gets_its_decision_and_is_told_of_once(watched: Watched, job: Callable[..., Any], threads: int):
    @job
    def work(n: int) -> None:
        if n % 3 == 0:
            raise ValueError

    watch = watched.run(*(call("work", n) for n in range(30)), threads=threads)
    assert {f: d.outcome for f, d in watched.decisions.items()} == {
        f"{n}:q": Outcome.RETRY if n % 3 == 0 else Outcome.SUCCEEDED for n in range(30)
    }
    assert sorted(f for f, _ in watched.ended) == sorted(watched.decisions)
    assert (watch.stuck, watch.interrupted) == (False, False)


class TestCoroutines:
    def test_they_wait_together_and_no_thread_waits_with_them(self, watched: Watched, job):
        before = set(threading.enumerate())
        threads: list[set[str]] = []
        met = asyncio.Barrier(20)

        @job
        async def work() -> None:
            await met.wait()
            threads.append({t.name for t in set(threading.enumerate()) - before} - {"sidelamb-loop"})

        watch = watched.run(*(call("work") for _ in range(40)), threads=20)
        assert watched.outcomes() == ["succeeded"] * 40
        assert watch.started == 40
        assert threads == [set()] * 40

    def test_what_decides_about_a_failed_one_may_block_while_others_run(self, watched: Watched, job):
        other = threading.Event()
        waited: list[bool] = []

        def backoff(attempt: int, error: BaseException) -> float:
            waited.append(other.wait(5))
            return 7.0

        @job(backoff=backoff)
        async def fails() -> None:
            raise ValueError

        @job
        async def works() -> None:
            await asyncio.sleep(0.05)
            other.set()

        watched.run(call("fails"), call("works"), threads=2)
        assert waited == [True]
        assert watched.outcomes() == ["retry", "succeeded"]
        assert watched.decisions["0:q"].changes["error_class"] == "ValueError"

    def test_one_for_which_the_loop_had_no_time_goes_back_uncharged(
        self, watched: Watched, job, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(globals(), "STOP_S", 5.0)
        asked: list[str] = []
        ran: list[int] = []
        interrupt = Lanes.interrupt

        def noted(lanes: Lanes, a: Attempt) -> None:
            interrupt(lanes, a)
            asked.append(a.field)

        monkeypatch.setattr(Lanes, "interrupt", noted)

        @job
        async def blocks() -> None:
            until(lambda: len(asked) == 2)

        @job
        async def work(n: int) -> None:
            ran.append(n)

        watch = watched.run(call("blocks"), call("work", 1), call("work", 2), threads=2, seconds=0.3)
        assert ran == []
        back = watched.decisions["1:q"]
        assert (back.outcome, back.counted, back.failed) == (Outcome.RETURNED, False, False)
        assert back.reason == "stopped before it had begun"
        assert watched.outcomes() == ["succeeded", "returned", "returned"]
        assert watch.stuck is False
        assert watch.started == 1


def test_without_jobs_it_ends_at_once(watched: Watched):
    assert watched.run().started == 0


class TestWithCare:
    def test_each_job_is_settled_before_the_next_one_starts(self, watched: Watched, job):
        seen: list[Any] = []

        @job
        def work(n: int) -> None:
            seen.append(n)

        def flushed() -> bool:
            seen.append("settled")
            return True

        watch = watched.run(*(call("work", n) for n in range(3)), threads=4, careful=True, flushed=flushed)
        assert seen == ["settled", 0, "settled", 1, "settled", 2]
        assert (watch.started, watch.stuck, watch.interrupted) == (3, False, False)
        assert watched.outcomes() == ["succeeded"] * 3

    def test_what_cannot_be_settled_keeps_the_others_from_starting(self, watched: Watched, job):
        ran: list[int] = []
        job(ran.append, name="work")
        watched.run(*(call("work", n) for n in range(3)), careful=True, flushed=lambda: not ran)
        assert ran == [0]
        assert watched.outcomes() == ["succeeded", "returned", "returned"]

    def test_a_job_that_is_stopped_ends_it(self, watched: Watched, job):
        job(lambda n: spin(), name="work", timeout=0.1)
        watch = watched.run(*(call("work", n) for n in range(3)), careful=True, flushed=lambda: True)
        assert watch.interrupted
        assert watched.outcomes() == ["retry", "returned", "returned"]

    def test_what_has_waited_long_goes_back(self, watched: Watched, job, monkeypatch):
        monkeypatch.setattr(module, "PATIENCE_S", 0.05)
        job(lambda n: time.sleep(0.03), name="work")
        watched.run(*(call("work", n) for n in range(4)), careful=True, flushed=lambda: True)
        assert watched.outcomes() == ["succeeded", "succeeded", "returned", "returned"]


class TestTimeout:
    def test_a_plain_job_is_stopped_at_its_timeout_and_fails_with_the_reason(self, watched: Watched, job):
        cleaned = []

        @job(timeout=0.05)
        def work() -> None:
            try:
                spin()
            finally:
                cleaned.append(1)

        began = time.monotonic()
        watch = watched.run(call("work"))
        assert 0.05 <= time.monotonic() - began < 1
        decision = watched.decisions["0:q"]
        assert (decision.outcome, decision.failed) == (Outcome.RETRY, True)
        assert decision.changes["error_class"] == "sidelamb.control.JobTimeout"
        assert "timeout of 0.05 s" in decision.changes["error_message"]
        assert cleaned == [1]
        assert (watch.stuck, watch.interrupted) == (False, True)

    def test_an_async_job_is_cancelled_at_its_timeout_and_its_thread_is_not_touched(self, watched: Watched, job):
        cleaned = threading.Event()

        @job(timeout=0.05)
        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                cleaned.set()

        watch = watched.run(call("work"))
        decision = watched.decisions["0:q"]
        assert decision.changes["error_class"] == "sidelamb.control.JobTimeout"
        assert "timeout of 0.05 s" in decision.changes["error_message"]
        assert cleaned.wait(1)
        assert (watch.stuck, watch.interrupted) == (False, False)

    def test_a_timeout_in_the_payload_counts(self, watched: Watched, job):
        @job
        def work() -> None:
            spin()

        watched.run(call("work", timeout=0.05))
        assert "timeout of 0.05 s" in watched.decisions["0:q"].changes["error_message"]

    def test_a_job_that_ends_well_when_it_is_asked_to_stop_has_ended_well(self, watched: Watched, job):
        @job(timeout=0.05)
        def work() -> None:
            with contextlib.suppress(JobTimeout):
                spin()

        watch = watched.run(call("work"))
        assert watched.decisions["0:q"] == SUCCEEDED
        assert watch.interrupted

    def test_a_job_that_will_not_stop_is_given_up_and_the_watch_says_so(self, watched: Watched, job):
        go = threading.Event()

        @job(timeout=0.05)
        def work() -> None:
            while not go.is_set():
                with contextlib.suppress(JobTimeout):
                    go.wait(0.005)

        began = time.monotonic()
        watch = watched.run(call("work"))
        assert time.monotonic() - began < 0.05 + STOP_S + 0.5
        assert watch.stuck
        assert watched.decisions["0:q"].changes["error_class"] == "sidelamb.control.JobTimeout"
        go.set()

    def test_a_job_inside_of_c_code_is_given_up(self, watched: Watched, job):
        @job(timeout=0.05)
        def work() -> None:
            time.sleep(0.5)

        watch = watched.run(call("work"))
        assert watch.stuck
        assert watched.outcomes() == ["retry"]

    def test_what_waits_behind_a_job_that_is_stopped_goes_back(self, watched: Watched, job):
        ran = []

        @job
        def work(n: int) -> None:
            ran.append(n)
            spin()

        watched.run(call("work", 0, timeout=0.05), call("work", 1), call("work", 2))
        assert ran == [0]
        assert watched.outcomes() == ["retry", "returned", "returned"]
        assert not watched.decisions["1:q"].alone

    def test_its_neighbour_on_another_thread_runs_on_to_its_own_end(self, watched: Watched, job):
        @job
        def work(seconds: float) -> None:
            spin(seconds)

        watch = watched.run(call("work", 5, timeout=0.05), call("work", 0.3), threads=2)
        assert watched.outcomes() == ["retry", "succeeded"]
        assert not watch.stuck

    def test_beside_a_job_that_will_not_stop_every_neighbour_gets_a_decision(self, watched: Watched, job):
        @job
        def stubborn() -> None:
            time.sleep(0.5)

        @job
        def work() -> None:
            spin(0.4)

        watched.run(call("stubborn", timeout=0.05), call("work"), call("work"), threads=3)
        assert sorted(watched.decisions) == ["0:q", "1:q", "2:q"]


class TestTheEnd:
    def test_a_job_without_a_timeout_that_began_first_fails_at_the_end(self, watched: Watched, job):
        @job
        def work() -> None:
            spin()

        began = time.monotonic()
        watched.run(call("work"), seconds=0.15)
        assert time.monotonic() - began < 1
        decision = watched.decisions["0:q"]
        assert decision.outcome is Outcome.RETRY
        assert "the end of its invocation" in decision.changes["error_message"]

    def test_one_that_began_late_goes_back_to_be_served_alone_uncharged(self, watched: Watched, job):
        @job
        def work(seconds: float) -> None:
            spin(seconds)

        watched.run(call("work", 0.1), call("work", 5), seconds=0.3)
        late = watched.decisions["1:q"]
        assert (late.outcome, late.alone, late.counted, dict(late.changes)) == (Outcome.RETURNED, True, False, {})
        assert watched.decisions["0:q"] == SUCCEEDED

    def test_one_that_is_served_alone_already_fails_however_late_it_began(self, watched: Watched, job):
        @job
        def work(seconds: float) -> None:
            spin(seconds)

        watched.run(call("work", 0.1), call("work", 5), seconds=0.3, sign="!")
        assert watched.decisions["1!q"].outcome is Outcome.RETRY

    def test_a_job_whose_timeout_does_not_fit_any_more_is_not_started(self, watched: Watched, job):
        ran = []

        @job
        def work(seconds: float) -> None:
            ran.append(seconds)
            spin(seconds)

        watched.run(call("work", 0.1), call("work", 0, timeout=2.0), call("work", 0.01), seconds=1.0)
        assert ran == [0.1, 0.01]
        assert watched.outcomes() == ["succeeded", "returned", "succeeded"]
        assert not watched.decisions["1:q"].alone

    def test_the_first_one_is_started_even_if_its_timeout_is_longer_than_the_invocation(
        self, watched: Watched, job
    ):
        @job(timeout=900)
        def work() -> None: ...

        watched.run(call("work"), seconds=1.0)
        assert watched.outcomes() == ["succeeded"]

    def test_the_first_ones_are_started_also_if_the_sandbox_was_slow_to_begin(
        self, watched: Watched, job, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(module, "TICK_S", -1.0)  # as if it had been over before a lane ran

        @job(timeout=900)
        def work() -> None: ...

        watched.run(*(call("work") for _ in range(3)), threads=2, seconds=1.0)
        assert watched.outcomes() == ["succeeded", "succeeded", "returned"]

    def test_only_what_ran_is_counted_as_started(self, watched: Watched, job):
        @job
        def work(seconds: float) -> None:
            spin(seconds)

        watch = watched.run(call("work", 0.1), *(call("work", 0, timeout=2.0) for _ in range(9)), seconds=1.0)
        assert watch.started == 1


class TestPatience:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PATIENCE_S", 0.1)

    def test_what_has_not_started_behind_a_slow_neighbour_goes_back_uncharged(self, watched: Watched, job):
        ran = []

        @job
        def work(n: int) -> None:
            ran.append(n)
            spin(0.3 if n == 1 else 0)

        watch = watched.run(*(call("work", n) for n in range(5)))
        assert ran == [0, 1]
        assert watched.outcomes() == ["succeeded", "succeeded", "returned", "returned", "returned"]
        back = watched.decisions["2:q"]
        assert (back.counted, back.alone, back.reason) == (False, False, "behind slow neighbours")
        assert watch.started == 2

    def test_it_goes_back_while_the_slow_one_still_runs(self, watched: Watched, job):
        gone_back = threading.Event()
        watched.ended = Telling("2:q", gone_back)
        waited = []

        @job
        def work(n: int) -> None:
            waited.append(n == 0 or gone_back.wait(5))

        watched.run(*(call("work", n) for n in range(3)), threads=1)
        assert waited == [True, True]
        assert watched.outcomes() == ["succeeded", "succeeded", "returned"]

    def test_with_more_threads_the_slow_one_does_not_hold_up_the_others(self, watched: Watched, job):
        @job
        def work(n: int) -> None:
            spin(0.3 if n == 0 else 0)

        watched.run(*(call("work", n) for n in range(5)), threads=2)
        assert watched.outcomes() == ["succeeded"] * 5


class Telling(list[tuple[str, Decision]]):
    """A list that tells when a field has come."""

    def __init__(self, field: str, event: threading.Event) -> None:
        super().__init__()
        self._field = field
        self._event = event

    def append(self, item: tuple[str, Decision]) -> None:
        super().append(item)
        if item[0] == self._field:
            self._event.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_job_whose_decision_cannot_be_made_gets_one_all_the_same(watched: Watched, job: Callable[..., Any]):
    from sidelamb import Snooze

    class Later(Snooze):
        def __init__(self) -> None:
            """An app's own, that forgot its base."""

    @job
    def work() -> None:
        raise Later

    watched.run(call("work"), call("work"))
    assert sorted(watched.decisions) == ["0:q", "1:q"]
