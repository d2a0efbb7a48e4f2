"""An open connection to Redis. redis-py opens it and logs in; what is said then goes straight through its socket.

So a call is three system calls and no layer in between: is it quiet, send, receive. Python's own time limits for a
socket ask before each whether it is ready; a plain socket has the kernel's instead, and TLS keeps Python's.
"""

from __future__ import annotations

import _socket
import select
import socket
import ssl
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

from sidelamb.answers import hangs_up
from sidelamb.resp import replies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Channel"]


class Channel:
    """One connection, used by one caller at a time.

    Args:
        connection: of redis-py, connected.
    """

    __slots__ = (
        "_arrived",
        "_connection",
        "_is_plain",
        "_limit_s",
        "_replies",
        "_sock",
        "is_open",
        "sidelamb_born",
        "sidelamb_used",
    )

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._sock = connection._sock  # noqa: SLF001 - redis-py has no word for it
        self._limit_s: float | None = self._sock.gettimeout()
        self._replies = replies(self._sock.recv)
        # Not by TLS, where bytes may come that say nothing, nor where gevent or eventlet put in one of theirs.
        self._is_plain = sys.platform != "win32" and type(self._sock).recv is _socket.socket.recv
        self._arrived: select.poll | None = None
        if self._is_plain:
            self._arrived = select.poll()
            self._arrived.register(self._sock, select.POLLIN)
            self._sock.settimeout(None)
            self._limit(self._limit_s)
        self.is_open = True
        self.sidelamb_born = time.monotonic()

    def say(
        self, commands: Sequence[bytes], until: float | None, meanwhile: Callable[[], object] | None = None
    ) -> list[Any]:
        """Send commands and return the reply to each, errors that Redis answered among them.

        Args:
            commands: packed.
            until: when no reply is waited for any more, monotonic s; None: the socket's own limit for each.
            meanwhile: done while the answer is on its way.

        Raises:
            redis.exceptions.RedisError, OSError: a reply did not come. Close it then.
        """
        found: list[Any] = []
        try:
            self._sock.sendall(commands[0] if len(commands) == 1 else b"".join(commands))
            if meanwhile is not None:
                meanwhile()
            for _ in commands:
                found.append(self._reply(until) if self.is_open else found[-1])
        except BlockingIOError:
            raise TimeoutError("no answer in time") from None
        return found

    def is_quiet(self) -> bool:
        """Whether it is open and has nothing to say."""
        if not self.is_open or self._replies.has_more():
            return False
        try:
            return not (self._arrived.poll(0) if self._arrived is not None else self._has_news())
        except OSError:
            return False

    def close(self) -> None:
        """Close it."""
        self.is_open = False
        self._connection.disconnect()

    def _reply(self, until: float | None) -> Any:
        reply = self._replies.read() if until is None else self._within(until, self._replies.read)
        if isinstance(reply, Exception) and hangs_up(reply):
            self.close()
        return reply

    def _within(self, until: float, step: Callable[[], Any]) -> Any:
        left = max(0.001, until - time.monotonic())
        self._limit(left if self._limit_s is None else min(left, self._limit_s))
        try:
            return step()
        finally:
            self._limit(self._limit_s)

    def _limit(self, seconds: float | None) -> None:
        """Set how long each step of the socket may take."""
        if not self._is_plain:
            self._sock.settimeout(seconds)
            return
        at_most = struct.pack("@ll", *divmod(int((seconds or 0) * 1e6), 1_000_000))  # nothing is no limit
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, at_most)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, at_most)

    def _has_news(self) -> bool:
        self._sock.settimeout(0)
        try:
            self._sock.recv(1)
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        finally:
            self._sock.settimeout(self._limit_s)
        return True
