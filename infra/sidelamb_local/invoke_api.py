"""The Invoke API: what boto3, the poller and curl talk to.

`POST /2015-03-31/functions/NAME/invocations`, where NAME is a name, a logical id, either with `:qualifier`,
or an ARN; with AWS's statuses, headers and error bodies. Signatures are not checked, there is one version
(`$LATEST`) under every qualifier.

An asynchronous event waits for a free sandbox and is run once: it is *not* repeated after a function error,
while AWS repeats it twice unless told otherwise. An invocation whose caller goes away runs on to its end, as
on AWS.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from sidelamb_local.environment import function_arn
from sidelamb_local.errors import InvocationError, ServiceStopped, Throttled
from sidelamb_local.http1 import JSON, Connection, Request, Server
from sidelamb_local.invocation import Invocation, new_request_id, new_trace_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from sidelamb_local.function import Function

PREFIX, SUFFIX = "/2015-03-31/functions/", "/invocations"
MAX_SYNC_BYTES = 6_291_456
MAX_EVENT_BYTES = 1_048_576
LIMITS = {"RequestResponse": MAX_SYNC_BYTES, "Event": MAX_EVENT_BYTES}
MAX_CLIENT_CONTEXT_BYTES = 3_583
NONE: Mapping[str, str] = {}


class Refused(Exception):
    """An API error: nothing was run, unless it is a 500."""

    def __init__(self, status: HTTPStatus, error: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        kind = "Service" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "User"
        self.body: dict[str, Any] = {"Type": kind, "message": message, **more}


class InvokeApi:
    """The front of the service."""

    def __init__(self, find: Callable[[str], Function | None]) -> None:
        """`find` knows functions by name and logical id."""
        self._find = find
        self._server = Server(self, MAX_SYNC_BYTES)
        self._running: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port.

        Raises:
            OSError: The port is taken.
        """
        return await self._server.open(host, port)

    def stop_accepting(self) -> None:
        """No new connections."""
        self._server.stop_accepting()

    async def close(self) -> None:
        """Answer what is still open, and end."""
        await asyncio.gather(*self._running, return_exceptions=True)
        self._server.close()

    def requested(self, request: Request) -> None:
        """See `http1.Handler`."""
        request_id = new_request_id()
        try:
            function = self._function(request)
            kind = request.header(b"x-amz-invocation-type") or "RequestResponse"
            if kind == "DryRun":
                _answer(request, request_id, HTTPStatus.NO_CONTENT)
                return
            invocation = _invocation(request, request_id, kind, function.arn)
        except Refused as refused:
            _refuse(request, request_id, refused)
            return
        if kind == "Event":
            self._spawn(_run_event(function, invocation))
            _answer(request, request_id, HTTPStatus.ACCEPTED)
        else:
            self._spawn(_run_sync(function, invocation, request))

    def disconnected(self, connection: Connection) -> None:
        """See `http1.Handler`. What was asked for is run all the same."""

    def _function(self, request: Request) -> Function:
        path = request.path.partition("?")[0]
        if request.method != "POST" or not (path.startswith(PREFIX) and path.endswith(SUFFIX)):
            text = f"{request.method} {path} is not served locally; only Invoke is."
            raise Refused(HTTPStatus.NOT_FOUND, "UnknownOperationException", text)
        name = _bare_name(unquote(path[len(PREFIX) : -len(SUFFIX)]))
        function = self._find(name)
        if function is None:
            missing = Refused(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", "")
            missing.body = {"Type": "User", "Message": f"Function not found: {function_arn(name)}"}
            raise missing
        return function

    def _spawn(self, run: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(run)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


async def _run_sync(function: Function, invocation: Invocation, request: Request) -> None:
    request_id = invocation.request_id
    try:
        answer = await function.invoke(invocation)
    except Throttled as error:
        reason = "ReservedFunctionConcurrent" if error.reserved else "Concurrent"
        limit = f"{reason}InvocationLimitExceeded"
        status = HTTPStatus.TOO_MANY_REQUESTS
        _refuse(request, request_id, Refused(status, "TooManyRequestsException", str(error), Reason=limit))
    except ServiceStopped as error:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        _refuse(request, request_id, Refused(status, "ServiceException", str(error)))
    except OSError as error:
        text = f"No sandbox can be started: {error}."
        _refuse(request, request_id, Refused(HTTPStatus.BAD_GATEWAY, "EC2UnexpectedException", text))
    else:
        headers = {"X-Amz-Executed-Version": "$LATEST"}
        if answer.error_type is not None:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if request.header(b"x-amz-log-type") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(answer.log_tail).decode()
        _answer(request, request_id, HTTPStatus.OK, answer.payload, headers)


async def _run_event(function: Function, invocation: Invocation) -> None:
    try:
        await function.invoke(invocation, wait=True)
    except (InvocationError, OSError) as error:
        function.log(f"Event {invocation.request_id} was dropped: {error}")


def _bare_name(name: str) -> str:
    """The name within "name", "name:qualifier", "account:function:name" or an ARN, with or without a qualifier."""
    return name.rpartition("function:")[2].split(":")[0]


def _invocation(request: Request, request_id: str, kind: str, arn: str) -> Invocation:
    if kind not in LIMITS:
        text = f"{kind} is no invocation type; use one of {', '.join(LIMITS)}, DryRun."
        raise Refused(HTTPStatus.BAD_REQUEST, "InvalidParameterValueException", text)
    return Invocation(
        request_id=request_id,
        payload=_payload(request.body, LIMITS[kind]),
        arn=arn,
        trace_id=request.header(b"x-amzn-trace-id") or new_trace_id(),
        client_context=_client_context(request) if kind == "RequestResponse" else None,
    )


def _payload(body: bytes | None, limit: int) -> bytes:
    if body is None or len(body) > limit:
        text = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestTooLargeException", text)
    try:
        orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        text = f"Could not parse request body into json: {error}"
        raise Refused(HTTPStatus.BAD_REQUEST, "InvalidRequestContentException", text) from None
    return body or b"{}"


def _client_context(request: Request) -> str | None:
    header = request.header(b"x-amz-client-context")
    if not header:
        return None
    try:
        context = orjson.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, orjson.JSONDecodeError):
        context = None
    if not isinstance(context, dict) or len(header) > MAX_CLIENT_CONTEXT_BYTES:
        text = f"Client context must be a Base64-encoded JSON object of at most {MAX_CLIENT_CONTEXT_BYTES} bytes."
        raise Refused(HTTPStatus.BAD_REQUEST, "InvalidRequestContentException", text)
    return json.dumps(context)  # a header: ASCII only


def _answer(
    request: Request,
    request_id: str,
    status: HTTPStatus,
    body: bytes = b"",
    headers: Mapping[str, str] = NONE,
) -> None:
    request.answer(status, body, {**JSON, "X-Amzn-RequestId": request_id, **headers})


def _refuse(request: Request, request_id: str, refused: Refused) -> None:
    headers = {"x-amzn-ErrorType": refused.error}
    if refused.status is HTTPStatus.TOO_MANY_REQUESTS:
        headers["Retry-After"] = "1"
    _answer(request, request_id, refused.status, orjson.dumps(refused.body), headers)
