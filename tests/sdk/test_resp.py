"""Replies of Redis, made of bytes that come in pieces, with hiredis and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis.exceptions as rx

from sidelamb import Client, channel
from sidelamb.resp import FastReplies, Replies, packed

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

KINDS = pytest.mark.parametrize("kind", [Replies, FastReplies])
SAID = b":12\r\n$-1\r\n*-1\r\n$4\r\na\r\nb\r\n+OK\r\n*3\r\n$0\r\n\r\n:-1\r\n*1\r\n-OOM no\r\n*0\r\n"


def reader(kind: type[Replies | FastReplies], pieces: list[bytes]) -> Replies | FastReplies:
    left = iter(pieces)
    return kind(lambda _: next(left, b""))


@KINDS
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_are_the_same_in_whatever_pieces_they_come(kind: type[Replies | FastReplies], size: int) -> None:
    replies = reader(kind, [SAID[at : at + size] for at in range(0, len(SAID), size)])
    read = [replies.read() for _ in range(7)]
    assert read[:5] == [12, None, None, b"a\r\nb", b"OK"]
    assert read[5][:2] == [b"", -1]
    assert [type(error) for error in read[5][2]] == [rx.ResponseError]
    assert str(read[5][2][0]) == "OOM no"
    assert read[6] == []
    assert not replies.has_more()


@KINDS
def test_that_nobody_asked_for_are_seen(kind: type[Replies | FastReplies]) -> None:
    replies = reader(kind, [b":1\r\n:2\r\n"])
    assert replies.read() == 1
    assert replies.has_more()


@KINDS
@pytest.mark.parametrize("said", [b"", b":1", b"$9\r\nabc"])
def test_that_end_too_soon_are_an_error(kind: type[Replies | FastReplies], said: bytes) -> None:
    with pytest.raises(rx.ConnectionError, match="the server closed it"):
        reader(kind, [said] if said else []).read()


@KINDS
def test_that_are_none_are_an_error(kind: type[Replies | FastReplies]) -> None:
    with pytest.raises(rx.InvalidResponse):
        reader(kind, [b"HTTP/1.1 400 Bad Request\r\n"]).read()


def test_a_command_may_be_packed_already() -> None:
    assert packed((b"SET", "k", 1.5, 2)) == b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n1.5\r\n$1\r\n2\r\n"
    assert packed(b"*1\r\n$4\r\nPING\r\n") == b"*1\r\n$4\r\nPING\r\n"


def test_jobs_are_stored_without_hiredis_too(
    monkeypatch: pytest.MonkeyPatch, redis_url: str, db: redis.Redis
) -> None:
    readers: list[Replies] = []

    def slow(recv: Callable[[int], bytes]) -> Replies:
        readers.append(Replies(recv))
        return readers[-1]

    monkeypatch.setattr(channel, "replies", slow)
    client = Client(redis_url + "?socket_timeout=4")  # a link of its own
    for n in range(3):
        client.enqueue("work", n)
    assert (db.llen("queue:default"), len(readers)) == (3, 1)
    client.close()
