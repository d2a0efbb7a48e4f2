"""A sandbox's pipe, cut into lines."""

from __future__ import annotations

import os

import pytest

from sidelamb_local.logs import LINE_BYTES, LogStream


@pytest.fixture
async def log():
    lines = []
    stream = LogStream(lines.append)
    stream.lines = lines
    yield stream
    stream.close()


async def test_lines_are_whole_however_they_were_written(log):
    for piece in (b"on", b"e\ntwo\r\nth", b"ree\n"):
        os.write(log.write_fd, piece)
        log.drain()
    assert log.lines == ["one", "two", "three"]


async def test_a_traceback_of_the_runtime_client_becomes_lines(log):
    os.write(log.write_fd, "[ERROR] ValueError\rTraceback:\r\u00a0\u00a0File\n".encode())
    log.drain()
    assert log.lines == ["[ERROR] ValueError", "Traceback:", "  File"]


async def test_bytes_that_are_no_text_do_not_hurt(log):
    os.write(log.write_fd, b"\xff\xfe\n")
    log.drain()
    assert log.lines == ["\ufffd\ufffd"]


async def test_a_last_line_without_an_end_is_not_lost(log):
    os.write(log.write_fd, b"no end")
    log.close()
    assert log.lines == ["no end"]


async def test_a_line_without_an_end_is_passed_on_in_pieces(log):
    for _ in range(LINE_BYTES // 65_536 + 1):
        os.write(log.write_fd, b"x" * 65_536)
        log.drain()
    assert log.lines
    assert set("".join(log.lines)) == {"x"}


async def test_the_tail_begins_where_the_last_one_was_taken(log):
    log.platform("before")
    assert log.take_tail() == b"before\n"
    log.platform("after")
    assert log.take_tail() == b"after\n"
    for _ in range(10_000):
        log.platform("y" * 63)
    assert log.take_tail() == (b"y" * 63 + b"\n") * 64
