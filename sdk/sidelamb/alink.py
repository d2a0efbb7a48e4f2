"""The way to Redis for asyncio: `Link`'s twin, with the same promises."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import redis.asyncio as aredis
import redis.exceptions as rx

from sidelamb.errors import RedisUncertain
from sidelamb.link import (
    ANSWERED,
    address_of,
    connection_kwargs,
    evalsha,
    evaluate,
    pool_kwargs,
    refused,
    unreachable,
)

if TYPE_CHECKING:
    from sidelamb.store import Call

__all__ = ["AsyncLink"]

T = TypeVar("T")

MOST_AT_ONCE = 50
"""Calls on their way at once; more wait for their turn instead of opening connections without end."""


class AsyncLink:
    """A way to Redis for one event loop.

    Args:
        target: a Redis URL, or the connection arguments of one.

    Raises:
        ConfigError: the URL is no Redis URL.
    """

    def __init__(self, target: str | dict[str, Any]) -> None:
        kwargs = _asyncio_kwargs(target) if isinstance(target, str) else dict(target)
        cls = kwargs.pop("connection_class", aredis.Connection)
        self.address = address_of(kwargs)
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._pool = aredis.ConnectionPool(connection_class=cls, **pool_kwargs(kwargs))

    async def run(self, call: Call[T]) -> T:
        """Carry out `call` and return its answer; raises as `Link.run`."""
        async with self._turns:
            return await self._run(call)

    async def _run(self, call: Call[T]) -> T:
        try:
            reply = await self._once(evalsha(call))
            if isinstance(reply, rx.NoScriptError):
                reply = await self._once(evaluate(call))
        except RedisUncertain:
            if not call.repeatable:
                raise
            reply = await self._once(evaluate(call))
        if isinstance(reply, ANSWERED):
            raise refused(reply, self.address)
        return call.read(reply)

    async def command(self, *args: bytes | str | float, timeout: float | None = None) -> Any:
        """Send one plain command, once, waiting `timeout` seconds for the reply; raises as `Link.run`.

        It may block in Redis, so it takes no turn from the calls.
        """
        reply = await self._once(args, timeout)
        if isinstance(reply, ANSWERED):
            raise refused(reply, self.address)
        return reply

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.disconnect()

    async def _once(self, command: tuple[Any, ...], reply_within: float | None = None) -> Any:
        connection = await self._checkout()
        try:
            packed = connection.pack_command(*command)
            await connection.send_packed_command(packed, check_health=False)
            if reply_within is None:
                return await connection.read_response()
            return await connection.read_response(timeout=reply_within)
        except ANSWERED as error:
            return error
        except (rx.RedisError, OSError) as error:
            await connection.disconnect(nowait=True)
            raise RedisUncertain(
                f"The connection to Redis at {self.address} broke before the answer ({error}): "
                "the command may have been carried out or not."
            ) from error
        except BaseException:
            await asyncio.shield(connection.disconnect(nowait=True))
            raise
        finally:
            await self._pool.release(connection)

    async def _checkout(self) -> Any:
        try:
            return await self._pool.get_connection()  # type: ignore[no-untyped-call]
        except ANSWERED as error:
            raise refused(error, self.address) from None
        except (rx.RedisError, OSError) as error:
            raise unreachable(self.address, error) from error


def _asyncio_kwargs(url: str) -> dict[str, Any]:
    kwargs = connection_kwargs(url)
    blocking = kwargs.pop("connection_class", None)
    if blocking is not None:
        kwargs["connection_class"] = getattr(aredis, blocking.__name__)
    return kwargs
