"""The runtime client in pure Python: what runs in a sandbox where awslambdaric has no wheel (macOS).

It speaks the same protocol and gives the same answers: events and responses as JSON, errors as errorMessage,
errorType, requestId and stackTrace, `Runtime.ImportModuleError` and its kin when the handler cannot be had,
log lines with the request id. Left out: SnapStart hooks, several workers in one sandbox, log frames, JSON
logs, bytes as a response type of their own.

Only the standard library, and only its light parts: this is in every cold start.
"""

from __future__ import annotations

import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

    Handler = Callable[[Any, "Context"], Any]

PREFIX = "/2018-06-01/runtime"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
LOG_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"


class Fault(Exception):
    """The handler cannot be had, or its result cannot be sent: an error with a type of Lambda's own."""

    def __init__(self, error_type: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace or []


@dataclass(frozen=True)
class Context:
    """What a handler gets as its second argument."""

    aws_request_id: str
    invoked_function_arn: str
    deadline_ms: int
    client_context: SimpleNamespace | None
    function_name: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_FUNCTION_NAME"])
    function_version: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_FUNCTION_VERSION"])
    memory_limit_in_mb: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
    log_group_name: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_LOG_GROUP_NAME"])
    log_stream_name: str = field(default_factory=lambda: os.environ["AWS_LAMBDA_LOG_STREAM_NAME"])
    identity: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
    )

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this invocation; never negative."""
        return max(0, self.deadline_ms - int(time.time() * 1000))


def run(handler: str) -> NoReturn:
    """Import the handler and serve invocations for ever."""
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    request_ids = _set_up_logging()
    try:
        function = load(handler)
    except Exception as error:
        body = error_body(error, "")
        _print_error(body)
        _post(api, "/init/error", json.dumps(body).encode(), {ERROR_TYPE: body["errorType"]})
        sys.exit(1)
    while True:
        headers, event = _next(api)
        request_ids.current = headers["Lambda-Runtime-Aws-Request-Id"]
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id", "")
        _serve(api, function, headers, event)


def load(handler: str) -> Handler:
    """Import "package.module.function".

    Raises:
        Fault: It is not there, or not spelled like that.
        Exception: Whatever the module itself raises.
    """
    module_name, dot, name = handler.rpartition(".")
    if not dot:
        text = f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)"
        raise Fault("Runtime.MalformedHandlerName", text)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        text = f"Unable to import module '{module_name}': {error}"
        raise Fault("Runtime.ImportModuleError", text) from error
    except SyntaxError as error:
        place = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        text = f"Syntax error in module '{module_name}': {error}"
        raise Fault("Runtime.UserCodeSyntaxError", text, place) from error
    try:
        return getattr(module, name)  # type: ignore[no-any-return]
    except AttributeError as error:
        text = f"Handler '{name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", text) from error


def error_body(error: Exception, request_id: str) -> dict[str, Any]:
    """An exception as Lambda reports it; the frames of this file are not the reader's business."""
    if isinstance(error, Fault):
        kind, trace = error.error_type, error.trace
    else:
        frames = traceback.extract_tb(error.__traceback__)
        while frames and frames[0].filename == __file__:
            del frames[0]
        plain = [(frame.filename, frame.lineno or 0, frame.name, frame.line) for frame in frames]  # no carets
        kind, trace = type(error).__name__, traceback.format_list(plain)
    return {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": trace}


def _serve(api: http.client.HTTPConnection, function: Handler, headers: Message, event: bytes) -> None:
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        body = _encode(function(json.loads(event), _context(headers)))
    except Exception as error:
        failure = error_body(error, request_id)
        _print_error(failure)
        _post(api, f"/invocation/{request_id}/error", json.dumps(failure).encode(), {ERROR_TYPE: "Unhandled"})
    else:
        _post(api, f"/invocation/{request_id}/response", body, {})


def _context(headers: Message) -> Context:
    text = headers.get("Lambda-Runtime-Client-Context")
    parts = json.loads(text) if text else None
    return Context(
        aws_request_id=headers["Lambda-Runtime-Aws-Request-Id"],
        invoked_function_arn=headers["Lambda-Runtime-Invoked-Function-Arn"],
        deadline_ms=int(headers["Lambda-Runtime-Deadline-Ms"]),
        client_context=parts and SimpleNamespace(**{"custom": None, "env": None, "client": None} | parts),
    )


def _encode(result: Any) -> bytes:
    if isinstance(result, bytes):
        return result
    try:
        return json.dumps(result, default=_decimal).encode()
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def _decimal(value: Any) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _next(api: http.client.HTTPConnection) -> tuple[Message, bytes]:
    api.request("GET", f"{PREFIX}/invocation/next")
    response = api.getresponse()
    body = response.read()
    if response.status != HTTPStatus.OK:
        raise RuntimeError(f"the Runtime API answered {response.status} to next")
    return response.headers, body


def _post(api: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> None:
    api.request("POST", PREFIX + path, body, {"Content-Type": "application/json", **headers})
    response = api.getresponse()
    response.read()
    if response.status != HTTPStatus.ACCEPTED:
        raise RuntimeError(f"the Runtime API answered {response.status} to {path}")


def _print_error(body: dict[str, Any]) -> None:
    head = f"[ERROR] {body['errorType']}: {body['errorMessage']}\nTraceback (most recent call last):\n"
    print(head + "".join(body["stackTrace"]), flush=True)  # noqa: T201 - stdout is the log


class _RequestIds(logging.Filter):
    """Puts the id of the current request into every log record."""

    current = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        record.aws_request_id = self.current
        return True


def _set_up_logging() -> _RequestIds:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(LOG_FORMAT, "%Y-%m-%dT%H:%M:%S"))
    request_ids = _RequestIds()
    handler.addFilter(request_ids)
    logging.getLogger().addHandler(handler)
    return request_ids
