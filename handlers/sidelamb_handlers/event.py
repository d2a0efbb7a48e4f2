"""The event that carries jobs to a worker, and the answer that comes back.

Payloads are embedded as the raw JSON that came off the queue: never decoded, never escaped into strings. Both
forms carry a version. A poller and a worker one version apart understand each other: a version only adds fields,
which the reader may miss or find unknown, and what was needed before is still there.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from sidelamb.errors import SidelambError
from sidelamb_handlers.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = [
    "MOST_BYTES",
    "Answer",
    "BadEvent",
    "Invocation",
    "Status",
    "extra_bytes",
    "read_event",
    "write_event",
]

VERSION = 1

MOST_BYTES = 6_291_456 - 4_096
"""Bytes of jobs in one event: Lambda's 6 MB for a synchronous request, less what is around them."""


class BadEvent(SidelambError):
    """This event was not made by a Sidelamb poller."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one invocation is asked to do."""

    lease: str
    capsule: str
    start_by: float
    """Epoch s after which nothing of it may be started."""
    deadline: float
    """Epoch s by which the invocation must have ended."""
    threads: int
    detached: bool
    fields: list[str]
    """The jobs' fields in the lease, in order."""
    jobs: list[Any]
    """Their payloads, as JSON values."""
    careful: bool = False
    """Each job is to be settled before the next one starts."""
    capped: tuple[str, ...] = ()
    """Queues with a cap, whose jobs each make room when they leave the lease."""


def write_event(
    jobs: Mapping[str, bytes],
    *,
    lease: str,
    capsule: str,
    start_by: float,
    deadline: float,
    threads: int = 1,
    detached: bool = False,
    careful: bool = False,
    capped: Collection[str] = (),
) -> bytes:
    """Return the event for a lease. `jobs` must hold valid JSON; it is embedded as it is."""
    head = orjson.dumps(
        {
            "sidelamb": VERSION,
            "lease": lease,
            "capsule": capsule,
            "start_by": start_by,
            "deadline": deadline,
            "threads": threads,
            "detached": detached,
            **({"careful": True} if careful else {}),
            **({"capped": list(capped)} if capped and len(jobs) > 1 else {}),
            "fields": list(jobs),
        }
    )
    return b'%b,"jobs":[%b]}' % (head[:-1], b",".join(jobs.values()))


def extra_bytes(queues: Iterable[str]) -> int:
    """Return the most that a job of these queues adds to an event beside its payload: its field's quoted name."""
    return 24 + max(map(len, queues))


def read_event(event: Any) -> Invocation:
    """Read what `write_event` wrote, decoded by the Lambda runtime.

    Raises:
        BadEvent: it is something else, or of a version that this worker does not know.
    """
    if not isinstance(event, dict) or "sidelamb" not in event:
        raise BadEvent("this function runs jobs that a Sidelamb poller sends; this event is something else")
    version = event["sidelamb"]
    if type(version) is not int or abs(version - VERSION) > 1:
        raise BadEvent(f"the event has format {version!r}, this worker reads {VERSION}; deploy the worker first")
    return Invocation(
        lease=event["lease"],
        capsule=event["capsule"],
        start_by=event["start_by"],
        deadline=event["deadline"],
        threads=event.get("threads", 1),
        detached=event.get("detached", False),
        fields=event["fields"],
        jobs=event["jobs"],
        careful=event.get("careful") is True,
        capped=tuple(event.get("capped", ())),
    )


class Status:
    """What an answer says of its lease."""

    SETTLED = "settled"
    """All is written down; nothing is left to do."""
    REFUSED = "refused"
    """Nothing was run: too late, too little time, or the claim was another's."""
    UNSETTLED = "unsettled"
    """Jobs ran, and these outcomes are still to be written down by the poller."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker tells the poller."""

    lease: str
    status: str
    reason: str = ""
    ran: int = 0
    """Jobs started."""
    ms: float = 0.0
    """Milliseconds from claim to last settle."""
    outcomes: dict[str, Decision] = field(default_factory=dict)
    """By field, for `unsettled`."""
    claim: str = ""
    """The token of its claim, for `unsettled`."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Attempts by class, as `metrics.Tally` writes them."""

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        wire: dict[str, Any] = {"sidelamb": VERSION, "lease": self.lease, "status": self.status}
        wire |= {"reason": self.reason} if self.reason else {}
        wire |= {"ran": self.ran, "ms": round(self.ms, 3)}
        if self.outcomes:
            wire["outcomes"] = {name: decision.to_wire() for name, decision in self.outcomes.items()}
        if self.claim:
            wire["claim"] = self.claim
        if self.metrics:
            wire["metrics"] = dict(self.metrics)
        return wire

    @classmethod
    def from_wire(cls, raw: bytes) -> Answer | None:
        """Read an answer; None if it is not one."""
        try:
            wire = orjson.loads(raw)
            outcomes = {f: Decision.from_wire(d) for f, d in wire.get("outcomes", {}).items()}
            return cls(
                lease=wire["lease"],
                status=wire["status"],
                reason=wire.get("reason", ""),
                ran=wire["ran"],
                ms=wire["ms"],
                outcomes=outcomes,
                claim=wire.get("claim", ""),
                metrics=wire.get("metrics", {}),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
