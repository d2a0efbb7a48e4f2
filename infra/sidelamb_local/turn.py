"""A turn: the invocation that a sandbox has now, and the lines and the answer with which it ends.

Holds no process and no timer. Its START, END and REPORT lines are AWS's, with what CloudWatch shows beside
them: the status of a turn that failed, and the platform's own error text. As on AWS since August 2025, the
init of a cold start is billed.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidelamb_local.invocation import FAULTS, Answer, FaultType, parse_error

if TYPE_CHECKING:
    import asyncio

    from sidelamb_local.invocation import Invocation
    from sidelamb_local.logs import LogStream

MB = 1024 * 1024


@dataclass(slots=True)
class Turn:
    """One invocation in one sandbox.

    Attributes:
        invocation: What is run.
        answer: What `Sandbox.run` waits for.
        cold: The sandbox was started for it.
        asked: When the sandbox got it (`perf_counter`).
        started: When the process took it; None until then.
    """

    invocation: Invocation
    answer: asyncio.Future[Answer]
    cold: bool
    asked: float
    started: float | None = None

    @property
    def request_id(self) -> str:
        """Of its invocation."""
        return self.invocation.request_id

    def start(self, logs: LogStream) -> None:
        """The process takes it now."""
        self.started = time.perf_counter()
        logs.platform(f"START RequestId: {self.request_id} Version: $LATEST")

    def end(
        self,
        payload: bytes,
        error_type: str | None,
        logs: LogStream,
        *,
        init_s: float,
        memory_mb: int,
        peak_bytes: int,
    ) -> None:
        """Write the last lines, and give the answer.

        Args:
            payload: The body of the answer.
            error_type: None after success.
            logs: Where the lines go; its tail goes into the answer.
            init_s: How long the sandbox took to start.
            memory_mb: What it may use.
            peak_bytes: What it used.
        """
        logs.drain()
        if self.started is None:  # it died in its init, and that was the whole turn
            logs.platform(f"START RequestId: {self.request_id} Version: $LATEST")
            init_s, began = 0.0, self.asked
        else:
            init_s, began = (init_s if self.cold else 0.0), self.started
        if error_type in FAULTS:
            logs.platform(parse_error(payload)["errorMessage"])
        duration_s = time.perf_counter() - began
        billed_ms = math.ceil((duration_s + init_s) * 1000)
        logs.platform(f"END RequestId: {self.request_id}")
        logs.platform(
            f"REPORT RequestId: {self.request_id}\tDuration: {duration_s * 1000:.2f} ms"
            f"\tBilled Duration: {billed_ms} ms\tMemory Size: {memory_mb} MB"
            f"\tMax Memory Used: {math.ceil(peak_bytes / MB)} MB{_extras(init_s, error_type)}"
        )
        if not self.answer.done():
            self.answer.set_result(Answer(payload, error_type, logs.take_tail(), billed_ms, self.cold))

    def refuse(self, error: Exception) -> None:
        """There is no answer."""
        if not self.answer.done():
            self.answer.set_exception(error)


def _extras(init_s: float, error_type: str | None) -> str:
    init = f"\tInit Duration: {init_s * 1000:.2f} ms" if init_s else ""
    if error_type is None:
        return init
    status = "timeout" if error_type == FaultType.TIMEOUT else f"error\tError Type: {error_type}"
    return f"{init}\tStatus: {status}"
