"""From a step that has succeeded to the next one, which is pushed in the script that settles it.

A step's payload has those that follow it, complete but for results, in `chain`. So a chain needs no state of its
own, stops where a step fails, and goes on from there when a person retries it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.batches.member import levels_of, steps_of
from sidelamb.effects import Effect, Event, beginnings
from sidelamb.errors import JobError, PayloadTooLarge
from sidelamb.payload import encode
from sidelamb.results import kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sidelamb.effects import Ended
    from sidelamb.registry import Registry

__all__ = ["beginning", "carried", "ending", "following", "starting", "taken"]

_HANDED_ON = ("bid", "batch", "traceparent", "carried")
_OWN_EFFECTS = {"status", "note"}
"""What of its features is done when a step is pushed by the one before it."""


def beginning(*_: object) -> tuple[Effect, ...]:
    """Nothing."""
    return ()


def starting(*_: object) -> tuple[Effect, ...]:
    """Nothing."""
    return ()


def ending(ended: Ended) -> Iterator[Effect]:
    """Push the next step, if this one has succeeded."""
    if ended.event is not Event.SUCCEEDED or not steps_of(ended.payload):
        return
    payload = following(ended.payload, ended.result, ended.now)
    queue = payload["queue"]
    keys = ("queues", f"queue:{queue}", "dead")
    yield Effect("next", keys, (queue, encode(payload).decode(), ended.now))
    own = beginnings(payload, ended.now, None)
    yield from (effect for effect in own if effect.verb in _OWN_EFFECTS)


def following(payload: Mapping[str, Any], result: Any, now: float) -> dict[str, Any]:
    """Return the payload of the step that follows, with the result that it takes."""
    head, *rest = payload["chain"]
    new = taken(head, result) if head.get("takes") else dict(head)
    new |= {name: payload[name] for name in _HANDED_ON if name in payload}
    if levels_of(new):
        (bid, queues, *_), *parents = new["batch"]
        new["batch"] = [[bid, queues, *([1] if new.get("keeps") else [])], *parents]
    if rest:
        new["chain"] = rest
    new["enqueued_at"] = round(now * 1000) if type(payload.get("created_at")) is int else now
    return new


def taken(step: Mapping[str, Any], result: Any) -> dict[str, Any]:
    """Return a step with a result as its first argument."""
    new = {name: value for name, value in step.items() if name != "takes"}
    if new.get("sealed") is None:
        return new | {"args": [result, *new["args"]]}
    from sidelamb.seal import opened, seal  # noqa: PLC0415 - only for jobs that encrypt their arguments

    args, kwargs = opened(new)
    new |= {"args": [result, *args], **({"kwargs": kwargs} if kwargs else {})}
    seal(new)
    return new


def carried(payload: Mapping[str, Any], value: Any, registry: Registry) -> Any:
    """Return a step's result as it is handed on.

    Raises:
        JobError: JSON does not have it, or it is too large: the step has failed.
    """
    after = next(iter(steps_of(payload)), None)
    job = registry.find(str(after.get("class"))) if after is not None else None
    codec = job.template.shape.codec if job is not None else None
    if codec is not None and value is not None:
        value = codec.encode([value], {})[0][0]
    fields = kept(value)
    if "unkept" in fields:
        raise JobError(f"{payload.get('class')}: its result cannot be handed on: {fields['unkept']}")
    if after is not None:
        size, most = len(encode(following(payload, value, 0.0))), settings.max_payload()
        if size > most:
            names = payload.get("class"), after.get("class")
            raise PayloadTooLarge(
                f"{names[0]}: with its result the next step, {names[1]}, has {size:,} bytes; "
                f"the limit is {most:,} (SIDELAMB_MAX_PAYLOAD): store the data elsewhere and return its id"
            )
    return value
