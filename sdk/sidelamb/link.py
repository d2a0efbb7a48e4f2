"""The way to Redis: carries out a `Call` once, and says exactly what became of it.

redis-py sends commands again by itself when a reply is late or lost, which pushes one job several times. So a
link uses redis-py's connections, but does its own talking: a command is sent once. What failed before sending
is `RedisUnreachable`, what Redis declined is `RedisRefused`; when the reply was lost after sending it is
`RedisUncertain`, unless the script is safe to repeat, which is then done once on a new connection. What Redis
declines because another server is to be asked is said again there: nothing had run.

A link is safe for threads and forks. It connects when it is first used.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import redis
import redis.exceptions as rx

from sidelamb.answers import is_answer, lost, refused, unreachable
from sidelamb.channel import Channel
from sidelamb.errors import RedisError
from sidelamb.resp import packed
from sidelamb.route import NotOpen, Route, Say
from sidelamb.spares import REPLY_TIMEOUT_S, Spares, arguments
from sidelamb.talk import ask, carry, in_words
from sidelamb.target import Target, target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.route import Steps
    from sidelamb.store import Call
    from sidelamb.target import RedisTarget

__all__ = ["Link"]

T = TypeVar("T")


class Link:
    """A blocking way to Redis.

    Args:
        target: a Redis URL, or a redis-py client whose connection settings are used (never its retries).
        defaults: redis-py's connection arguments for what the URL does not say.

    Raises:
        ConfigError: the URL is no Redis URL.
    """

    def __init__(self, target: RedisTarget | Target, **defaults: Any) -> None:
        self._target = target_of(target).with_defaults(**{"socket_timeout": REPLY_TIMEOUT_S, **defaults})
        self.address = str(self._target)
        self._route = Route(self._target)
        self._spares = Spares()

    def run(
        self, call: Call[T], *, within_s: float | None = None, meanwhile: Callable[[], object] | None = None
    ) -> T:
        """Carry out `call` and return its answer.

        Args:
            call: what to do.
            within_s: seconds after which no reply is waited for; None: the connection's own limit for each.
            meanwhile: what may be done while the answer is on its way; is not, if that takes a conversation.

        Raises:
            RedisUnreachable: no connection; certainly not done.
            RedisRefused: Redis answered with an error; certainly not done.
            RedisUncertain: the reply was lost; perhaps done.
        """
        until = None if within_s is None else time.monotonic() + within_s
        late = None if until is None else lambda: time.monotonic() >= until
        wait, place = self._target.wait_replicas, self._route.only
        outcome: list[Any] | Exception | None = None
        if place is not None and not wait:  # mostly one exchange is all, and needs no conversation
            outcome = self._outcome(Say(place, (in_words(call),)), until, meanwhile)
            if type(outcome) is list and not isinstance(outcome[0], Exception):
                return call.read(outcome[0])
        return self._lead(carry(call, self._route, self.address, wait_replicas=wait, late=late), until, outcome)

    def command(self, *args: bytes | str | float) -> Any:
        """Send one plain command, once.

        Raises:
            RedisUnreachable, RedisRefused, RedisUncertain: as `run`.
        """
        return self._lead(ask(args, self._route, self.address))

    def close(self) -> None:
        """Close the connections that are not in use; the next call opens new ones."""
        for channel in self._spares.all():
            channel.close()

    def _lead(
        self, steps: Steps[T], until: float | None = None, outcome: list[Any] | Exception | None = None
    ) -> T:
        """Have a conversation, and return what comes of it; the first exchange may have been made already."""
        try:
            say = next(steps)
            while True:
                if outcome is None:
                    outcome = self._outcome(say, until)
                say = steps.throw(outcome) if isinstance(outcome, Exception) else steps.send(outcome)
                outcome = None
        except StopIteration as end:
            result: T = end.value
            return result

    def _outcome(
        self, say: Say, until: float | None, meanwhile: Callable[[], object] | None = None
    ) -> list[Any] | Exception:
        try:
            return self._exchange(say, until, meanwhile)
        except (RedisError, NotOpen) as error:
            return error

    def _exchange(self, say: Say, until: float | None, meanwhile: Callable[[], object] | None) -> list[Any]:
        """Say commands and return their replies, errors that Redis answered among them."""
        if say.pause_s:
            time.sleep(say.pause_s)
        channel = self._channel(say, until)
        try:
            replies = channel.say([packed(command) for command in say.commands], until, meanwhile)
        except (rx.RedisError, OSError) as error:
            channel.close()
            self._close_all(say)  # what cut this one has cut the others
            raise lost(self._name(say), error) from error
        except BaseException:
            channel.close()  # a half-read reply must not be read by the next call
            raise
        if say.to_sentinel:
            channel.close()
        elif channel.is_open:
            self._spares.put(say.place, channel)
        return replies

    def _channel(self, say: Say, until: float | None) -> Channel:
        if say.anew:
            self._close_all(say)
        while not say.to_sentinel:
            channel: Channel | None
            channel, fresh = self._spares.take(say.place)
            if channel is None:
                break
            if fresh and channel.is_quiet():
                return channel
            channel.close()
        if say.if_open:
            raise NotOpen
        return self._open(say, until)

    def _open(self, say: Say, until: float | None) -> Channel:
        target = self._target
        kwargs = arguments(target, say.place, to_sentinel=say.to_sentinel)
        if until is not None:
            left = max(0.001, until - time.monotonic())
            kwargs["socket_connect_timeout"] = min(left, kwargs["socket_connect_timeout"] or left)
        connection: Any = _class_for(target, is_socket=not say.place.port)(**kwargs)
        try:
            connection.connect()
        except BaseException as error:
            connection.disconnect()
            if is_answer(error) and isinstance(error, rx.RedisError):
                raise refused(error, self._name(say)) from None
            if isinstance(error, rx.RedisError | OSError | UnicodeError):
                raise unreachable(self._name(say), error) from error
            raise
        return Channel(connection)

    def _close_all(self, say: Say) -> None:
        for channel in self._spares.all_of(say.place):
            channel.close()

    def _name(self, say: Say) -> str:
        return str(say.place) if say.place in self._target.places else f"{say.place} (of {self.address})"


def _class_for(target: Target, *, is_socket: bool) -> type[Any]:
    if is_socket:
        return redis.UnixDomainSocketConnection
    return redis.SSLConnection if target.secure else redis.Connection
