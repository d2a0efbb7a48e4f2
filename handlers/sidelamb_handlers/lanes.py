"""The threads on which the jobs of one invocation run.

A lane takes the next job, runs it, notes the decision, and so on until nothing is left. There is no lock,
future or signal per job: the one who started the lanes looks at `finished` from time to time, and is told only
when all lanes are idle.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from sidelamb.control import JobTimeout
from sidelamb_handlers.strays import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidelamb_handlers.attempt import Attempt
    from sidelamb_handlers.decision import Decision

__all__ = ["Lanes"]

log = logging.getLogger("sidelamb.worker")


class Lanes:
    """Runs attempts on `threads` threads.

    Args:
        attempts: in the order to start them.
        run: takes one attempt to its decision; if it raises, the job stays in its lease until the deadline.
        threads: how many run at once.
    """

    def __init__(self, attempts: Iterable[Attempt], run: Callable[[Attempt], Decision], threads: int) -> None:
        self._waiting = deque(attempts)
        self._run = run
        self._threads = [
            OwnThread(target=self._lane, args=(n,), name=f"sidelamb-lane-{n}")
            for n in range(min(threads, len(self._waiting)))
        ]
        self._busy = len(self._threads)
        self._lock = threading.Lock()
        self.running: dict[int, Attempt] = {}
        self.idle = threading.Event()
        """Set when no lane is running any more."""
        self._finished: deque[tuple[Attempt, Decision]] = deque()

    def start(self) -> None:
        """Start all lanes."""
        if not self._threads:
            self.idle.set()
        for thread in self._threads:
            thread.start()

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
            if running is attempt:
                _raise_in(self._threads[lane].ident, JobTimeout)

    def _lane(self, lane: int) -> None:
        waiting, finished, running, run = self._waiting, self._finished, self.running, self._run
        try:
            while True:
                try:
                    attempt = waiting.popleft()
                except IndexError:
                    return
                running[lane] = attempt
                try:
                    finished.append((attempt, run(attempt)))
                except JobTimeout:
                    raise
                except BaseException:
                    log.exception("no decision about %s of lease %s", attempt.field, attempt.lease)
                del running[lane]
        except JobTimeout:
            pass  # it came when its job had just ended; the sandbox is recycled after this anyway
        finally:
            running.pop(lane, None)
            self._left()

    def _left(self) -> None:
        with self._lock:
            self._busy -= 1
            if self._busy == 0:
                self.idle.set()


def _raise_in(thread_id: int | None, error: type[BaseException]) -> None:
    if thread_id is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(error))
