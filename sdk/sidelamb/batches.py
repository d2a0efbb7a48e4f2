"""What jobs in batches have done in Redis: they become members when they are stored, and tell how they end.

A member's payload names its batch, `bid`, and in `batch` each level above it: `[id, queues of its callbacks, 1 if
it keeps results]`, its own batch first. So whoever ends the job knows all keys. What becomes of a batch is decided by
`_effect_batch.lua`; `batch.py` is what users see.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sidelamb.effects import Effect, Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sidelamb.effects import Ended

__all__ = ["INDEX", "Level", "beginning", "ending", "levels_of", "stamp", "starting"]

INDEX = "sidelamb:batches"
"""Name of the set of all batches."""

_SETS = ("", ":pending", ":unrun", ":failed", ":dead", ":results")
_EVENTS = {
    Event.SUCCEEDED: "succeeded",
    Event.FAILED: "failed",
    Event.DIED: "died",
    Event.DISCARDED: "gone",
    Event.DELETED: "gone",
}


class Level(NamedTuple):
    """A batch, as its members' payloads know it."""

    bid: str
    queues: tuple[str, ...] = ()
    """Of its callbacks."""
    keeps: bool = False
    """Whether it keeps what its jobs return."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of its six keys, in the order of `_effect_batch.lua`."""
        return tuple(f"sidelamb:batch:{self.bid}{end}" for end in _SETS)

    @property
    def children(self) -> str:
        """Name of the set of the batches in it."""
        return f"sidelamb:batch:{self.bid}:children"

    def to_wire(self) -> list[Any]:
        """Return what stands in a payload."""
        return [self.bid, list(self.queues), *([1] if self.keeps else [])]


def levels_of(payload: Mapping[str, Any]) -> list[Level]:
    """Return the batches that a job is in, its own first; none if it is in none, or in one of somebody else's."""
    try:
        levels = [
            Level(_text(bid), tuple(map(_text, queues)), bool(keeps)) for bid, queues, *keeps in payload["batch"]
        ]
    except (KeyError, TypeError, ValueError):
        return []
    return levels if levels and levels[0].bid == payload.get("bid") else []


def stamp(now: float, payload: Mapping[str, Any]) -> str:
    """Return what closes the payload of a callback that is pushed now, in the unit in which this client writes times."""
    written = round(now * 1000) if type(payload.get("created_at")) is int else now
    return f',"enqueued_at":{written}}}'


def beginning(payload: Mapping[str, Any], *_: object) -> Iterator[Effect]:
    """Become a member."""
    for level in levels_of(payload)[:1]:
        yield Effect("join", level.keys[:3], (str(payload["jid"]),))


def starting(*_: object) -> tuple[Effect, ...]:
    """Nothing."""
    return ()


def ending(ended: Ended) -> Iterator[Effect]:
    """Tell the batch what has become of its member."""
    levels, event = levels_of(ended.payload), _EVENTS.get(ended.event)
    if not levels or event is None:
        return
    queues = list(dict.fromkeys(queue for level in levels for queue in level.queues))
    keys = ("queues", *(key for level in levels for key in level.keys), *(f"queue:{queue}" for queue in queues))
    result = _result(ended.result) if event == "succeeded" and levels[0].keeps else ""
    head = (event, str(ended.payload.get("jid")), int(ended.now * 1000), stamp(ended.now, ended.payload), result)
    yield Effect("batch", keys, (*head, len(levels), *(level.bid for level in levels), *queues))


def _text(value: Any) -> str:
    if type(value) is not str or not value:
        raise ValueError
    return value


def _result(value: Any) -> str:
    """Return a result as it is kept: JSON, or an object that says why it is not."""
    from sidelamb.results import kept  # noqa: PLC0415 - only for batches that keep results

    fields = kept(value)
    return fields.get("result") or json.dumps({"unkept": fields["unkept"]})
