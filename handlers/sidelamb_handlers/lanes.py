"""The lanes on which the jobs of one invocation run, so many of them at once.

A lane takes the next job, runs it, notes the decision, and so on until nothing is left: on a thread, or on the
event loop while its jobs are coroutines that need no thread. There is no lock, future or signal per job: the one
who started the lanes looks at what has finished from time to time, and is told only when all lanes are idle.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from sidelamb.control import JobTimeout
from sidelamb_handlers.decision import SUCCEEDED
from sidelamb_handlers.strays import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidelamb_handlers.attempt import Attempt
    from sidelamb_handlers.decision import Decision

    Then = Callable[[BaseException | None], None]

__all__ = ["Lanes"]

log = logging.getLogger("sidelamb.worker")


class Lanes:
    """Runs attempts on so many lanes.

    Args:
        attempts: in the order to start them.
        run: takes one attempt to its decision; if it raises, the job stays in its lease until the deadline.
        lanes: how many run at once.
        begin: begins an attempt that is `on_loop` and calls what it is given when that has ended, or returns the
            decision not to begin it.
    """

    def __init__(
        self,
        attempts: Iterable[Attempt],
        run: Callable[[Attempt], Decision],
        lanes: int,
        begin: Callable[[Attempt, Then], Decision | None],
    ) -> None:
        self._waiting = deque(attempts)
        self._run = run
        self._begin = begin
        self._busy = set(range(min(lanes, len(self._waiting))))
        self._threads: dict[int, OwnThread] = {}
        self._lock = threading.Lock()
        self.running: dict[int, Attempt] = {}
        self.idle = threading.Event()
        """Set when no lane is running any more."""
        self._finished: deque[tuple[Attempt, Decision]] = deque()

    def start(self) -> None:
        """Start all lanes."""
        if not self._busy:
            self.idle.set()
        for lane in sorted(self._busy):
            self._go_on(lane)

    def take_finished(self) -> list[tuple[Attempt, Decision]]:
        """Return what has finished since the last call."""
        finished = self._finished
        return [finished.popleft() for _ in range(len(finished))]

    def drain(self) -> list[Attempt]:
        """Return the attempts that no lane has started, and start none of them."""
        drained = []
        while True:
            try:
                drained.append(self._waiting.popleft())
            except IndexError:
                return drained

    def interrupt(self, attempt: Attempt) -> None:
        """Ask a running attempt to stop: cancels its coroutine, or raises JobTimeout in its thread."""
        if attempt.interrupt is not None:
            attempt.interrupt()
            return
        for lane, running in list(self.running.items()):
            if running is attempt and lane in self._threads:
                _raise_in(self._threads[lane].ident, JobTimeout)

    def _go_on(self, lane: int) -> None:
        """Have a lane take its next job; does not block."""
        attempt = self._next(lane)
        if attempt is not None:
            self._on_thread(lane, attempt)

    def _next(self, lane: int) -> Attempt | None:
        """Return a lane's next job for its thread; None if nothing is left, or the loop has it."""
        while True:
            try:
                attempt = self._waiting.popleft()
            except IndexError:
                self._left(lane)
                return None
            self.running[lane] = attempt
            if not attempt.on_loop:
                return attempt
            decision = self._begin(attempt, partial(self._ended_on_loop, lane, attempt))
            if decision is None:
                return None
            self._finish(lane, attempt, decision)

    def _ended_on_loop(self, lane: int, attempt: Attempt, error: BaseException | None) -> None:
        attempt.interrupt = None
        if error is not None:
            attempt.error = error
        if attempt.error is None:
            self._finish(lane, attempt, SUCCEEDED)
            self._go_on(lane)
        else:  # what becomes of it is asked of the app's own hooks, which may block
            attempt.on_loop = False
            self._on_thread(lane, attempt)

    def _finish(self, lane: int, attempt: Attempt, decision: Decision) -> None:
        self._finished.append((attempt, decision))
        del self.running[lane]

    def _on_thread(self, lane: int, attempt: Attempt) -> None:
        thread = self._threads[lane] = OwnThread(
            target=self._lane, args=(lane, attempt), name=f"sidelamb-lane-{lane}"
        )
        thread.start()

    def _lane(self, lane: int, first: Attempt) -> None:
        finished, running, run = self._finished, self.running, self._run
        attempt: Attempt | None = first
        try:
            while attempt is not None:
                try:
                    finished.append((attempt, run(attempt)))
                except JobTimeout:
                    raise
                except BaseException:
                    log.exception("no decision about %s of lease %s", attempt.field, attempt.lease)
                del running[lane]
                attempt = self._next(lane)
        except BaseException as error:
            if self._is_mine(lane):
                running.pop(lane, None)
                self._left(lane)
            if not isinstance(error, JobTimeout):
                raise  # a timeout came when its job had just ended; the sandbox is recycled after it anyway

    def _is_mine(self, lane: int) -> bool:
        """Whether this thread has a lane still, and not the loop, or another thread after it."""
        on_loop = lane in self.running and self.running[lane].on_loop
        return self._threads[lane] is threading.current_thread() and not on_loop

    def _left(self, lane: int) -> None:
        with self._lock:
            self._busy.discard(lane)
            if not self._busy:
                self.idle.set()


def _raise_in(thread_id: int | None, error: type[BaseException]) -> None:
    if thread_id is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(error))
