"""What becomes of one job of a lease: a decision, and the move in Redis that carries it out.

A decision holds changes to the payload, never the payload: so it is small enough to be handed from the worker
to the poller in an answer, and whoever carries it out splices the changes into the stored bytes.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sidelamb.effects import FIELDS, Effect, Ended, Event, endings
from sidelamb.errors import Malformed
from sidelamb.keys import source_of
from sidelamb.store import Move, keep, to_dead, to_retry, to_schedule
from sidelamb_handlers.foreign import renewed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SUCCEEDED",
    "Decision",
    "Outcome",
    "cancelled",
    "changed_fields",
    "interrupted",
    "move",
    "returned",
    "split",
    "with_effects",
]


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    RETRY = "retry"
    DEAD = "dead"
    DISCARDED = "discarded"
    SNOOZED = "snoozed"
    INTERRUPTED = "interrupted"
    RETURNED = "returned"
    """Back to the head of where it came from, or to be served alone."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome with all that is needed to write it down."""

    outcome: Outcome
    at: float = 0.0
    """Epoch s: when to try again (retry, snoozed), or when it died (dead)."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """New values of payload fields."""
    failed: bool = False
    """Whether the attempt counts as failed in the statistics."""
    counted: bool = True
    """Whether it counts as an attempt at all."""
    alone: bool = False
    """Returned to the list of jobs that are served alone."""
    reason: str = ""
    """For people: why it was discarded or returned."""
    effects: tuple[Effect, ...] = ()
    """What the job's features have done with it."""

    def to_wire(self) -> list[Any]:
        """Return plain JSON for an answer."""
        flags = "".join(sign for sign, on in (("f", self.failed), ("c", self.counted), ("a", self.alone)) if on)
        wire = [self.outcome.value, self.at, dict(self.changes), flags]
        return [*wire, [[e.verb, list(e.keys), list(e.args)] for e in self.effects]] if self.effects else wire

    @classmethod
    def from_wire(cls, wire: list[Any]) -> Decision:
        """Read what `to_wire` wrote."""
        outcome, at, changes, flags, *rest = wire
        given = rest[0] if rest and isinstance(rest[0], list) else ()
        effects = tuple(Effect(verb, tuple(keys), tuple(args)) for verb, keys, args in given)
        return cls(
            Outcome(outcome),
            at,
            changes,
            failed="f" in flags,
            counted="c" in flags,
            alone="a" in flags,
            effects=effects,
        )

    @property
    def event(self) -> Event:
        """What it means to the job's features."""
        if self.outcome is Outcome.DISCARDED:
            return Event.DIED if self.failed else Event.DISCARDED
        if self.outcome is Outcome.RETURNED and self.failed:
            return Event.FAILED
        return _EVENTS.get(self.outcome, Event.PUT_OFF)


_EVENTS = {Outcome.SUCCEEDED: Event.SUCCEEDED, Outcome.RETRY: Event.FAILED, Outcome.DEAD: Event.DIED}


SUCCEEDED = Decision(Outcome.SUCCEEDED)


def with_effects(
    decision: Decision, payload: Any, now: float, result: Any = None, error: BaseException | None = None
) -> Decision:
    """Return a decision about a job, with what its features have done."""
    if not isinstance(payload, dict) or FIELDS.isdisjoint(payload):
        return decision
    is_kept = decision.outcome is not Outcome.DISCARDED
    ended = Ended(payload, decision.event, now, decision.changes, result, error, is_kept)
    return replace(decision, effects=endings(ended))


def returned(reason: str, *, alone: bool = False) -> Decision:
    """Return the decision for a job that goes back uncharged, to be served alone if so."""
    return Decision(Outcome.RETURNED, counted=False, alone=alone, reason=reason)


def cancelled(now: float) -> Decision:
    """Return the decision for a job that somebody has cancelled: done, and no failure."""
    return Decision(Outcome.DISCARDED, now, reason="cancelled")


def interrupted(payload: Mapping[str, Any], now: float, reason: str) -> Decision:
    """Return the decision for a job that goes on in another execution: to the back of its queue, uncounted.

    It enters the queue anew, so that nobody takes it for one that has waited since its first execution; and it
    was started, so that it cannot expire any more.
    """
    changes = {"enqueued_at": now, **({"expiry": None} if "expiry" in payload else {})}
    return Decision(Outcome.INTERRUPTED, now, changes, counted=False, reason=reason)


def changed_fields(batch: Mapping[str, Decision]) -> list[str]:
    """Return the fields whose stored bytes are needed to carry a batch of decisions out."""
    return [name for name, decision in batch.items() if decision.changes]


def split(batch: Mapping[str, Decision], stored: Mapping[str, bytes]) -> tuple[list[str], list[Move]]:
    """Return (fields that simply succeeded, moves of the others) for a batch of decisions.

    A job whose bytes are needed but not in `stored` has left the lease, and is passed over. The moves are in
    reversed order: jobs go back to the right end of their list, and the first of them must end rightmost.
    """
    done = [name for name, decision in batch.items() if _is_plain(decision)]
    moves = [
        move(name, decision, stored.get(name, b""))
        for name, decision in reversed(list(batch.items()))
        if not _is_plain(decision) and (name in stored or not decision.changes)
    ]
    return done, moves


def _is_plain(decision: Decision) -> bool:
    return decision.outcome is Outcome.SUCCEEDED and not decision.effects


def move(name: str, decision: Decision, raw: bytes) -> Move:
    """Return the move that carries out a decision.

    Args:
        name: the job's field in its lease.
        decision: what was decided.
        raw: the payload's bytes as they lie in the lease.
    """
    made = _move(name, decision, raw)
    return replace(made, effects=decision.effects) if decision.effects else made


def _move(name: str, decision: Decision, raw: bytes) -> Move:  # noqa: PLR0911 - one for each outcome
    new = _changed(raw, decision.changes, source_of(name)[0])
    match decision.outcome:
        case Outcome.RETRY:
            return to_retry(name, decision.at, new)
        case Outcome.DEAD:
            return to_dead(name, decision.at, new, count="f" if decision.failed else "-")
        case Outcome.SNOOZED:
            return to_schedule(name, decision.at, new)
        case Outcome.RETURNED:
            back = keep(name, alone=decision.alone)
            return replace(back, payload=new, count="f") if decision.failed else back
        case Outcome.INTERRUPTED:
            queue = source_of(name)[0]
            return Move(name, "l", f"queue:{queue}", payload=new)
        case Outcome.SUCCEEDED | Outcome.DISCARDED:
            if not decision.counted:
                return Move(name, "x")
            return Move(name, "x", count="f" if decision.failed else "p")


def _changed(raw: bytes, changes: Mapping[str, Any], queue: str) -> bytes:
    if not changes:
        return b""
    try:
        return renewed(raw, changes, queue)
    except (Malformed, TypeError):
        return b""  # what cannot be read or written moves as it is
