"""Many entries of a set retried, killed, deleted or given another time: in steps, each whole in itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sidelamb.api import Bulk, Queue
from sidelamb.errors import RedisError
from sidelamb_local.errors import LocalStackError
from sidelamb_local.long_work import LongWork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb.api.entries import Move
    from sidelamb.api.entries import Place as Position
    from sidelamb_local.places import AnySet, Place, Wanted

__all__ = ["DOING", "DONE", "Ended", "act", "can"]

STEP = 1_000
DOING = {"retry": "retrying", "kill": "killing", "delete": "deleting", "reschedule": "rescheduling"}
DONE = {"retry": "retried", "kill": "killed", "delete": "deleted", "reschedule": "rescheduled"}


class Ended(NamedTuple):
    """What it came to."""

    moved: int
    skipped: int
    """Entries that could not be: their bytes are no job."""
    whole: bool
    """Whether nobody pressed Ctrl-C."""


def can(place: Place, verb: str) -> None:
    """Raise LocalStackError if this cannot be done there."""
    verbs = ["delete"] if isinstance(place.jobs, Queue) else place.jobs.verbs()
    if verb not in verbs:
        raise LocalStackError(f"{place.name}: its jobs cannot be {DONE[verb]}; they can be {_either(verbs)}")


def act(place: Place, verb: Move, wanted: Wanted, at: float | None = None) -> Ended:
    """Do something to all jobs of a set that are meant.

    What enters the set meanwhile stays there. To do it again after an interruption goes on where it was: what was
    done is no longer in the set, or has the new time.

    Raises:
        RedisError: Redis is away; the message says how many were done.
    """
    with LongWork(DOING[verb], place.jobs.size()) as work:
        steps = (
            _in_queue(place.jobs, wanted, work)
            if isinstance(place.jobs, Queue)
            else _in_set(place.jobs, verb, wanted, at, work)
        )
        done = Bulk(0, 0)
        try:
            for each in steps:
                done = each
        except RedisError as error:
            said = " ".join(str(error).split())
            error.args = (f"{said}; {done.moved:,} were {DONE[verb]} before; do it again to go on",)
            raise
    return Ended(done.moved, done.skipped, work.goes_on)


def _in_set(jobs: AnySet, verb: Move, wanted: Wanted, at: float | None, work: LongWork) -> Iterator[Bulk]:
    began, left, looked, moved, skipped = jobs.now(), jobs.size(), 0, 0, 0
    place: Position | None = None
    while work.goes_on and looked < left:
        entries, place = jobs.step(place, min(STEP, left - looked))
        if place is None:
            return
        entries = [entry for entry in entries if at is None or entry.score != at]
        did = jobs.move(verb, [entry for entry in entries if wanted.fits(entry)], began=began, at=at)
        moved, skipped, looked = moved + did.moved, skipped + did.skipped, looked + len(entries)
        yield Bulk(moved, skipped)
        work.far(looked)


def _in_queue(queue: Queue, wanted: Wanted, work: LongWork) -> Iterator[Bulk]:
    if not wanted:
        yield Bulk(queue.clear(), 0)
        return
    moved = 0
    for looked, record in enumerate(queue, 1):
        if not work.goes_on:
            return
        if wanted.fits(record):
            moved += queue.delete(record)
            yield Bulk(moved, 0)
        work.far(looked)


def _either(verbs: list[str]) -> str:
    return " or ".join(DONE[verb] for verb in verbs)
