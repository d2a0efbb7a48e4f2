"""Where on Redis a command belongs, and what an answer says about that. It does no I/O.

A route's methods are conversations: generators that yield what to `Say` and where, are sent the replies or
thrown what went wrong, and return what came of it. A link carries them out. Most Redis are one server, and
then a conversation is one exchange. Else: sentinels are asked for the primary whenever a connection is to be
opened; nodes of a cluster say who has our keys (MOVED, ASK), and are asked for all nodes then. What such an
answer declines has not run, so that it may be said once more in the right place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from redis.crc import key_slot

from sidelamb.answers import DISPLACED, code_of
from sidelamb.errors import RedisUncertain, RedisUnreachable
from sidelamb.target import Place

if TYPE_CHECKING:
    from collections.abc import Generator

    from sidelamb.target import Target

    T = TypeVar("T")
    Command = tuple[Any, ...] | bytes
    Steps = Generator["Say", list[Any], T]

__all__ = ["NotOpen", "Route", "Say"]

HOPS = 20
"""Times that one command is sent on before its last answer counts."""
TRY_AGAIN_AFTER_S = 0.1
"""While a slot moves from node to node, keys that belong together are apart for a moment."""

_ASKING = (b"ASKING",)
_CLUSTER_SLOTS = (b"CLUSTER", b"SLOTS")


class NotOpen(Exception):
    """There is no open connection, and none was to be opened."""


class Say(NamedTuple):
    """One exchange: commands that go out together on one connection."""

    place: Place
    commands: tuple[Command, ...]
    to_sentinel: bool = False
    if_open: bool = False
    """Only on a connection that is open already; else `NotOpen`."""
    anew: bool = False
    """Only on a new connection; the idle ones to this place are closed."""
    pause_s: float = 0.0
    """Before it is said."""


class Route:
    """The way through one Redis, learned from its answers.

    Args:
        target: where it begins.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._sentinels = target.places if target.service else ()
        self._here = target.places[0]
        self._nodes = target.places
        self._owners: tuple[tuple[int, int, Place], ...] = ()
        self._moved: dict[int, Place] = {}

    @property
    def only(self) -> Place | None:
        """Where everything goes, as far as is known; None if sentinels or nodes of a cluster have a say in it."""
        return None if self._sentinels or self._owners else self._here

    def tell(self, key: bytes | None, commands: tuple[Command, ...]) -> Steps[list[Any]]:
        """Say commands where `key` is, or anywhere, and return the replies, errors among them.

        Raises:
            RedisUnreachable, RedisUncertain: as thrown.
        """
        slot = None if key is None or not self._owners else key_slot(key)
        say = Say(self._place(slot), commands, if_open=bool(self._sentinels))
        searched = False
        for _ in range(HOPS):
            try:
                replies = (yield say)[-len(commands) :]
            except NotOpen:
                say = Say((yield from self._ask_sentinels()), commands)
                continue
            except RedisUnreachable:
                found = say.place if searched else (yield from self._search(slot, say.place))
                if found == say.place:
                    raise
                searched, say = True, Say(found, commands)
                continue
            code = code_of(replies[0])
            if code == "MOVED":
                place = _redirected(replies[0], say.place)
                slot = _slot_in(replies[0])
                yield from self._learn(slot, place)
                say = Say(place, commands)
            elif code == "ASK":
                say = Say(_redirected(replies[0], say.place), (_ASKING, *commands))
            elif code == "TRYAGAIN":
                say = say._replace(pause_s=TRY_AGAIN_AFTER_S)
            elif code in DISPLACED and not searched:
                searched = True
                say = Say((yield from self._search(slot, say.place)), commands, anew=True)
            else:
                if key is not None and len(say.commands) == len(commands):
                    self._here = say.place
                break
        return replies

    def _place(self, slot: int | None) -> Place:
        """Return where a slot was last; without one, where we last were."""
        if slot is None:
            return self._here
        moved = self._moved.get(slot)
        if moved is not None:
            return moved
        return next((place for first, last, place in self._owners if first <= slot <= last), self._here)

    def _search(self, slot: int | None, failed: Place) -> Steps[Place]:
        """Return where to go after `failed` has, perhaps there again (a name may now mean another server)."""
        if self._sentinels:
            return (yield from self._ask_sentinels())
        for node in self._nodes:
            if node != failed and (yield from self._ask_node(node)):
                return self._place(slot) if slot is not None else node
        return failed

    def _learn(self, slot: int, place: Place) -> Steps[None]:
        """Take over that a slot is at `place`, and what the node there knows of the others."""
        yield from self._ask_node(place)
        self._moved[slot] = place

    def _ask_node(self, node: Place) -> Steps[bool]:
        """Take over what a node says of the cluster; return whether it did."""
        try:
            (reply,) = yield Say(node, (_CLUSTER_SLOTS,))
        except (RedisUnreachable, RedisUncertain):
            return False
        if not isinstance(reply, list):
            return False
        owners, nodes = [], []
        for first, last, *members in reply:
            places = [Place(_host(host, node), int(port)) for host, port, *_ in members]
            owners.append((int(first), int(last), places[0]))
            nodes += places
        self._nodes = tuple(dict.fromkeys([*nodes, *self._target.places]))
        self._owners, self._moved = tuple(owners), {}
        return True

    def _ask_sentinels(self) -> Steps[Place]:
        """Return the primary's place, from the first sentinel that knows it.

        Raises:
            RedisUnreachable: none does.
        """
        service, heard = self._target.service, []
        for sentinel in self._sentinels:
            command = (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service.encode())
            try:
                (reply,) = yield Say(sentinel, (command,), to_sentinel=True)
            except (RedisUnreachable, RedisUncertain):
                heard.append(f"{sentinel} does not answer")
                continue
            if isinstance(reply, list):
                self._sentinels = (sentinel, *(s for s in self._sentinels if s != sentinel))
                self._here = Place(_host(reply[0], sentinel), int(reply[1]))
                return self._here
            heard.append(f"{sentinel} does not know it" if reply is None else f"{sentinel} says {reply}")
        raise RedisUnreachable(
            f"No sentinel says where the primary {service!r} is ({', '.join(heard)}); nothing was changed. "
            "Check the name in SIDELAMB_REDIS_URL and that the sentinels run."
        )


def _host(said: bytes | str | None, asked: Place) -> str:
    """Return a host as a node says it; one that does not know its own means the one that was asked."""
    text = said.decode() if isinstance(said, bytes) else said
    return asked.host if text in {None, "", "?"} else str(text)


def _slot_in(redirection: Any) -> int:
    return int(str(redirection).split()[-2])


def _redirected(redirection: Any, asked: Place) -> Place:
    """Return where MOVED or ASK points: `<slot> <host>:<port>`."""
    host, _, port = str(redirection).split()[-1].rpartition(":")
    return Place(_host(host.strip("[]"), asked), int(port))
