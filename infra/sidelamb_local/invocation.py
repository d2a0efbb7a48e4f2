"""An invocation, and the answer to it.

Says in one place how AWS words the end of a sandbox. Pure: no process, no clock, no HTTP.
"""

from __future__ import annotations

import secrets
import signal
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

# What a function may return: 6 MB and a little for the envelope, as the error text of AWS has it.
MAX_RESPONSE_BYTES = 6_291_556


class FaultType(StrEnum):
    """The `errorType` of what the platform, not the handler, reports."""

    TIMEOUT = "Sandbox.Timedout"
    EXIT = "Runtime.ExitError"
    MEMORY = "Runtime.OutOfMemory"
    TOO_LARGE = "Function.ResponseSizeTooLarge"


FAULTS = frozenset(FaultType)


@dataclass(frozen=True, slots=True)
class Invocation:
    """One request to run a function.

    Attributes:
        request_id: Unique; the handler sees it as `context.aws_request_id`.
        payload: The event, JSON as it came.
        arn: The function's ARN as the caller addressed it.
        trace_id: For `_X_AMZN_TRACE_ID`.
        client_context: JSON on one line, or None.
    """

    request_id: str
    payload: bytes
    arn: str
    trace_id: str
    client_context: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an invocation.

    Attributes:
        payload: What the caller gets as the body.
        error_type: None after success; else the `errorType`, and the caller sees FunctionError "Unhandled".
        log_tail: The last 4 KB of the log.
        billed_ms: Whole milliseconds, the init of a cold start included.
        cold: The sandbox was started for this invocation.
    """

    payload: bytes
    error_type: str | None
    log_tail: bytes
    billed_ms: int
    cold: bool


def new_request_id() -> str:
    """As AWS makes them: a random UUID."""
    return str(uuid.uuid4())


def new_trace_id() -> str:
    """An X-Ray header that asks for no sampling."""
    token = secrets.token_hex(24)
    return f"Root=1-{token[:8]}-{token[8:32]};Parent={token[32:]};Sampled=0"


def fault(kind: FaultType, text: str) -> bytes:
    """The body of a platform error."""
    return orjson.dumps({"errorType": kind, "errorMessage": text})


def timed_out(request_id: str, timeout_s: float) -> bytes:
    """The body after the function's timeout."""
    return fault(FaultType.TIMEOUT, f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds")


def exited(request_id: str, returncode: int) -> bytes:
    """The body after the process ended by itself. `returncode` is that of `subprocess`: negative for a signal."""
    return fault(FaultType.EXIT, f"RequestId: {request_id} Error: {exit_reason(returncode)}")


def out_of_memory(request_id: str) -> bytes:
    """The body after the sandbox used more than its memory."""
    return fault(FaultType.MEMORY, f"RequestId: {request_id} Error: Runtime exited with error: signal: killed")


def too_large() -> bytes:
    """The body in place of a response that AWS would not carry."""
    text = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
    return fault(FaultType.TOO_LARGE, text)


def parse_error(body: bytes) -> dict[str, Any]:
    """An error body as an object, whatever the process sent."""
    try:
        error = orjson.loads(body)
    except orjson.JSONDecodeError:
        error = body.decode(errors="replace")
    return error if isinstance(error, dict) else {"errorMessage": str(error)}


def exit_reason(returncode: int) -> str:
    """How AWS words an exit status."""
    if returncode == 0:
        return "Runtime exited without providing a reason"
    if returncode > 0:
        return f"Runtime exited with error: exit status {returncode}"
    name = (signal.strsignal(-returncode) or f"signal {-returncode}").split(":")[0]
    return f"Runtime exited with error: signal: {name.lower()}"
