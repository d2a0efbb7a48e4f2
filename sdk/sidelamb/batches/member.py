"""What jobs in batches have done in Redis: they become members when they are stored, and tell how they end.

A member's payload names its batch, `bid`, and in `batch` each level above it: `[id, queues of its callbacks, 1 if
it keeps results]`, its own batch first. So whoever ends the job knows all keys. What becomes of a batch is decided
by `_effect_batch.lua`; `batch.py` is what users see.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sidelamb.effects import Effect, Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sidelamb.effects import Ended

__all__ = [
    "CANCELLED",
    "INDEX",
    "MOST_LEVELS",
    "Level",
    "beginning",
    "cancelling",
    "ending",
    "followers_of",
    "levels_of",
    "stamp",
    "starting",
    "steps_of",
]

INDEX = "sidelamb:batches"
"""Name of the set of all batches."""
CANCELLED = "sidelamb:cancelled"

MOST_LEVELS = 8
"""A batch in a batch in a batch: each job's payload names all of them."""

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
    is_ours = 0 < len(levels) <= MOST_LEVELS and levels[0].bid == payload.get("bid")
    return levels if is_ours and len({level.bid for level in levels}) == len(levels) else []


def steps_of(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the payloads of the steps that follow a job; none if what it has there is not of ours."""
    steps = payload.get("chain")
    return steps if type(steps) is list and all(map(_is_step, steps)) else []


def followers_of(payload: Mapping[str, Any]) -> list[str]:
    """Return the ids of the members that only run after this one."""
    return [step["jid"] for step in steps_of(payload)]


def stamp(now: float, payload: Mapping[str, Any]) -> str:
    """Return what closes the payload of a callback that is pushed now, in the unit of the times in `payload`."""
    written = round(now * 1000) if type(payload.get("created_at")) is int else now
    return f',"enqueued_at":{written}}}'


def beginning(payload: Mapping[str, Any], *_: object) -> Iterator[Effect]:
    """Become a member."""
    for level in levels_of(payload)[:1]:
        yield Effect("join", level.keys[:3], (str(payload["jid"]), *followers_of(payload)))


def starting(*_: object) -> tuple[Effect, ...]:
    """Nothing."""
    return ()


def ending(ended: Ended) -> Iterator[Effect]:
    """Tell the batch what has become of its member."""
    payload, event = ended.payload, _EVENTS.get(ended.event)
    levels = levels_of(payload)
    if not levels or event is None:
        return
    if event == "died" and not ended.is_kept:
        event = "dropped"
    result = _result(ended.result) if levels[0].keeps and event == "succeeded" else ""
    then = stamp(ended.now, payload)
    yield _effect(event, str(payload.get("jid")), ended.now, then, result, levels, followers_of(payload))


def cancelling(levels: Sequence[Level], now: float) -> Effect:
    """Return what cancels a batch."""
    return _effect("cancelled", "", now, stamp(now, {}), "", levels, [])


def _effect(  # noqa: PLR0917 - what the effect takes
    event: str, jid: str, now: float, stamp: str, result: str, levels: Sequence[Level], followers: Sequence[str]
) -> Effect:
    queues = list(dict.fromkeys(queue for level in levels for queue in level.queues))
    keys = ("queues", INDEX, CANCELLED, *(key for level in levels for key in level.keys))
    head = (event, jid, int(now * 1000), stamp, result, len(levels), len(followers))
    return Effect(
        "batch",
        (*keys, *(f"queue:{queue}" for queue in queues)),
        (*head, *(level.bid for level in levels), *followers, *queues),
    )


def _is_step(step: Any) -> bool:
    if type(step) is not dict or type(step.get("args")) is not list:
        return False
    return all(type(step.get(name)) is str and step[name] for name in ("jid", "class", "queue"))


def _text(value: Any) -> str:
    if type(value) is not str or not value:
        raise ValueError
    return value


def _result(value: Any) -> str:
    """Return a result as it is kept: JSON, or an object that says why it is not."""
    from sidelamb.results import kept  # noqa: PLC0415 - only for batches that keep results

    fields = kept(value)
    return fields.get("result") or json.dumps({"unkept": fields["unkept"]})
