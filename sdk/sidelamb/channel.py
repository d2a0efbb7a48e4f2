"""An open connection to Redis. redis-py opens it and logs in; what is said then goes straight through its socket.

So a call is four system calls and no layer in between: is it quiet, send, wait, receive.
"""

from __future__ import annotations

import select
import ssl
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

    __slots__ = ("_arrived", "_connection", "_replies", "_sock", "is_open", "sidelamb_born", "sidelamb_used")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._sock = connection._sock  # noqa: SLF001 - redis-py has no word for it
        self._replies = replies(self._sock.recv)
        self._arrived: select.poll | None = None
        if not hasattr(self._sock, "pending"):  # by TLS there are bytes that say nothing
            self._arrived = select.poll()
            self._arrived.register(self._sock, select.POLLIN)
        self.is_open = True
        self.sidelamb_born = time.monotonic()

    def say(self, commands: Sequence[bytes], until: float | None) -> list[Any]:
        """Send commands and return the reply to each, errors that Redis answered among them.

        Args:
            commands: packed.
            until: when no reply is waited for any more, monotonic s; None: the socket's own limit for each.

        Raises:
            redis.exceptions.RedisError, OSError: a reply did not come. Close it then.
        """
        self._sock.sendall(commands[0] if len(commands) == 1 else b"".join(commands))
        found: list[Any] = []
        for _ in commands:
            found.append(self._reply(until) if self.is_open else found[-1])
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
        limit, left = self._sock.gettimeout(), max(0.001, until - time.monotonic())
        self._sock.settimeout(left if limit is None else min(left, limit))
        try:
            return step()
        finally:
            self._sock.settimeout(limit)

    def _has_news(self) -> bool:
        limit = self._sock.gettimeout()
        self._sock.settimeout(0)
        try:
            self._sock.recv(1)
        except ssl.SSLWantReadError:
            return False
        finally:
            self._sock.settimeout(limit)
        return True
