"""The way to Redis: carries out a `Call` once, and says exactly what became of it.

redis-py sends commands again by itself when a reply is late or lost, which pushes one job several times. So a
link uses redis-py's pools and connections, but does its own talking: a command is sent once. What failed
before sending is `RedisUnreachable`, what Redis declined is `RedisRefused`; when the reply was lost after
sending it is `RedisUncertain`, unless the script is safe to repeat, which is then done once on a new connection.

A link is safe for threads and forks. It writes nothing by itself when it connects.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import redis
import redis.exceptions as rx
from redis.backoff import NoBackoff
from redis.retry import Retry

from sidelamb import scripts
from sidelamb.errors import ConfigError, RedisRefused, RedisUncertain, RedisUnreachable

if TYPE_CHECKING:
    from sidelamb.store import Call

__all__ = [
    "ANSWERED",
    "Link",
    "address_of",
    "client_kwargs",
    "connection_kwargs",
    "evalsha",
    "evaluate",
    "pool_kwargs",
    "refused",
    "unreachable",
]

T = TypeVar("T")

CONNECT_TIMEOUT_S = 2.0
REPLY_TIMEOUT_S = 5.0
STALE_AFTER_S = 30.0
"""A connection that idled longer is opened anew: a frozen sandbox's or a NAT's may be dead without a sign."""

_DEFAULTS: dict[str, Any] = {
    "socket_connect_timeout": CONNECT_TIMEOUT_S,
    "socket_timeout": REPLY_TIMEOUT_S,
    "socket_keepalive": True,
    "max_connections": 100_000,  # one a thread, and the app decides how many threads it has
}
_THEIR_OWN = ("retry", "himport_registry", "parser_class", "redis_connect_func", "event_dispatcher")
_THEIR_OWN_PREFIXES = ("maint_", "orig_", "oss_cluster_")
_OURS: dict[str, Any] = {
    "decode_responses": False,
    "driver_info": None,  # no CLIENT SETINFO: one round trip less for each connection
    "protocol": 2,  # no HELLO either
    "retry_on_error": [],
    "retry_on_timeout": False,
}


def connection_kwargs(url: str) -> dict[str, Any]:
    """Return redis-py's connection arguments for `url`.

    Raises:
        ConfigError: the URL is no Redis URL.
    """
    try:
        kwargs: dict[str, Any] = dict(redis.connection.parse_url(url))  # type: ignore[no-untyped-call]
        _ = urlsplit(url).port
    except ValueError as error:
        shown = url.rsplit("@", maxsplit=1)[-1] if "@" in url else url
        raise ConfigError(
            f"{shown!r} is not a Redis URL ({error}); write redis://host:6379/0 or rediss://…"
        ) from None
    return kwargs


def client_kwargs(client: redis.Redis) -> dict[str, Any]:
    """Return a redis-py client's connection arguments, without what belongs to its own pool."""
    return {
        name: value
        for name, value in client.connection_pool.connection_kwargs.items()
        if name not in _THEIR_OWN and not name.startswith(_THEIR_OWN_PREFIXES)
    }


