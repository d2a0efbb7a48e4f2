"""A sandbox: one process that runs one function, one invocation at a time.

It starts the process, hands it events through its Runtime API, and turns everything that can become of them
(a response, an error, a timeout, too much memory, an exit, a crash) into an `Answer` in AWS's words. Between
invocations the process group is frozen. `run` answers a killed invocation only after its process is gone: who
gets the answer may start the job again.

It knows nothing of other sandboxes; who gets which event is decided by `function`. It does not retry.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from sidelamb_local import invocation as words
from sidelamb_local import launch
from sidelamb_local.environment import sandbox_environment
from sidelamb_local.errors import SandboxGone, ServiceStopped
from sidelamb_local.invocation import MAX_RESPONSE_BYTES, Answer, FaultType, Invocation, parse_error
from sidelamb_local.logs import LogStream
from sidelamb_local.memory import MemoryWatch, PeakMeter, shared_once_bytes
from sidelamb_local.process import Process
from sidelamb_local.runtime_api import RuntimeApi
from sidelamb_local.turn import MB, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidelamb_local.guard import Guard
    from sidelamb_local.template import FunctionSpec

# Long enough not to pay for a stop and a continue between two invocations of a busy function.
FREEZE_AFTER_S = 0.05
# AWS gives an init ten seconds, and then the function's timeout for a second try; here the first try gets both.
INIT_LIMIT_S = 10.0
# For the interpreter's own exit after it reported that it cannot import.
INIT_EXIT_S = 1.0


class Cause(Enum):
    """Why a process ended."""

    ITSELF = auto()
    TIMEOUT = auto()
    MEMORY = auto()
    RETIRED = auto()
    SHUTDOWN = auto()


@dataclass(frozen=True, slots=True)
class Platform:
    """What all sandboxes of a service share."""

    guard: Guard
    memory: MemoryWatch
    extra_env: Mapping[str, str]
    log: Callable[[str, str], None]


class Sandbox:
    """One process for one function."""

    def __init__(self, spec: FunctionSpec, platform: Platform, on_gone: Callable[[Sandbox], None]) -> None:
        """`on_gone` is called when the process has ended."""
        self.spec = spec
        self._platform = platform
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._logs = LogStream(lambda line: platform.log(spec.name, line))
        self._api = RuntimeApi(self)
        self._process: Process | None = None
        self._peak: PeakMeter | None = None
        self._peak_bytes = 0
        self._turn: Turn | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._spawned = 0.0
        self._init_s: float | None = None
        self._init_error: dict[str, Any] | None = None
        self._cause = Cause.ITSELF
        self._over = self._loop.create_future()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, once there is one."""
        return self._process.pid if self._process else None

    @property
    def over(self) -> bool:
        """The process is gone, or never came to be."""
        return self._over.done()

    @property
    def alive(self) -> bool:
        """Starting or running, and nobody asked for its end."""
        ended = self._over.done() or (self._process is not None and self._process.ended)
        return self._cause is Cause.ITSELF and not ended

    async def start(self) -> None:
        """Start the process, if there is none yet; it imports the handler meanwhile.

        Raises:
            OSError: It cannot be started here.
        """
        if self._process is not None:
            return
        self._spawned = time.perf_counter()
        try:
            environment = sandbox_environment(self.spec, await self._api.open(), self._platform.extra_env)
            self._process = await Process.spawn(
                launch.runtime(self.spec.handler),
                cwd=self.spec.code_dir,
                env=environment,
                output_fd=self._logs.write_fd,
                guard=self._platform.guard,
            )
        except BaseException:
            self._logs.close()
            self._api.close()
            self._over.set_result(None)
            raise
        self._logs.started()
        self._peak = PeakMeter(self._process.pid)
        self._platform.memory.add(self._process.pid, self._used)
        self._set_clock(INIT_LIMIT_S + self.spec.timeout_s, Cause.TIMEOUT)
        self._watcher = asyncio.create_task(self._watch(self._process))
        if not self.alive:
            self._process.kill()  # its end was asked for while it started

    async def run(self, invocation: Invocation) -> Answer:
        """Run one invocation to its end.

        Raises:
            SandboxGone: The process ended before it took the event.
            ServiceStopped: `end(Cause.SHUTDOWN)` was called meanwhile.
        """
        if self._process is None or not self.alive:
            raise SandboxGone
        cold = self._init_s is None
        asked = self._spawned if cold else time.perf_counter()
        turn = self._turn = Turn(invocation, self._loop.create_future(), cold, asked)
        if not cold:
            self._set_clock(self.spec.timeout_s, Cause.TIMEOUT)  # replaces the one that would freeze it
        self._process.thaw()
        if self._api.waiting:
            self._begin(turn)
        try:
            return await turn.answer
        except asyncio.CancelledError:
            self.end(Cause.RETIRED)  # nobody would know when it is free again
            raise

    def end(self, cause: Cause) -> None:
        """Kill the process group; `on_gone` follows. The first cause counts."""
        if self._cause is Cause.ITSELF:
            self._cause = cause
        if self._process is not None:
            self._process.kill()

    async def ended(self) -> None:
        """Wait until the process is gone."""
        await self._over

    # What the process says, through its Runtime API

    def ready(self) -> None:
        """See `runtime_api.Runtime`."""
        if self._init_s is None:
            self._init_s = time.perf_counter() - self._spawned
            self._clear_clock()
        if self._turn is None:
            self._rest()
        elif self._turn.started is None:
            self._begin(self._turn)

    def respond(self, request_id: str, body: bytes) -> HTTPStatus:
        """See `runtime_api.Runtime`."""
        if len(body) > MAX_RESPONSE_BYTES:
            status = self._finish(request_id, words.too_large(), FaultType.TOO_LARGE)
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if status is HTTPStatus.ACCEPTED else status
        return self._finish(request_id, body, None)

    def fail(self, request_id: str, body: bytes, error_type: str) -> HTTPStatus:
        """See `runtime_api.Runtime`."""
        return self._finish(request_id, body, str(parse_error(body).get("errorType") or error_type or "Unhandled"))

    def fail_init(self, body: bytes, error_type: str) -> HTTPStatus:
        """See `runtime_api.Runtime`."""
        self._init_error = {"errorType": error_type} | parse_error(body)
        self._set_clock(INIT_EXIT_S, Cause.ITSELF)
        return HTTPStatus.ACCEPTED

    # The turn of an invocation

    def _begin(self, turn: Turn) -> None:
        self._set_clock(self.spec.timeout_s, Cause.TIMEOUT)
        if self.pid is not None:
            self._platform.memory.add(self.pid, self._used)
        turn.start(self._logs)
        self._api.deliver(turn.invocation, int((time.time() + self.spec.timeout_s) * 1000))

    def _finish(self, request_id: str, payload: bytes, error_type: str | None) -> HTTPStatus:
        turn = self._turn
        if turn is None or turn.started is None or turn.request_id != request_id:
            return HTTPStatus.BAD_REQUEST
        if self._cause is not Cause.ITSELF:
            return HTTPStatus.FORBIDDEN  # it was killed before it could say so; the end of the process answers
        peak = self._peak.read() if self._peak else 0
        self._peak_bytes = max(self._peak_bytes, peak)
        if peak > self.spec.memory_mb * MB:
            self.end(Cause.MEMORY)  # AWS would not have let it come this far
            return HTTPStatus.FORBIDDEN
        self._clear_clock()
        if self.pid is not None:
            self._platform.memory.discard(self.pid)
        self._end_turn(turn, payload, error_type)
        return HTTPStatus.ACCEPTED

    def _end_turn(self, turn: Turn, payload: bytes, error_type: str | None) -> None:
        self._turn = None
        turn.end(
            payload,
            error_type,
            self._logs,
            init_s=self._init_s or 0.0,
            memory_mb=self.spec.memory_mb,
            peak_bytes=self._peak_bytes,
        )

    # The life of the process

    def _rest(self) -> None:
        if self.pid is not None:
            self._platform.memory.discard(self.pid)
        if self._process is not None:
            self._clock = self._loop.call_later(FREEZE_AFTER_S, self._process.freeze)

    def _used(self, used: int) -> None:
        limit = self.spec.memory_mb * MB
        if used > limit and self.pid is not None:
            used = shared_once_bytes(self.pid)
        self._peak_bytes = max(self._peak_bytes, used)
        if used > limit:
            self.end(Cause.MEMORY)

    async def _watch(self, process: Process) -> None:
        returncode = await process.wait()
        self._clear_clock()
        self._platform.memory.discard(process.pid)
        self._logs.drain()
        if self._turn is not None:
            self._end_dead(self._turn, returncode)
        self._logs.close()
        if self._peak is not None:
            self._peak.close()
        self._api.close()
        self._over.set_result(None)
        self._on_gone(self)

    def _end_dead(self, turn: Turn, returncode: int) -> None:
        if self._cause is Cause.SHUTDOWN:
            turn.refuse(ServiceStopped())
        elif turn.started is None and (self._init_s is not None or self._cause is Cause.RETIRED):
            turn.refuse(SandboxGone())
        elif self._cause is Cause.TIMEOUT:
            self._end_turn(turn, words.timed_out(turn.request_id, self.spec.timeout_s), FaultType.TIMEOUT)
        elif self._cause is Cause.MEMORY:
            self._end_turn(turn, words.out_of_memory(turn.request_id), FaultType.MEMORY)
        elif self._init_error is not None:
            error = {**self._init_error, "requestId": turn.request_id}
            self._end_turn(turn, orjson.dumps(error), str(error.get("errorType", "Runtime.Unknown")))
        else:
            self._end_turn(turn, words.exited(turn.request_id, returncode), FaultType.EXIT)

    def _set_clock(self, seconds: float, cause: Cause) -> None:
        self._clear_clock()
        self._clock = self._loop.call_later(seconds, self.end, cause)

    def _clear_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
