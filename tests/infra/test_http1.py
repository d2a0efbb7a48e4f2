"""The HTTP reader: bodies of every kind, whole or in pieces, one request after the other."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest

from sidelamb_local.http1 import Server


class Echo:
    """Answers with what it got."""

    def __init__(self):
        self.held = None
        self.lost = asyncio.Event()

    def requested(self, request):
        if request.path == "/held":
            self.held = request
        elif request.body is None:
            request.answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"too large")
        else:
            request.answer(HTTPStatus.OK, request.method.encode() + b" " + request.body)

    def disconnected(self, connection):
        self.lost.set()


@pytest.fixture
async def echo():
    handler = Echo()
    server = Server(handler, max_body_bytes=10)
    handler.port = await server.open("127.0.0.1")
    yield handler
    server.close()


async def ask(echo, *pieces, answers=1):
    """Send the pieces one by one; returns the bodies of the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    bodies = []
    for _ in range(answers):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        bodies.append(await reader.readexactly(size))
    writer.close()
    await writer.wait_closed()
    return bodies


CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"GET "),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"POST abc"),
        (b"POST / HTTP/1.1\r\ncontent-length:3\r\n\r\nabc", b"POST abc"),
        (CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"POST abcde"),
        (CHUNKED + b"3\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n", b"POST abc"),
        (b"POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n12345678901", b"too large"),
        (CHUNKED + b"6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n", b"too large"),
        (CHUNKED + b"c\r\nabcdefabcdef\r\n0\r\n\r\n", b"too large"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", b"GET "),
    ],
)
async def test_a_request_is_read_whole_and_byte_by_byte(echo, request_, answer):
    assert await ask(echo, request_) == [answer]
    if len(request_) < 1000:
        assert await ask(echo, *(request_[at : at + 1] for at in range(len(request_)))) == [answer]


async def test_requests_sent_together_are_answered_in_turn(echo):
    one = b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n"
    assert await ask(echo, one + b"a" + one + b"b" + one + b"c", answers=3) == [b"POST a", b"POST b", b"POST c"]


async def test_a_request_waits_for_the_answer_to_the_one_before(echo):
    held = asyncio.create_task(ask(echo, b"GET /held HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", answers=2))
    while echo.held is None:  # noqa: ASYNC110 - set by the loop we are on
        await asyncio.sleep(0)
    echo.held.answer(HTTPStatus.OK, b"first")
    assert await held == [b"first", b"GET "]


async def test_a_client_that_expects_a_go_ahead_gets_it(echo):
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    writer.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ok")
    assert await reader.readuntil(b"POST ok")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"])
async def test_a_connection_that_is_not_to_be_kept_is_closed_after_the_answer(echo, head):
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    writer.write(head)
    assert (await reader.read()).endswith(b"GET ")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "noise", [b"hello\r\n\r\n", CHUNKED + b"zz\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
async def test_what_is_no_http_ends_the_connection(echo, noise):
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    writer.write(noise)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_an_answer_to_a_client_that_left_goes_nowhere(echo):
    _, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    writer.write(b"GET /held HTTP/1.1\r\n\r\n")
    while echo.held is None:  # noqa: ASYNC110 - set by the loop we are on
        await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    await echo.lost.wait()
    echo.held.answer(HTTPStatus.OK, b"too late")
