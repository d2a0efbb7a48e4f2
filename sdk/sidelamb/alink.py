"""The way to Redis for asyncio: `Link`'s twin, with the same promises.

Time limits are its own: redis-py's, before Python 3.12, may swallow a cancellation.
"""

from __future__ import annotations

import asyncio
import select
import time
from typing import TYPE_CHECKING, Any, TypeVar

import redis.asyncio as aredis
import redis.exceptions as rx

from sidelamb.answers import is_answer, lost, refused, unreachable
from sidelamb.errors import RedisError
from sidelamb.resp import packed
from sidelamb.route import NotOpen, Route
from sidelamb.spares import REPLY_TIMEOUT_S, Spares, arguments
from sidelamb.talk import ask, carry
from sidelamb.target import Target, target_of

if TYPE_CHECKING:
    from sidelamb.route import Say, Steps
    from sidelamb.store import Call
    from sidelamb.target import RedisTarget

__all__ = ["AsyncLink"]

T = TypeVar("T")

MOST_AT_ONCE = 50
"""Calls on their way at once; more wait for their turn instead of opening connections without end."""


class AsyncLink:
    """A way to Redis for one event loop.

    Args:
        target: a Redis URL, or a redis-py client whose connection settings are used.
        defaults: redis-py's connection arguments for what the URL does not say.

    Raises:
        ConfigError: the URL is no Redis URL.
    """

    def __init__(self, target: RedisTarget | Target, **defaults: Any) -> None:
        self._target = target_of(target).with_defaults(**{"socket_timeout": REPLY_TIMEOUT_S, **defaults})
        self.address = str(self._target)
        self._route = Route(self._target)
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._spares = Spares()
        self._busy: set[Any] = set()

    async def run(self, call: Call[T]) -> T:
        """Carry out `call` and return its answer; raises as `Link.run`."""
        wait = self._target.wait_replicas
        async with self._turns:
            return await self._lead(carry(call, self._route, self.address, wait_replicas=wait))

    async def command(self, *args: bytes | str | float, timeout: float | None = None) -> Any:
        """Send one plain command, once, waiting `timeout` seconds for the reply; raises as `Link.run`.

        It may block in Redis, so it takes no turn from the calls.
        """
        return await self._lead(ask(args, self._route, self.address), timeout)

    async def close(self) -> None:
        """Close all connections."""
        busy, self._busy = self._busy, set()
        for connection in [*self._spares.all(), *busy]:
            await connection.disconnect()

    async def _lead(self, steps: Steps[T], reply_within: float | None = None) -> T:
        """Have a conversation, and return what comes of it."""
        try:
            say = next(steps)
            while True:
                try:
                    replies = await self._exchange(say, reply_within)
                except (RedisError, NotOpen) as error:
                    say = steps.throw(error)
                else:
                    say = steps.send(replies)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _exchange(self, say: Say, reply_within: float | None) -> list[Any]:
        """Say commands and return their replies, errors that Redis answered among them."""
        if say.pause_s:
            await asyncio.sleep(say.pause_s)
        connection = await self._connection(say)
        replies: list[Any] = []
        try:
            async with asyncio.timeout(reply_within or self._target.kwargs["socket_timeout"]):
                for command in say.commands:
                    await connection.send_packed_command([packed(command)], check_health=False)
                for _ in say.commands:
                    replies.append(await _reply(connection) if connection.is_connected else replies[-1])
        except (rx.RedisError, OSError) as error:
            await connection.disconnect(nowait=True)
            await self._close_all(say)  # what cut this one has cut the others
            raise lost(self._name(say), error) from error
        except BaseException:
            await asyncio.shield(connection.disconnect(nowait=True))
            raise
        else:
            if say.to_sentinel or connection not in self._busy:  # the link was closed meanwhile
                await connection.disconnect(nowait=True)
            elif connection.is_connected:
                self._spares.put(say.place, connection)
            return replies
        finally:
            self._busy.discard(connection)

    async def _connection(self, say: Say) -> Any:
        if say.anew:
            await self._close_all(say)
        while not say.to_sentinel:
            connection, fresh = self._spares.take(say.place)
            if connection is None:
                break
            if fresh and _is_quiet(connection):
                self._busy.add(connection)
                return connection
            await connection.disconnect(nowait=True)
        if say.if_open:
            raise NotOpen
        return await self._open(say)

    async def _open(self, say: Say) -> Any:
        kwargs = arguments(self._target, say.place, to_sentinel=say.to_sentinel)
        connect_s, reply_s = kwargs["socket_connect_timeout"], kwargs["socket_timeout"]
        kwargs["socket_timeout"] = None
        connection: Any = _class_for(self._target, is_socket=not say.place.port)(**kwargs)
        try:
            async with asyncio.timeout(None if connect_s is None or reply_s is None else connect_s + reply_s):
                await connection.connect()
        except BaseException as error:
            await asyncio.shield(connection.disconnect(nowait=True))
            if is_answer(error) and isinstance(error, rx.RedisError):
                raise refused(error, self._name(say)) from None
            if isinstance(error, rx.RedisError | OSError | UnicodeError):
                raise unreachable(self._name(say), error) from error
            raise
        connection.sidelamb_born = time.monotonic()
        self._busy.add(connection)
        return connection

    async def _close_all(self, say: Say) -> None:
        for connection in self._spares.all_of(say.place):
            await connection.disconnect(nowait=True)

    def _name(self, say: Say) -> str:
        return str(say.place) if say.place in self._target.places else f"{say.place} (of {self.address})"


def _class_for(target: Target, *, is_socket: bool) -> type[Any]:
    if is_socket:
        return aredis.UnixDomainSocketConnection
    return aredis.SSLConnection if target.secure else aredis.Connection


async def _reply(connection: Any) -> Any:
    """Return one reply, or the error that Redis answered."""
    try:
        return await connection.read_response()
    except rx.RedisError as error:
        if is_answer(error):
            return error
        raise


def _is_quiet(connection: Any) -> bool:
    """Whether an idle connection is open and has nothing to say, also nothing that the loop did not see yet."""
    reader, writer = connection._reader, connection._writer  # noqa: SLF001 - there is no word for it
    if writer is None or writer.is_closing() or reader.at_eof() or reader._buffer:  # noqa: SLF001
        return False
    waiting = select.poll()
    waiting.register(writer.get_extra_info("socket").fileno(), select.POLLIN)
    return not waiting.poll(0)
