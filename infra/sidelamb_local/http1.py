"""HTTP/1.1 for loopback: requests in, whole answers out.

Both sides of the service speak it, three times for each invocation, so it is the inner loop: this reader
costs a fraction of a general server's, and answers from within the callback that read the request. It takes
bodies with a length and chunked ones, headers of any size, `Expect: 100-continue`, kept-alive connections and
pipelined requests (one after the other).

A client that goes away cancels nothing. There is no TLS, no compression, no streaming, no access log.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

STATUS_LINES = {status: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
JSON = {"Content-Type": "application/json"}


class Request:
    """One request, its header names in lower case."""

    __slots__ = ("_headers", "body", "connection", "method", "path", "version")

    def __init__(self, connection: Connection, head: bytes) -> None:
        """`head` is everything before the empty line.

        Raises:
            ValueError: It is not HTTP.
        """
        request_line, *lines = head.split(b"\r\n")
        self.method, self.path, self.version = request_line.decode("latin-1").split(" ")
        parts = [line.partition(b":") for line in lines]
        self._headers = {name.lower(): value for name, _, value in parts}
        self.connection = connection
        # None: longer than the server takes; it was read and dropped.
        self.body: bytes | None = b""

    def header(self, name: bytes) -> str:
        """The value of a header; "" if there is none."""
        value = self._headers.get(name)
        return value.strip().decode("latin-1") if value else ""

    @property
    def keeps_alive(self) -> bool:
        """The client wants to send another request on this connection."""
        wish = self.header(b"connection").lower()
        return wish == "keep-alive" or (wish != "close" and self.version == "HTTP/1.1")

    def answer(self, status: HTTPStatus, body: bytes = b"{}", headers: Mapping[str, str] = JSON) -> None:
        """Send the response, once. A client that is gone gets nothing."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{STATUS_LINES[status]}{lines}Content-Length: {len(body)}\r\n\r\n"
        self.connection.send(head.encode("latin-1") + body, last=not self.keeps_alive)


class Handler(Protocol):
    """What stands behind a server."""

    def requested(self, request: Request) -> None:
        """A whole request has arrived; call its `answer` once, now or later."""
        ...

    def disconnected(self, connection: Connection) -> None:
        """A client went away."""
        ...


class Server:
    """One listening socket and the connections it accepted."""

    def __init__(self, handler: Handler, max_body_bytes: int | None = None) -> None:
        """Requests are handed to `handler`; a body beyond the limit as None."""
        self._handler = handler
        self._max_body_bytes = max_body_bytes
        self._socket: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    async def open(self, host: str, port: int = 0) -> int:
        """Listen; returns the port (0 asks for a free one).

        Raises:
            OSError: The port is taken, or the host is not ours.
        """
        self._socket = await asyncio.get_running_loop().create_server(self._accept, host, port)
        return int(self._socket.sockets[0].getsockname()[1])

    def stop_accepting(self) -> None:
        """Close the listening socket; connections stay."""
        if self._socket is not None:
            self._socket.close()

    def close(self) -> None:
        """Close everything; what was already answered is still sent."""
        self.stop_accepting()
        for connection in list(self._connections):
            connection.close()

    def forget(self, connection: Connection) -> None:
        """The connection is lost."""
        self._connections.discard(connection)
        self._handler.disconnected(connection)

    def _accept(self) -> Connection:
        connection = Connection(self, self._handler, self._max_body_bytes)
        self._connections.add(connection)
        return connection


class Connection(asyncio.Protocol):
    """One client's connection. asyncio switches Nagle's algorithm off for it."""

    def __init__(self, server: Server, handler: Handler, max_body_bytes: int | None) -> None:
        """Made by `Server`."""
        self._server = server
        self._handler = handler
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answered = True
        self._reader = self._read_requests()

    def send(self, data: bytes, *, last: bool) -> None:
        """Send the answer to the current request, and go on to the next one unless it was the last."""
        self._answered = True
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if last:
            self._transport.close()
        elif self._buffer:
            asyncio.get_running_loop().call_soon(self._advance)

    def close(self) -> None:
        """End the connection once everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's promise, for the type checker
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._buffer += data
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See `asyncio.Protocol`."""
        self._server.forget(self)

    # The reader is a generator that yields whenever it needs more bytes, or an answer.

    def _advance(self) -> None:
        try:
            next(self._reader)
        except (ValueError, StopIteration):  # not HTTP, or more of it after that
            self.close()

    def _read_requests(self) -> Generator[None, None, None]:
        while True:
            request = Request(self, (yield from self._until(b"\r\n\r\n")))
            if request.header(b"expect") and self._transport is not None:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if request.header(b"transfer-encoding"):
                request.body = yield from self._chunks()
            elif length := request.header(b"content-length"):
                request.body = yield from self._body(int(length))
            self._answered = False
            self._handler.requested(request)
            while not self._answered:
                yield

    def _body(self, size: int) -> Generator[None, None, bytes | None]:
        if self._max_body_bytes is None or size <= self._max_body_bytes:
            return (yield from self._exactly(size))
        while size:
            size -= len((yield from self._exactly(min(size, len(self._buffer) or 1))))
        return None

    def _chunks(self) -> Generator[None, None, bytes | None]:
        chunks: list[bytes] = []
        total = 0
        while size := int((yield from self._until(b"\r\n")).split(b";")[0], 16):
            chunk = yield from self._body(size)
            yield from self._exactly(2)
            total += size
            if chunk is not None and (self._max_body_bytes is None or total <= self._max_body_bytes):
                chunks.append(chunk)
        while (yield from self._until(b"\r\n")):
            pass  # trailers
        return None if self._max_body_bytes is not None and total > self._max_body_bytes else b"".join(chunks)

    def _until(self, mark: bytes) -> Generator[None, None, bytes]:
        seen = 0
        while (at := self._buffer.find(mark, seen)) < 0:
            seen = max(0, len(self._buffer) - len(mark))
            yield
        taken = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return taken

    def _exactly(self, size: int) -> Generator[None, None, bytes]:
        while len(self._buffer) < size:
            yield
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
