"""What Lambda's answer to an Invoke proves.

Only three answers prove that a sandbox is gone. Some prove that nothing ran. All others leave it open, and the
lease in Redis knows.

Pure: takes status, headers and body, returns a reply.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import orjson

from sidelamb_handlers.event import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Kind", "Reply", "lost", "read_reply"]


class Kind(Enum):
    """What is proven."""

    ANSWERED = "answered"
    """The worker answered."""
    SANDBOX_GONE = "sandbox gone"
    """It exited, was out of memory, or ran into the function's timeout."""
    FUNCTION_ERROR = "function error"
    """The function failed; whether before or after the claim, the lease knows."""
    THROTTLED = "throttled"
    """Too many at once: nothing ran."""
    RATE_LIMITED = "rate limited"
    """Too many requests a second: nothing ran."""
    NOT_READY = "not ready"
    """Lambda could not start it just now: nothing ran."""
    MISCONFIGURED = "misconfigured"
    """It will not work until someone changes something: nothing ran."""
    UNKNOWN = "unknown"
    """It may have run or not."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Lambda's answer, read."""

    kind: Kind
    request_id: str = ""
    message: str = ""
    """One line for people."""
    answer: Answer | None = None

    @property
    def proves_nothing_ran(self) -> bool:
        """Whether no line of a job can have run."""
        return self.kind in _NOTHING_RAN or (
            self.kind is Kind.FUNCTION_ERROR and self.message.startswith(_INIT_ERRORS)
        )


_NOTHING_RAN = frozenset({Kind.THROTTLED, Kind.RATE_LIMITED, Kind.NOT_READY, Kind.MISCONFIGURED})
_INIT_ERRORS = ("Runtime.ImportModuleError", "Runtime.HandlerNotFound", "Runtime.UserCodeSyntaxError")
_GONE_TYPES = frozenset({"Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout", "Sandbox.Timeout"})
_GONE_SIGNS = (
    "Task timed out after",
    "Runtime exited with error",
    "Runtime exited without providing a reason",
)

# HTTP 5xx that say that the function was not started. A plain 500 ServiceException says nothing.
_NOT_STARTED = frozenset(
    {
        "EC2ThrottledException",
        "EC2UnexpectedException",
        "ENILimitReachedException",
        "ENINotReadyException",
        "ResourceNotReadyException",
        "SubnetIPAddressLimitReachedException",
        "ResourceConflictException",
        "SnapStartNotReadyException",
        "SnapStartTimeoutException",
        "EFSMountTimeoutException",
        "EFSMountConnectivityException",
    }
)

_ADVICE = {
    "ResourceNotFoundException": "Deploy it, or correct its name or AWS_REGION",
    "AccessDeniedException": "Allow the poller lambda:InvokeFunction on it",
    "UnrecognizedClientException": "Look at the poller's AWS credentials",
    "ExpiredTokenException": "Look at the poller's AWS credentials",
    "InvalidSignatureException": "Look at the poller's AWS credentials, and at its clock",
}


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """Return what an HTTP answer of the Invoke API proves. `headers` must ignore case."""
    request_id = headers.get("X-Amzn-RequestId", "")
    if status == 200:  # noqa: PLR2004
        if "X-Amz-Function-Error" in headers:
            return _function_error(request_id, body)
        answer = Answer.from_wire(body)
        if answer is None:
            text = f"not a worker's answer: {_short(body)}. Its handler is to be sidelamb_handlers.worker.handler"
            return Reply(Kind.UNKNOWN, request_id, text)
        return Reply(Kind.ANSWERED, request_id, answer.reason, answer)
    return _api_error(status, headers, request_id, _object(body))


def lost(error: BaseException) -> Reply:
    """Return the reply for a request whose answer never came."""
    return Reply(Kind.UNKNOWN, message=f"no answer from Lambda: {type(error).__name__}: {error}".rstrip(": "))


def _function_error(request_id: str, body: bytes) -> Reply:
    error = _object(body)
    kind, message = str(error.get("errorType", "")), str(error.get("errorMessage", _short(body)))
    # Lambda's own words come without a type in older runtimes; with one they are some exception's.
    gone = kind in _GONE_TYPES or (not kind and any(sign in message for sign in _GONE_SIGNS))
    text = f"{kind}: {message}" if kind and kind not in message else message
    return Reply(Kind.SANDBOX_GONE if gone else Kind.FUNCTION_ERROR, request_id, text)


def _api_error(status: int, headers: Mapping[str, str], request_id: str, error: dict[str, Any]) -> Reply:
    name = headers.get("x-amzn-ErrorType", "").partition(":")[0] or str(error.get("__type", ""))
    said = str(error.get("message") or error.get("Message") or "")
    reason = str(error.get("Reason", ""))
    text = f"HTTP {status} {name} {reason} {said}".replace("  ", " ").strip()
    if name in _ADVICE:
        text = f"{text.rstrip('.')}. {_ADVICE[name]}"
    if status == 429:  # noqa: PLR2004
        rate = "RateLimit" in reason or "RateExceeded" in reason
        return Reply(Kind.RATE_LIMITED if rate else Kind.THROTTLED, request_id, text)
    if name in _NOT_STARTED:
        return Reply(Kind.NOT_READY, request_id, text)
    if 400 <= status < 500 or (status == 502 and name):  # noqa: PLR2004 - without a name it is some gateway's
        return Reply(Kind.MISCONFIGURED, request_id, text)
    return Reply(Kind.UNKNOWN, request_id, text)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _short(body: bytes) -> str:
    return body[:200].decode(errors="replace")
