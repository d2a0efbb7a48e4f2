"""Open connections that nobody uses just now, by place; what `Link` and `AsyncLink` have in common about them.

redis-py's pools connect again by themselves, to where they were told once. A link must know when it connects:
that is when sentinels are asked, and when a name is looked up again.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - the first connect would: a child forked meanwhile could never look a host up
import inspect
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

if TYPE_CHECKING:
    from sidelamb.target import Place, Target

__all__ = ["CONNECT_TIMEOUT_S", "REPLY_TIMEOUT_S", "Spares", "arguments"]

CONNECT_TIMEOUT_S = 2.0
REPLY_TIMEOUT_S = 5.0
STALE_AFTER_S = 30.0
"""A connection that idled longer is closed: a frozen sandbox's or a NAT's may be dead without a sign."""
OLD_AFTER_S = 11 * 3_600.0
"""An older one is closed too: a login by IAM lasts twelve hours."""

_DEFAULTS: dict[str, Any] = {"socket_connect_timeout": CONNECT_TIMEOUT_S, "socket_keepalive": True}
_FIXED: dict[str, Any] = {
    "decode_responses": False,
    "protocol": 2,  # no HELLO: one round trip less for each connection
    "retry_on_error": [],
    "retry_on_timeout": False,
    # No CLIENT SETINFO either; how that is said changed with redis-py 7.
    **{
        name: None
        for name in ("driver_info", "lib_name", "lib_version")
        if name in inspect.signature(AbstractConnection.__init__).parameters
    },
}
if "driver_info" in _FIXED:
    _FIXED = {name: value for name, value in _FIXED.items() if not name.startswith("lib_")}


def arguments(target: Target, place: Place, *, to_sentinel: bool = False) -> dict[str, Any]:
    """Return redis-py's connection arguments for one place: never with a retry of its own."""
    kwargs = target.sentinel_kwargs if to_sentinel else target.kwargs
    where: dict[str, Any] = {"host": place.host, "port": place.port} if place.port else {"path": place.host}
    if not place.port:
        kwargs = {name: value for name, value in kwargs.items() if not name.startswith("socket_keepalive")}
    defaults = _DEFAULTS if place.port else {"socket_connect_timeout": CONNECT_TIMEOUT_S}
    return {**defaults, **kwargs, **_FIXED, **where, "retry": Retry(NoBackoff(), 0)}


class Spares:
    """Connections, the last used first. Safe for threads; empty after a fork."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._spares: dict[Place, deque[Any]] = {}

    def take(self, place: Place) -> tuple[Any, bool]:
        """Return a connection, or None, and whether it may still be used; else it is to be closed."""
        if self._pid != os.getpid():
            self._pid, self._spares = os.getpid(), {}
        try:
            connection = self._spares[place].pop()
        except (KeyError, IndexError):
            return None, False
        now = time.monotonic()
        fresh = now - connection.sidelamb_used < STALE_AFTER_S and now - connection.sidelamb_born < OLD_AFTER_S
        return connection, fresh

    def put(self, place: Place, connection: Any) -> None:
        """Keep a connection that has nothing to say."""
        connection.sidelamb_used = time.monotonic()
        self._spares.setdefault(place, deque()).append(connection)

    def all_of(self, place: Place) -> list[Any]:
        """Take out all connections to a place."""
        return list(self._spares.pop(place, ()))

    def all(self) -> list[Any]:
        """Take out all connections."""
        spares, self._spares = self._spares, {}
        return [connection for each in spares.values() for connection in each]
