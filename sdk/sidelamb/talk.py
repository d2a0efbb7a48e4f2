"""How a `Call` is carried out, whatever carries it.

By its digest, by its text if Redis does not know it yet, and once more if the reply got lost and the script may
arrive twice. It does no I/O; see `sidelamb.route`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from sidelamb import scripts
from sidelamb.answers import code_of, refused
from sidelamb.errors import RedisError, RedisUncertain
from sidelamb.resp import packed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidelamb.route import Command, Route, Steps
    from sidelamb.store import Arg, Call

__all__ = ["ask", "carry", "in_words"]

T = TypeVar("T")

WAIT_MS = 1_000
"""How long replicas are waited for."""
MOST_ARGUMENTS = 3_999 - 3
"""Keys and arguments of a script: ElastiCache Serverless takes 3,999 arguments a command."""
PACKED = b"cmsgpack\0"
"""The first of two arguments, if the second one is all of them."""
_PROMISES = frozenset({"enqueue", "push", "schedule"})
"""Scripts whose answer promises someone a job. What the others change may be forgotten without losing one."""


def carry(
    call: Call[T], route: Route, address: str, *, wait_replicas: int = 0, late: Callable[[], bool] | None = None
) -> Steps[T]:
    """Carry out `call` and return its answer.

    Args:
        call: what to do.
        route: where.
        address: how errors name it.
        wait_replicas: so many replicas must have what the call promises.
        late: says whether there is no time for a second try.

    Raises:
        RedisUnreachable: no connection; certainly not done.
        RedisRefused: Redis answered with an error; certainly not done.
        RedisUncertain: the reply was lost, or too few replicas confirmed it; perhaps done.
    """
    wait = wait_replicas if call.script in _PROMISES else 0
    try:
        replies = yield from _told(call, route, address, wait, by_digest=True)
    except RedisUncertain as error:
        if not call.repeatable or (late is not None and late()):
            raise
        try:
            replies = yield from _told(call, route, address, wait, by_digest=False)
        except RedisError as second:
            raise error from second  # the first may have arrived
    if wait and not (isinstance(replies[1], int) and replies[1] >= wait):
        raise RedisUncertain(
            f"Redis at {address} has it, but not {wait} replicas (WAIT answered {replies[1]}): "
            "it is lost if Redis fails over now."
        )
    return call.read(replies[0])


def ask(command: Command, route: Route, address: str) -> Steps[Any]:
    """Say one plain command and return its reply.

    Raises:
        RedisUnreachable, RedisRefused, RedisUncertain: as `carry`.
    """
    key = _key_of(command)
    if key is not None and command[0] in {b"SCAN", "SCAN"}:  # no node says that it is the wrong one to scan
        yield from route.tell(key, ((b"EXISTS", key),))
        key = None
    (reply,) = yield from route.tell(key, (command,))
    if isinstance(reply, Exception):
        raise refused(reply, address)
    return reply


def in_words(call: Call[Any], *, by_digest: bool = True) -> Command:
    """Return a call as the command that it is: EVALSHA, or EVAL."""
    if by_digest and call.script == "push":
        payload: Any
        queue, payload = call.args
        return b"%b$%d\r\n%b\r\n" % (_push_to(*call.keys, str(queue)), len(payload), payload)
    script = scripts.load(call.script)
    what = (b"EVALSHA", script.sha) if by_digest else (b"EVAL", script.text)
    return (*what, len(call.keys), *call.keys, *_arguments(call))


@functools.lru_cache(256)
def _push_to(queues: bytes, key: bytes, queue: str) -> bytes:
    """Return what is the same in all pushes to a queue: the command but for its last argument, packed."""
    whole = packed((b"EVALSHA", scripts.load("push").sha, 2, queues, key, queue, b""))
    return whole.removesuffix(b"$0\r\n\r\n")


def _told(call: Call[T], route: Route, address: str, wait: int, *, by_digest: bool) -> Steps[list[Any]]:
    also: tuple[Command, ...] = ((b"WAIT", wait, WAIT_MS),) if wait else ()
    key = call.keys[0] if call.keys else None
    replies = [None]
    if by_digest:
        replies = yield from route.tell(key, (in_words(call), *also))
    if not by_digest or code_of(replies[0]) == "NOSCRIPT":
        replies = yield from route.tell(key, (in_words(call, by_digest=False), *also))
    if isinstance(replies[0], Exception):
        raise refused(replies[0], address)
    return replies


def _arguments(call: Call[Any]) -> Sequence[Arg]:
    """Return the arguments of a call, as one if they are too many; `_common.lua` unpacks it."""
    if len(call.args) + len(call.keys) <= MOST_ARGUMENTS:
        return call.args
    parts = [b"\xdd", len(call.args).to_bytes(4, "big")]  # MessagePack: an array of long strings
    for arg in call.args:
        raw = arg if isinstance(arg, bytes) else str(arg).encode()
        parts += (b"\xdb", len(raw).to_bytes(4, "big"), raw)
    return (PACKED, b"".join(parts))


def _key_of(command: Command) -> bytes | None:
    """Return the key of a plain command, as far as it matters: in a cluster, keys have a hash tag."""
    texts = (part.encode() if isinstance(part, str) else part for part in command[1:])
    return next((text for text in texts if isinstance(text, bytes) and b"{" in text), None)
