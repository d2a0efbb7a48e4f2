"""The one event loop of a sandbox."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb_handlers.attempt import Attempt
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from sidelamb_handlers.eventloop import KeptLoop


def attempt() -> Attempt:
    return Attempt("0:q", "q", {}, "r", "c:1")


def in_thread(
    kept: KeptLoop, a: Attempt, coroutine: Coroutine[Any, Any, Any]
) -> tuple[threading.Thread, list[Any]]:
    out: list[Any] = []

    def work() -> None:
        try:
            out.append(kept.run(a, coroutine))
        except BaseException as error:
            out.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, out


@pytest.fixture
def let_go(kept: KeptLoop) -> Iterator[threading.Event]:
    """Ends a job that blocks the loop meanwhile."""
    go, begun = threading.Event(), threading.Event()

    async def blocks() -> None:
        begun.set()
        go.wait(5)

    thread, _ = in_thread(kept, attempt(), blocks())
    assert begun.wait(5)
    yield go
    go.set()
    thread.join(5)


async def which() -> int:
    return id(asyncio.get_running_loop())


def test_a_coroutine_gives_its_result_or_its_error(kept: KeptLoop):
    async def good() -> int:
        return 7

    async def bad() -> None:
        raise ValueError("no")

    assert kept.run(attempt(), good()) == 7
    with pytest.raises(ValueError, match="no"):
        kept.run(attempt(), bad())


def test_the_loop_is_made_with_the_first_coroutine_and_kept(kept: KeptLoop):
    assert kept._loop is None
    assert len({kept.run(attempt(), which()) for _ in range(5)}) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_two_lanes_that_come_first_at_once_share_one_loop(kept: KeptLoop, monkeypatch: pytest.MonkeyPatch):
    met = threading.Barrier(2)
    made: list[asyncio.AbstractEventLoop] = []
    new_event_loop = asyncio.new_event_loop

    def slowly() -> asyncio.AbstractEventLoop:
        try:
            met.wait(0.3)  # as long as it takes to make one, another lane may want one
        except threading.BrokenBarrierError:
            pass
        made.append(new_event_loop())
        return made[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", slowly)
    pairs = [in_thread(kept, attempt(), which()) for _ in range(2)]
    for thread, _ in pairs:
        thread.join(1)
    for loop in made:  # whatever was made must end
        if loop is not kept._loop:
            if loop.is_running():
                loop.call_soon_threadsafe(loop.stop)
                until(lambda loop=loop: not loop.is_running())
            loop.close()
    assert len(made) == 1
    assert pairs[0][1] == pairs[1][1] != []


def test_a_coroutine_can_be_asked_to_stop(kept: KeptLoop):
    begun, ended = threading.Event(), threading.Event()

    async def job() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    a = attempt()
    thread, out = in_thread(kept, a, job())
    assert begun.wait(5)
    assert a.interrupt is not None
    a.interrupt()
    thread.join(5)
    assert isinstance(out[0], asyncio.CancelledError)
    assert ended.wait(5)


def test_a_coroutine_that_was_stopped_has_ended_when_its_lane_goes_on(kept: KeptLoop):
    begun, ended = threading.Event(), threading.Event()

    async def job() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)  # gives a connection back, writes a last line
            ended.set()

    a = attempt()
    thread, _ = in_thread(kept, a, job())
    assert begun.wait(5)
    assert a.interrupt is not None
    a.interrupt()
    thread.join(5)
    ended_first = ended.is_set()
    assert ended.wait(5)
    assert ended_first


class TestABusyLoop:
    """Jobs that come while another blocks the loop."""

    def test_all_that_came_meanwhile_run_when_it_is_free(self, kept: KeptLoop, let_go: threading.Event):
        attempts = [attempt() for _ in range(20)]
        pairs = [in_thread(kept, a, which()) for a in attempts]
        until(lambda: all(a.interrupt for a in attempts))
        let_go.set()
        for thread, _ in pairs:
            thread.join(5)
        assert [out for _, out in pairs] == [[id(kept._loop)]] * 20

    def test_one_that_is_stopped_before_it_has_begun_does_not_run(self, kept: KeptLoop, let_go: threading.Event):
        ran: list[bool] = []

        async def job() -> None:
            ran.append(True)

        a = attempt()
        thread, out = in_thread(kept, a, job())
        until(lambda: a.interrupt is not None)
        assert a.interrupt is not None
        a.interrupt()
        let_go.set()
        thread.join(5)
        assert isinstance(out[0], CancelledError)
        assert ran == []


class TestSweep:
    def test_without_a_loop_all_is_clean(self, kept: KeptLoop):
        assert kept.sweep(0.2) is True
        assert kept._loop is None

    def test_an_empty_loop_is_clean(self, kept: KeptLoop):
        kept.run(attempt(), which())
        assert kept.sweep(0.2) is True

    def test_tasks_that_were_left_behind_are_cancelled(self, kept: KeptLoop):
        cancelled = threading.Event()

        async def straggler() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        tasks = set()

        async def job() -> None:
            tasks.add(asyncio.create_task(straggler()))
            await asyncio.sleep(0)

        kept.run(attempt(), job())
        assert kept.sweep(0.2) is True
        assert cancelled.is_set()
        assert kept.sweep(0.2) is True

    def test_one_that_will_not_end_is_told(self, kept: KeptLoop):
        go = threading.Event()

        async def stubborn() -> None:
            while not go.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    continue

        tasks = set()

        async def job() -> None:
            tasks.add(asyncio.create_task(stubborn()))
            await asyncio.sleep(0)

        kept.run(attempt(), job())
        assert kept.sweep(0.2) is False
        go.set()
        until(lambda: all(task.done() for task in tasks))

    @pytest.mark.usefixtures("let_go")
    def test_a_loop_that_is_blocked_is_told_in_time(self, kept: KeptLoop):
        began = time.monotonic()
        assert kept.sweep(0.2) is False
        assert time.monotonic() - began < 1

    def test_the_loop_works_on_after_a_sweep(self, kept: KeptLoop):
        first = kept.run(attempt(), which())
        kept.sweep(0.2)
        assert kept.run(attempt(), which()) == first
