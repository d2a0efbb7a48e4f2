"""A function: its spec, its sandboxes, and who gets the next event.

An event goes to the idle sandbox that worked last (the others may rest), else to a new one, up to the
function's concurrency; beyond that a caller is throttled, and an asynchronous event waits. A sandbox that
dies is forgotten; the next event starts another. `recycle` replaces the code: idle sandboxes end at once,
busy ones when they have answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidelamb_local.environment import function_arn
from sidelamb_local.errors import SandboxGone, ServiceStopped, Throttled
from sidelamb_local.sandbox import Cause, Sandbox

if TYPE_CHECKING:
    from sidelamb_local.invocation import Answer, Invocation
    from sidelamb_local.sandbox import Platform
    from sidelamb_local.template import FunctionSpec

MB_PER_GB = 1024


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """Counters since the start of the service, and the two gauges `sandboxes` and `busy`."""

    sandboxes: int
    busy: int
    invocations: int
    errors: int
    throttles: int
    billed_ms: int
    gb_s: float
    cold_starts: int


class Function:
    """One function and its sandboxes."""

    def __init__(self, spec: FunctionSpec, platform: Platform, default_concurrency: int) -> None:
        """`default_concurrency` is the limit of a function that reserves none."""
        self.spec = spec
        self.arn = function_arn(spec.name)
        self._platform = platform
        self._default_concurrency = default_concurrency
        self._idle: list[Sandbox] = []
        self._busy: set[Sandbox] = set()
        self._stale: set[Sandbox] = set()  # busy, with code of before
        self._ending: set[Sandbox] = set()  # killed, not yet gone
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._stopped = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._invocations = self._errors = self._throttles = self._cold_starts = self._billed_ms = 0
        self._gb_s = 0.0

    @property
    def limit(self) -> int:
        """How many invocations may run at once."""
        return self._default_concurrency if self.spec.concurrency is None else self.spec.concurrency

    async def invoke(self, invocation: Invocation, *, wait: bool = False) -> Answer:
        """Run one invocation.

        Args:
            invocation: What to run.
            wait: Wait for a free sandbox instead of being throttled, as asynchronous events do.

        Raises:
            Throttled: No sandbox is free, and `wait` is false.
            ServiceStopped: The service stopped before the invocation ended.
            OSError: No process can be started here.
        """
        while True:
            if wait:
                await self._room()
            sandbox = self._take()
            try:
                await sandbox.start()
                answer = await sandbox.run(invocation)
            except SandboxGone:
                continue  # it ended while idle, or was replaced: the event was not seen by anyone
            finally:
                self._give_back(sandbox)
            self._count(answer)
            return answer

    def recycle(self, spec: FunctionSpec | None = None) -> None:
        """From the next event on, run the code (and the spec) as it is now."""
        self.spec = spec or self.spec
        self._stale |= self._busy
        while self._idle:
            self._end(self._idle.pop(), Cause.RETIRED)
        self._offer()

    def refuse(self) -> None:
        """From now on start nothing; what runs goes on."""
        self._stopped = True
        for waiter in self._waiting:
            waiter.cancel()

    async def quiet(self) -> None:
        """Wait until nothing runs."""
        await self._quiet.wait()

    async def stop(self) -> None:
        """Kill all sandboxes, busy ones too, and wait until they are gone."""
        self.refuse()
        for sandbox in [*self._idle, *self._busy]:
            self._end(sandbox, Cause.SHUTDOWN)
        self._idle.clear()
        await asyncio.gather(*(sandbox.ended() for sandbox in self._ending))

    def log(self, line: str) -> None:
        """A line of the service's own in the function's log."""
        self._platform.log(self.spec.name, line)

    def stats(self) -> FunctionStats:
        """Counters and gauges of now."""
        return FunctionStats(
            sandboxes=len(self._idle) + len(self._busy),
            busy=len(self._busy),
            invocations=self._invocations,
            errors=self._errors,
            throttles=self._throttles,
            billed_ms=self._billed_ms,
            gb_s=self._gb_s,
            cold_starts=self._cold_starts,
        )

    def _take(self) -> Sandbox:
        if self._stopped:
            raise ServiceStopped
        if self._idle:
            sandbox = self._idle.pop()
        elif len(self._busy) < self.limit:
            sandbox = Sandbox(self.spec, self._platform, self._forget)
        else:
            self._throttles += 1
            raise Throttled(reserved=self.spec.concurrency is not None)
        self._busy.add(sandbox)
        self._quiet.clear()
        return sandbox

    def _give_back(self, sandbox: Sandbox) -> None:
        self._busy.discard(sandbox)
        if sandbox.alive and sandbox not in self._stale:
            self._idle.append(sandbox)
        else:
            self._stale.discard(sandbox)
            self._end(sandbox, Cause.RETIRED)
        self._offer()
        if not self._busy:
            self._quiet.set()

    def _end(self, sandbox: Sandbox, cause: Cause) -> None:
        if not sandbox.over:
            self._ending.add(sandbox)
            sandbox.end(cause)

    def _forget(self, sandbox: Sandbox) -> None:
        self._ending.discard(sandbox)
        if sandbox in self._idle:
            self._idle.remove(sandbox)

    async def _room(self) -> None:
        while not self._stopped and not self._idle and len(self._busy) >= self.limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    def _offer(self) -> None:
        free = self.limit - len(self._busy)
        while free > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                free -= 1

    def _count(self, answer: Answer) -> None:
        self._invocations += 1
        self._errors += answer.error_type is not None
        self._cold_starts += answer.cold
        self._billed_ms += answer.billed_ms
        self._gb_s += answer.billed_ms / 1000 * self.spec.memory_mb / MB_PER_GB