def pool_kwargs(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return `kwargs` with our timeouts where none are given, and without any silent resending."""
    return {**_DEFAULTS, **kwargs, **_OURS, "retry": Retry(NoBackoff(), 0)}


def address_of(kwargs: dict[str, Any]) -> str:
    """Return where the server is, without user and password."""
    return str(kwargs.get("path") or f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}")


def evalsha(call: Call[T]) -> tuple[Any, ...]:
    """Return the command that runs a call's script by its digest."""
    script = scripts.load(call.script)
    return (b"EVALSHA", script.sha, len(call.keys), *call.keys, *call.args)


def evaluate(call: Call[T]) -> tuple[Any, ...]:
    """Return the command that runs a call's script by its text, for a server that does not know it."""
    script = scripts.load(call.script)
    return (b"EVAL", script.text, len(call.keys), *call.keys, *call.args)


def refused(error: Exception, address: str) -> RedisRefused:
    """Return Redis's own refusal as ours, with what to do about the usual ones."""
    text = str(error).rstrip(".")
    code = next((c for cls, c in _STRIPPED.items() if isinstance(error, cls)), "")
    said = f"{code} {text}" if code not in text else text
    advice = next((a for sign, a in _ADVICE.items() if sign in said), "")
    return RedisRefused(f"Redis at {address} refused: {said}; nothing was changed.{advice}")


# redis-py takes these codes off the text and puts them into the class.
_STRIPPED: dict[type[Exception], str] = {
    rx.OutOfMemoryError: "OOM",
    rx.ReadOnlyError: "READONLY",
    rx.BusyLoadingError: "LOADING",
    rx.NoPermissionError: "NOPERM",
}
_ADVICE = {
    "OOM": " Redis is full: raise maxmemory or let the jobs drain.",
    "READONLY": " This is a replica: connect to the primary.",
    "WRONGTYPE": " Another program uses one of our keys: use a database or a namespace of its own.",
    "NOAUTH": " Put the password into the URL.",
    "Authentication": " Put the password into the URL.",
    "WRONGPASS": " Check user and password in the URL.",
    "NOPERM": " The Redis user needs EVALSHA, EVAL and the commands of the scripts.",
    "LOADING": " It is loading its data: try again in a moment.",
}

ANSWERED = (rx.ResponseError, rx.BusyLoadingError, rx.AuthenticationError, rx.AuthorizationError)
"""Errors that are Redis's own words: it did not do it."""


class Link:
    """A blocking way to Redis.

    Args:
        target: a Redis URL, or a redis-py client whose connection settings are used (never its retries).
        defaults: connection arguments for what the URL does not say.

    Raises:
        ConfigError: the URL is no Redis URL.
    """

    def __init__(self, target: str | redis.Redis, **defaults: Any) -> None:
        if isinstance(target, str):
            kwargs = {**defaults, **connection_kwargs(target)}
            cls = kwargs.pop("connection_class", redis.Connection)
        else:
            kwargs = client_kwargs(target)
            cls = target.connection_pool.connection_class
        self.address = address_of(kwargs)
        self._pool = redis.ConnectionPool(connection_class=cls, **pool_kwargs(kwargs))

    def run(self, call: Call[T], *, within_s: float | None = None) -> T:
        """Carry out `call` and return its answer.

        Args:
            call: what to do.
            within_s: seconds after which no reply is waited for; None: the connection's own limit for each.

        Raises:
            RedisUnreachable: no connection; certainly not done.
            RedisRefused: Redis answered with an error; certainly not done.
            RedisUncertain: the reply was lost; perhaps done.
        """
        until = None if within_s is None else time.monotonic() + within_s
        try:
            reply = self._once(evalsha(call), until)
            if isinstance(reply, rx.NoScriptError):
                reply = self._once(evaluate(call), until)
        except RedisUncertain:
            if not call.repeatable or (until is not None and time.monotonic() >= until):
                raise
            reply = self._once(evaluate(call), until)
        if isinstance(reply, ANSWERED):
            raise refused(reply, self.address)
        return call.read(reply)

    def command(self, *args: bytes | str | float) -> Any:
        """Send one plain command, once.

        Raises:
            RedisUnreachable, RedisRefused, RedisUncertain: as `run`.
        """
        reply = self._once(args)
        if isinstance(reply, ANSWERED):
            raise refused(reply, self.address)
        return reply

    def close(self) -> None:
        """Close the connections that are not in use; the next call opens new ones."""
        self._pool.disconnect(inuse_connections=False)

    def _once(self, command: tuple[Any, ...], until: float | None = None) -> Any:
        """Send a command and return its reply, or the error that Redis answered."""
        connection = self._checkout()
        try:
            connection.send_packed_command(connection.pack_command(*command), check_health=False)
            _await_reply(connection, until)
            return connection.read_response()
        except ANSWERED as error:
            return error
        except (rx.RedisError, OSError) as error:
            connection.disconnect()
            raise RedisUncertain(
                f"The connection to Redis at {self.address} broke before the answer ({error}): "
                "the command may have been carried out or not."
            ) from error
        except BaseException:
            connection.disconnect()  # a half-read reply must not be read by the next call
            raise
        finally:
            connection.sidelamb_used = time.monotonic()
            self._pool.release(connection)

    def _checkout(self) -> Any:
        try:
            connection: Any = self._pool.get_connection()
            used = getattr(connection, "sidelamb_used", None)
            if used is not None and time.monotonic() - used > STALE_AFTER_S:
                connection.disconnect()
                connection.connect()
        except ANSWERED as error:
            raise refused(error, self.address) from None
        except (rx.RedisError, OSError) as error:
            raise unreachable(self.address, error) from error
        return connection


def _await_reply(connection: Any, until: float | None) -> None:
    if until is None:
        return
    left = min(max(0.0, until - time.monotonic()), connection.socket_timeout or REPLY_TIMEOUT_S)
    if not connection.can_read(timeout=left):
        raise rx.TimeoutError("no reply in time")


def unreachable(address: str, error: BaseException) -> RedisUnreachable:
    """Return the error for a connection that could not be made."""
    return RedisUnreachable(
        f"Redis at {address} cannot be reached ({error}); nothing was changed. "
        "Check SIDELAMB_REDIS_URL and that the server runs."
    )
