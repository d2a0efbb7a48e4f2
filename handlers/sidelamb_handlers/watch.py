"""One invocation's jobs under watch: started, timed, settled as they finish, stopped before the end comes.

Five times a second it takes what has finished and settles it, returns what has waited too long, and stops what
runs too long; iterable jobs it asks in time to stop by themselves. It ends when every job of the lease has a
decision. No job thread is left running: if one will not stop, the watch says so, and the worker ends the process.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING

from sidelamb.control import JobTimeout
from sidelamb.keys import source_of
from sidelamb_handlers.decision import Outcome, returned
from sidelamb_handlers.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidelamb_handlers.attempt import Attempt, Runner
    from sidelamb_handlers.decision import Decision
    from sidelamb_handlers.ending import Ending
    from sidelamb_handlers.eventloop import KeptLoop
    from sidelamb_handlers.settler import Settler

__all__ = ["Watch"]

TICK_S = 0.2
"""Outcomes are settled at most this much after their job has ended, so that a crash repeats little."""

PATIENCE_S = 5.0
"""What has not started after so many seconds goes back, to be run elsewhere."""

NOT_BEGUN = "stopped before it had begun"
"""Why a job goes back for which the loop had no time, because another blocked it."""


class Watch:
    """Runs the attempts of one invocation.

    Args:
        attempts: decoded, in order.
        runner: takes each through its steps.
        loop: runs those that need no thread.
        settler: writes outcomes down.
        threads: how many run at once.
        careful: settle each before the next one starts, one at a time.
        ending: when jobs must stop, and outcomes be written.
        on_end: told of attempts that have their decision.
        clock: epoch s.
    """

    def __init__(
        self,
        attempts: list[Attempt],
        runner: Runner,
        loop: KeptLoop,
        settler: Settler,
        *,
        threads: int,
        careful: bool = False,
        ending: Ending,
        on_end: Callable[[list[tuple[Attempt, Decision]]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._runner = runner
        self._loop = loop
        self._settler = settler
        self._ending = ending
        self._tick_s = min(TICK_S, ending.stop_s / 2)
        self._on_end = on_end
        self._clock = clock
        self._began = clock()
        self._stopping: dict[str, tuple[Attempt, float]] = {}
        self._threads = threads
        self._careful = careful
        self._first = frozenset(attempts[: 1 if careful else threads])
        self._batches = deque([each] for each in attempts) if careful else deque([attempts])
        self._lanes = Lanes((), self._one, 0, self._begin)
        self.started = 0
        """How many jobs were started and have their decision."""
        self.stuck = False
        """A job would not stop; its thread is still running."""
        self.interrupted = False
        """A thread was interrupted from outside; the sandbox must not be used again."""

    def run(self) -> None:
        """Run everything to a decision; flush as it goes. What Redis did not take stays in the settler."""
        while self._batches:
            if self._careful and (self._is_late() or not self._settler.flush(self._ending.settle_by)):
                self._return_waiting()
                return
            self._lanes = Lanes(self._batches.popleft(), self._one, self._threads, self._begin)
            self._run_lanes()

    def _run_lanes(self) -> None:
        self._lanes.start()
        while not self._lanes.idle.wait(self._tick_s) and not self._only_stuck_ones_run():
            self._collect()
            self._settler.flush(self._ending.settle_by)
            if self._settler.trouble is not None or self._is_late():
                self._return_waiting()
            self._stop_overdue()
        self.stuck = not self._lanes.idle.is_set()
        self._collect()
        self._return(self._lanes.drain())
        cut = [(attempt, self._timed_out(attempt)) for attempt, _ in self._stopping.values()]
        # Given back it could run elsewhere before this process has ended: then it stays in the lease, and the
        # poller gives it back when it knows the process gone.
        self._decide([one for one in cut if not self.stuck or one[1].outcome is not Outcome.RETURNED])

    def _one(self, attempt: Attempt) -> Decision:
        """Take an attempt to its decision, on a thread; one with an error has been on the loop."""
        if attempt.error is not None:
            if not attempt.started_at:
                return returned(NOT_BEGUN)
            return self._runner.decide(attempt, attempt.error)
        return self._refusal(attempt) or self._runner.attempt(attempt)

    def _begin(self, attempt: Attempt, then: Callable[[BaseException | None], None]) -> Decision | None:
        """Begin an attempt on the loop; return the decision if it may not begin."""
        refusal = self._refusal(attempt)
        if refusal is None:
            self._loop.begin(attempt, self._runner.arun(attempt), then)
        return refusal

    def _refusal(self, attempt: Attempt) -> Decision | None:
        now = self._clock()
        # The first ones start in any case: an invocation can give no more time than it has.
        if now - self._began <= TICK_S or now + (attempt.timeout_s or 0.0) <= self._ending.stop_at:
            return None
        return None if attempt in self._first else returned("too little time left to start it")

    def _only_stuck_ones_run(self) -> bool:
        """Whether every job that still runs was asked to stop, and has had its time to do so."""
        now, running = self._clock(), list(self._lanes.running.values())
        return bool(running) and all(
            a.field in self._stopping and now > self._stopping[a.field][1] + self._ending.stop_s for a in running
        )

    def _collect(self) -> None:
        ended = self._lanes.take_finished()
        if self._stopping:
            ended = [(a, self._timed_out(a) if self._was_cut(a) else decision) for a, decision in ended]
        self._decide(ended)

    def _was_cut(self, attempt: Attempt) -> bool:
        return attempt.field in self._stopping and attempt.error is not None

    def _decide(self, ended: list[tuple[Attempt, Decision]]) -> None:
        add = self._settler.add
        for attempt, decision in ended:
            self.started += attempt.started_at > 0
            if attempt.is_plain:
                add(attempt.field, decision)
            else:
                add(attempt.field, decision, attempt.payload, attempt.result, attempt.error)
        for attempt, _ in ended if self._stopping else ():
            self._stopping.pop(attempt.field, None)
        self._on_end(ended)

    def _is_late(self) -> bool:
        return self._clock() - self._began > PATIENCE_S

    def _return_waiting(self) -> None:
        self._return([*self._lanes.drain(), *chain(*self._batches)])
        self._batches.clear()

    def _return(self, attempts: Iterable[Attempt]) -> None:
        self._decide([(attempt, returned("behind slow neighbours")) for attempt in attempts])

    def _stop_overdue(self) -> None:
        now = self._clock()
        for attempt in list(self._lanes.running.values()):
            limit = self._ending.stop_at
            if attempt.timeout_s is not None and attempt.started_at:
                limit = min(limit, attempt.started_at + attempt.timeout_s)
            if attempt.iteration is not None:
                attempt.iteration.stop_before(limit, now)
            if now >= limit and attempt.field not in self._stopping:
                self._stopping[attempt.field] = (attempt, now)
                self.interrupted = self.interrupted or attempt.interrupt is None
                self._return_waiting()
                self._lanes.interrupt(attempt)

    def _timed_out(self, attempt: Attempt) -> Decision:
        """Return the decision for a job that was cut short."""
        if not attempt.started_at:
            return returned(NOT_BEGUN)
        ran = self._clock() - attempt.started_at
        late_start = attempt.started_at - self._began > TICK_S
        if attempt.timeout_s is None and late_start and not source_of(attempt.field)[1]:
            return returned("cut short because it started late", alone=True)
        what = f"timeout of {attempt.timeout_s:g} s" if attempt.timeout_s else "the end of its invocation"
        attempt.error = JobTimeout(f"stopped after {ran:.1f} s: {what}")
        return self._runner.decide(attempt, attempt.error)
