"""The Runtime API as one sandbox sees it.

`GET next` waits, without a limit, for an event; `POST response`, `POST error` and `POST init/error` bring
what became of it. `GET restore/next` is where a snapshot would be taken: here the process goes on at once.
Each sandbox has a port of its own, so a request says which process it comes from.

What an event or a response *means* is the sandbox's business (`Runtime`); this file only speaks HTTP.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from sidelamb_local.http1 import JSON, Connection, Request, Server

if TYPE_CHECKING:
    from sidelamb_local.invocation import Invocation

HOST = "127.0.0.1"
ERROR_TYPE = b"lambda-runtime-function-error-type"
PREFIX = "/2018-06-01/runtime/"


class Runtime(Protocol):
    """What stands behind the API: a sandbox."""

    def ready(self) -> None:
        """The process asks for its next event; `RuntimeApi.deliver` will reach it."""
        ...

    def respond(self, request_id: str, body: bytes) -> HTTPStatus:
        """The handler returned."""
        ...

    def fail(self, request_id: str, body: bytes, error_type: str) -> HTTPStatus:
        """The handler raised."""
        ...

    def fail_init(self, body: bytes, error_type: str) -> HTTPStatus:
        """The module could not be imported."""
        ...


class RuntimeApi:
    """The HTTP side of one sandbox."""

    def __init__(self, runtime: Runtime) -> None:
        """Requests are passed on to `runtime`."""
        self._runtime = runtime
        self._server = Server(self)
        self._waiting: Request | None = None

    async def open(self) -> str:
        """Listen; returns what the process needs as AWS_LAMBDA_RUNTIME_API."""
        return f"{HOST}:{await self._server.open(HOST)}"

    def close(self) -> None:
        """Close the port and its connections."""
        self._server.close()

    @property
    def waiting(self) -> bool:
        """The process waits for an event."""
        return self._waiting is not None

    def deliver(self, invocation: Invocation, deadline_ms: int) -> None:
        """Answer the process that waits."""
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
            **JSON,
        }
        if invocation.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        request, self._waiting = self._waiting, None
        if request is not None:
            request.answer(HTTPStatus.OK, invocation.payload, headers)

    def requested(self, request: Request) -> None:
        """See `http1.Handler`."""
        body = request.body or b""
        match request.method, request.path.removeprefix(PREFIX).split("/"):
            case "GET", ["invocation", "next"]:
                self._waiting = request
                self._runtime.ready()
            case "POST", ["invocation", request_id, "response"]:
                request.answer(self._runtime.respond(request_id, body))
            case "POST", ["invocation", request_id, "error"]:
                request.answer(self._runtime.fail(request_id, body, request.header(ERROR_TYPE)))
            case "GET", ["restore", "next"]:
                request.answer(HTTPStatus.OK)
            case "POST", ["init" | "restore", "error"]:
                request.answer(self._runtime.fail_init(body, request.header(ERROR_TYPE)))
            case _:
                request.answer(HTTPStatus.NOT_FOUND)

    def disconnected(self, connection: Connection) -> None:
        """See `http1.Handler`."""
        if self._waiting is not None and self._waiting.connection is connection:
            self._waiting = None
