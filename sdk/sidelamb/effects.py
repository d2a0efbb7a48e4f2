"""What a job's features do in Redis, in the same script that stores, begins, ends or moves the job.

A feature marks the payloads of its jobs with a field of its own; whoever moves a job asks here by these fields.
So a job without features pays one look at its fields, and nobody who moves jobs knows the features.

A feature is a module with up to three functions, each of which returns effects:

    beginning(payload, now, at)       when the job is stored for the first time, to run at `at` (None: now)
    starting(payload, now, until, options)  before each run, by the worker, whose claim ends at `until`, with the
                                      options that the job has there
    ending(ended)                     after each run, and whatever else ends the job

What an effect does stands in `lua/_effect_<feature>.lua`. Names of keys are without the namespace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from sidelamb.late import late_import

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sidelamb.options import JobOptions

__all__ = ["FIELDS", "Effect", "Ended", "Event", "beginnings", "endings", "startings"]

_FEATURES = {
    "limit": "sidelamb.limits",
    "lock": "sidelamb.unique",
    "result_ttl": "sidelamb.results",
    "django": "sidelamb.django.record",
    "bid": "sidelamb.batches.member",
    "chain": "sidelamb.workflows.carrying",
}
"""The field that marks a job, and the module of the feature."""

FIELDS = frozenset(_FEATURES)
"""A payload with one of these fields uses a feature."""


class Effect(NamedTuple):
    """One step of a feature."""

    verb: str
    keys: tuple[str, ...]
    """Names within the namespace."""
    args: tuple[str | int | float, ...]
    """Plain JSON: a worker without Redis sends them to the poller."""
    over: tuple[str, ...] = ()
    """Ids of jobs whose runs are over, though nobody has written that down yet: what they hold may be taken."""


class Event(StrEnum):
    """What an ending is."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """It will be tried again."""
    DIED = "died"
    """It failed for good: in `dead`, or dropped because its options say so."""
    DISCARDED = "discarded"
    """It is over without failure: by its own word, cancelled, or expired."""
    DELETED = "deleted"
    """A person has deleted it."""
    PUT_OFF = "put off"
    """It did not run, or not to its end, and goes on later; nothing is counted."""
    SENT_BACK = "sent back"
    """A person has it run now: from `dead`, `retry` or the schedule."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job, or one run of it, has ended."""

    payload: Mapping[str, Any]
    event: Event
    now: float
    """Epoch s."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """New fields of its payload: the error's, if it failed."""
    result: Any = None
    """What it returned, if it succeeded."""
    error: BaseException | None = None
    """What it failed with, where that is at hand."""
    is_kept: bool = True
    """Whether one that died is in `dead`; if not, nobody can ever retry it."""


def beginnings(payload: Mapping[str, Any], now: float, at: float | None) -> tuple[Effect, ...]:
    """Return what is done with a job's first storing, to run at epoch s `at` or now."""
    return tuple(effect for feature in _features(payload) for effect in feature.beginning(payload, now, at))


def startings(payload: Mapping[str, Any], now: float, until: float, options: JobOptions) -> tuple[Effect, ...]:
    """Return what is done before a run, of a job with these options, that cannot live beyond epoch s `until`."""
    features = _features(payload)
    return tuple(effect for feature in features for effect in feature.starting(payload, now, until, options))


def endings(ended: Ended) -> tuple[Effect, ...]:
    """Return what is done with an ending."""
    return tuple(effect for feature in _features(ended.payload) for effect in feature.ending(ended))


def _features(payload: Collection[str]) -> Iterator[Any]:
    if not FIELDS.isdisjoint(payload):
        for field, module in _FEATURES.items():
            if field in payload:
                with late_import:
                    feature = import_module(module)
                yield feature
