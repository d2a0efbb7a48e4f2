"""The threads on which the jobs of one invocation run."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.control import JobTimeout
from sidelamb_handlers.attempt import Attempt
from sidelamb_handlers.decision import SUCCEEDED, Decision, returned
from sidelamb_handlers.lanes import Lanes
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidelamb_handlers.eventloop import KeptLoop


def attempts(count: int) -> list[Attempt]:
    return [Attempt(f"{n}:q", "q", {}, "r", "c:1") for n in range(count)]


def on_threads(every: list[Attempt], run: Callable[[Attempt], Any], lanes: int) -> Lanes:
    def never(a: Attempt, then: object) -> None:
        raise AssertionError(a)

    return Lanes(every, run, lanes, never)


def names(taken: list[tuple[Attempt, Decision]]) -> list[str]:
    return [a.field for a, _ in taken]


def test_one_lane_runs_them_in_order():
    ran: list[str] = []

    def run(a: Attempt) -> Decision:
        ran.append(a.field)
        return SUCCEEDED

    lanes = on_threads(attempts(50), run, 1)
    lanes.start()
    assert lanes.idle.wait(5)
    assert ran == [f"{n}:q" for n in range(50)]
    assert names(lanes.take_finished()) == ran
    assert lanes.take_finished() == []


def test_so_many_lanes_run_so_many_at_once():
    met = threading.Barrier(4)

    def run(a: Attempt) -> Decision:
        met.wait(5)
        return SUCCEEDED

    lanes = on_threads(attempts(8), run, 4)
    lanes.start()
    assert lanes.idle.wait(5)
    assert len(lanes.take_finished()) == 8


def test_never_more_than_that_at_once():
    lock, now, most = threading.Lock(), 0, 0

    def run(a: Attempt) -> Decision:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.001)
        with lock:
            now -= 1
        return SUCCEEDED

    lanes = on_threads(attempts(100), run, 3)
    lanes.start()
    assert lanes.idle.wait(5)
    assert most <= 3


def test_there_are_no_more_lanes_than_jobs():
    lanes = on_threads(attempts(2), lambda a: SUCCEEDED, 100)
    assert len(lanes._busy) == 2
    lanes.start()
    assert lanes.idle.wait(5)


def test_without_jobs_they_are_idle_at_once():
    lanes = on_threads([], lambda a: SUCCEEDED, 4)
    lanes.start()
    assert lanes.idle.is_set()
    assert lanes.take_finished() == []


def test_what_was_drained_is_never_started():
    begun, go = threading.Event(), threading.Event()

    def run(a: Attempt) -> Decision:
        begun.set()
        go.wait(5)
        return SUCCEEDED

    every = attempts(5)
    lanes = on_threads(every, run, 1)
    lanes.start()
    assert begun.wait(5)
    assert lanes.drain() == every[1:]
    assert lanes.drain() == []
    go.set()
    assert lanes.idle.wait(5)
    assert names(lanes.take_finished()) == ["0:q"]


def spinning(begun: list[str], caught: list[str], go: Callable[[], bool]) -> Callable[[Attempt], Decision]:
    def run(a: Attempt) -> Decision:
        try:
            begun.append(a.field)
            while not go():
                time.sleep(0.001)
        except JobTimeout:
            caught.append(a.field)
        return SUCCEEDED

    return run


def test_a_running_job_is_interrupted_in_its_own_thread_and_its_neighbours_are_not():
    begun: list[str] = []
    caught: list[str] = []
    go = threading.Event()
    every = attempts(3)
    lanes = on_threads(every, spinning(begun, caught, go.is_set), 3)
    lanes.start()
    until(lambda: len(begun) == 3)
    lanes.interrupt(every[1])
    until(lambda: caught)
    go.set()
    assert lanes.idle.wait(5)
    assert caught == ["1:q"]
    assert len(lanes.take_finished()) == 3


def test_interrupting_what_has_ended_interrupts_nobody():
    begun: list[str] = []
    caught: list[str] = []
    go = threading.Event()
    every = attempts(2)
    lanes = on_threads(every, spinning(begun, caught, lambda: go.is_set() or begun[-1] == "0:q"), 1)
    lanes.start()
    until(lambda: "1:q" in begun)
    lanes.interrupt(every[0])
    time.sleep(0.02)
    go.set()
    assert lanes.idle.wait(5)
    assert caught == []


def test_a_job_with_a_way_of_its_own_to_stop_is_asked_by_it():
    asked = threading.Event()
    (only,) = attempts(1)

    def run(a: Attempt) -> Decision:
        a.interrupt = asked.set
        asked.wait(5)
        return SUCCEEDED

    lanes = on_threads([only], run, 1)
    lanes.start()
    until(lambda: only.interrupt)
    lanes.interrupt(only)
    assert lanes.idle.wait(5)
    assert len(lanes.take_finished()) == 1


def test_an_interrupt_that_comes_late_ends_its_lane_quietly():
    """The job has ended, and what was raised meets the lane itself."""

    def run(a: Attempt) -> Decision:
        raise JobTimeout

    lanes = on_threads(attempts(1), run, 1)
    lanes.start()
    assert lanes.idle.wait(5)
    assert lanes.running == {}


def test_what_runs_is_known_while_it_runs():
    go = threading.Event()

    def run(a: Attempt) -> Decision:
        go.wait(5)
        return SUCCEEDED

    every = attempts(3)
    lanes = on_threads(every, run, 2)
    lanes.start()
    until(lambda: len(lanes.running) == 2)
    assert sorted(a.field for a in lanes.running.values()) == ["0:q", "1:q"]
    go.set()
    assert lanes.idle.wait(5)
    assert lanes.running == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_decision_that_could_not_be_made_does_not_end_the_lane():
    def run(a: Attempt) -> Any:
        if a.field == "0:q":
            raise ZeroDivisionError
        return SUCCEEDED

    lanes = on_threads(attempts(2), run, 1)
    lanes.start()
    assert lanes.idle.wait(5)
    assert "1:q" in names(lanes.take_finished())


class TestCoroutines:
    """Attempts that are `on_loop`: no thread is kept for them."""

    @pytest.fixture
    def lanes_of(self, kept: KeptLoop) -> Callable[..., Lanes]:
        def build(
            every: list[Attempt],
            coroutine: Callable[[Attempt], Awaitable[None]],
            lanes: int,
            run: Callable[[Attempt], Decision] = lambda _: SUCCEEDED,
        ) -> Lanes:
            def begin(a: Attempt, then: Callable[[BaseException | None], None]) -> None:
                kept.begin(a, coroutine(a), then)

            return Lanes(every, run, lanes, begin)

        return build

    def test_so_many_are_at_it_at_once_in_order_and_on_no_thread_of_their_own(self, lanes_of):
        begun: list[str] = []
        most = 0
        now: set[str] = set()

        async def coroutine(a: Attempt) -> None:
            nonlocal most
            begun.append(a.field)
            now.add(a.field)
            most = max(most, len(now))
            await asyncio.sleep(0.001)
            now.remove(a.field)

        every = coroutines(50)
        lanes = lanes_of(every, coroutine, 4)
        lanes.start()
        assert lanes.idle.wait(5)
        assert begun == [a.field for a in every]
        assert most == 4
        assert lanes._threads == {}
        assert lanes.running == {}
        assert lanes.take_finished() == [(a, SUCCEEDED) for a in every]

    def test_one_that_failed_is_decided_on_a_thread_and_its_lane_goes_on(self, lanes_of):
        decided: list[tuple[str, str, str]] = []

        async def coroutine(a: Attempt) -> None:
            if a.field == "1:q":
                raise ValueError("no")

        def decide(a: Attempt) -> Decision:
            decided.append((a.field, repr(a.error), threading.current_thread().name))
            return returned("decided")

        lanes = lanes_of(coroutines(4), coroutine, 1, decide)
        lanes.start()
        assert lanes.idle.wait(5)
        assert decided == [("1:q", "ValueError('no')", "sidelamb-lane-0")]
        taken = lanes.take_finished()
        assert names(taken) == ["0:q", "1:q", "2:q", "3:q"]
        assert [decision.reason for _, decision in taken] == ["", "decided", "", ""]

    def test_coroutines_and_functions_share_the_lanes(self, lanes_of):
        lock, now, most = threading.Lock(), 0, 0

        def one_more(by: int) -> None:
            nonlocal now, most
            with lock:
                now += by
                most = max(most, now)

        async def coroutine(a: Attempt) -> None:
            one_more(1)
            await asyncio.sleep(0.001)
            one_more(-1)

        def run(a: Attempt) -> Decision:
            one_more(1)
            time.sleep(0.001)
            one_more(-1)
            return SUCCEEDED

        every = attempts(90)
        for n, a in enumerate(every):
            a.on_loop = n % 3 == 0
        lanes = lanes_of(every, coroutine, 3, run)
        lanes.start()
        assert lanes.idle.wait(5)
        assert sorted(names(lanes.take_finished())) == sorted(a.field for a in every)
        assert most == 3

    def test_thousands_that_may_not_begin_have_their_decision(self):
        back = returned("too late")
        lanes = Lanes(coroutines(5_000), lambda _: SUCCEEDED, 2, lambda _a, _then: back)
        lanes.start()
        assert lanes.idle.wait(5)
        assert [decision for _, decision in lanes.take_finished()] == [back] * 5_000

    def test_one_that_is_interrupted_is_cancelled_and_its_neighbour_is_not(self, lanes_of):
        begun: list[str] = []

        async def coroutine(a: Attempt) -> None:
            begun.append(a.field)
            await asyncio.sleep(60 if a.field == "1:q" else 0.1)

        every = coroutines(2)
        lanes = lanes_of(every, coroutine, 2, lambda a: returned(type(a.error).__name__))
        lanes.start()
        until(lambda: len(begun) == 2)
        lanes.interrupt(every[1])
        assert lanes.idle.wait(5)
        assert dict(lanes.take_finished()) == {every[0]: SUCCEEDED, every[1]: returned("CancelledError")}

    def test_an_interrupt_of_the_thread_that_comes_when_the_loop_has_the_lane_leaves_it_to_the_loop(self):
        first, second = attempts(2)
        second.on_loop = True
        thens: list[Callable[[BaseException | None], None]] = []

        def begin(_a: Attempt, then: Callable[[BaseException | None], None]) -> None:
            thens.append(then)
            raise JobTimeout  # it was meant for the first, and comes a moment late

        lanes = Lanes([first, second], lambda _: SUCCEEDED, 1, begin)
        lanes.start()
        until(lambda: thens and not lanes._threads[0].is_alive())
        assert not lanes.idle.is_set()
        thens[0](None)
        assert lanes.idle.wait(5)
        assert names(lanes.take_finished()) == ["0:q", "1:q"]


def coroutines(count: int) -> list[Attempt]:
    every = attempts(count)
    for a in every:
        a.on_loop = True
    return every
