"""Unique jobs: of two with the same key, the second is not stored while the first one lives.

    @job(unique_for=3600)
    def sync(user_id: int) -> None: ...

    first = sync.enqueue(12)
    assert sync.enqueue(12) == first     # the one that holds the lock

The lock is taken in the script that stores the job, holds the job's id, and goes with its end: success, death,
discard, deletion by a person; or, with `unique_until="start"`, as soon as it starts. What nothing of that reaches
ends `unique_for` seconds after it was to run; `sidelamb.api.Locks` lists locks and gives them back by hand.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from sidelamb.effects import Effect, Event
from sidelamb.errors import BadOption
from sidelamb.handle import bare
from sidelamb.lenient import number
from sidelamb.payload import canonical
from sidelamb.told import told_by
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sidelamb.effects import Ended
    from sidelamb.options import JobOptions

__all__ = ["LOCKS", "beginning", "ending", "lock_key", "marker", "starting", "unlock"]

LOCKS = "sidelamb:locks"
"""All locks, scored with the epoch second at which each ends by itself."""

MOST_S = 1e9
"""No lock lasts longer, whatever a payload says."""

_ENDS = {Event.SUCCEEDED, Event.DIED, Event.DISCARDED, Event.DELETED}


def marker(options: JobOptions, names: Sequence[str]) -> Callable[[dict[str, Any], float | None], None]:
    """Return what puts a lock into the payloads of a job with these options.

    Args:
        options: the job's.
        names: of its function's arguments that may stand by position: `f(1)` and `f(a=1)` are the same call.
    """
    by, until, digests = options.unique_by, options.unique_until, _sealed if options.encrypt else _plain

    def mark(payload: dict[str, Any], _: float | None) -> None:
        name, args, kwargs = payload["class"], payload["args"], payload.get("kwargs", {})
        own = _call(args, kwargs, names) if by is None else told_by(by, payload, f"unique_by of {name}")
        try:
            identity = canonical([name, payload["queue"], bare(own)])
        except TypeError:
            if by is None:
                return  # the arguments are no plain JSON, which is told better further on
            raise BadOption(
                f"unique_by of {name} has returned {shown(own)}; expected plain JSON, like a text or a list of ids"
            ) from None
        payload["lock"], *others = [f"{name}:{digest}" for digest in digests(identity, name)]
        if others:
            payload["lock_also"] = others
        payload["unique_for"] = options.unique_for_s
        if until == "start":
            payload["unique_until"] = until

    return mark


def lock_key(lock: str) -> str:
    """Return the name of a lock's key."""
    return f"sidelamb:lock:{lock}"


def unlock(lock: str, jid: str) -> Effect:
    """Return the effect that gives a lock back, if this job holds it."""
    return Effect("unlock", (lock_key(lock), LOCKS), (jid, lock))


def beginning(payload: Mapping[str, Any], now: float, at: float | None) -> Iterator[Effect]:
    """Take the lock, or be refused with the id of who holds it."""
    yield from _locking("lock", payload, now, at or now)


def starting(payload: Mapping[str, Any], *_: object) -> Iterator[Effect]:
    """Give the lock back, if it is held until the start only."""
    if payload.get("unique_until") == "start":
        yield from _unlocking(payload)


def ending(ended: Ended) -> Iterator[Effect]:
    """Give the lock back if the job is over; take it again, if it is free, when a person sends the job back."""
    if ended.event in _ENDS:
        yield from _unlocking(ended.payload)
    elif ended.event is Event.SENT_BACK:
        yield from _locking("relock", ended.payload, ended.now, ended.now)


def _locking(verb: str, payload: Mapping[str, Any], now: float, at: float) -> Iterator[Effect]:
    lasts_s = max(0.001, max(0.0, at - now) + min(MOST_S, number(payload.get("unique_for")) or 0.0))
    for lock in _locks(payload):
        args = (str(payload.get("jid")), int(lasts_s * 1000), lock, now + lasts_s, now)
        yield Effect(verb, (lock_key(lock), LOCKS), args)


def _unlocking(payload: Mapping[str, Any]) -> Iterator[Effect]:
    for lock in _locks(payload):
        yield unlock(lock, str(payload.get("jid")))


def _locks(payload: Mapping[str, Any]) -> list[str]:
    also = payload.get("lock_also")
    return [str(lock) for lock in (payload["lock"], *(also if isinstance(also, list) else ()))]


def _call(args: list[Any], kwargs: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the arguments of a call, by name where they have one that is not taken."""
    by_name = dict(zip(names, args, strict=False))
    if len(args) > len(names) or not by_name.keys().isdisjoint(kwargs):
        return [args, kwargs]
    return {**by_name, **kwargs}


def _plain(identity: bytes, _: str) -> list[str]:
    return [hashlib.sha256(identity).hexdigest()[:32]]


def _sealed(identity: bytes, name: str) -> list[str]:
    """Return a digest by each encryption key, so that they say nothing of the arguments to who has none.

    By each, for while keys are rotated another process may have another one first, and must find the lock.
    """
    from sidelamb.seal import lock_keys  # noqa: PLC0415 - only who encrypts needs it

    return [hmac.digest(key, identity, "sha256").hex()[:32] for key in lock_keys(name)]
