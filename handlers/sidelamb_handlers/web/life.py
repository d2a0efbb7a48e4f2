"""A job's life as its payload tells it, and the lease that it is in. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sidelamb.api import Entry
from sidelamb_handlers.web.words import many, span

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from sidelamb.api import FailedRun, JobRecord, LeaseRecord

__all__ = ["Moment", "life"]

SAME_S = 1.0
"""Two times that lie so near are of the same failure."""


class Moment(NamedTuple):
    """Something that happened to a job, or will."""

    tone: str
    """past, bad, now or next."""
    what: str
    at: dt.datetime | None
    more: str = ""
    took: str = ""
    """Of an attempt whose start is in `at`: how it ended, and after how long."""
    ended_at: dt.datetime | None = None
    """Of an attempt: when it ended."""
    request_id: str = ""
    """Of an attempt that runs."""


def life(job: JobRecord, where: str, now: dt.datetime, lease: LeaseRecord | None = None) -> list[Moment]:
    """Return its moments, in their order.

    Each failure that was written down here has a row in the payload, the last 25 of them. Of others, older ones
    and those of another worker, there are the first one's time, the last one's error, and how many there were.
    """
    if job.malformed:
        at = job.at if isinstance(job, Entry) else None
        return [Moment("bad", "Could not be read", at, job.malformed)]
    found = [Moment("past", "Created", job.created_at)] if job.created_at else []
    failures = list(_failures(job))
    end = _running(job, lease) if lease else _end(job, where, now)
    if job.enqueued_at is not None:  # for the last time: a retry enters its queue anew
        after = [n for n, one in enumerate(failures) if one.ended_at and one.ended_at >= job.enqueued_at]
        place = after[0] if after else len(failures)
        said = "Put back on" if place else "Enqueued to"
        failures.insert(place, Moment("past", f"{said} {job.queue}", job.enqueued_at))
    return [*found, *failures, *end]


def _failures(job: JobRecord) -> Iterator[Moment]:
    """Yield what is known of the failures, the last one with its error."""
    error = ": ".join(filter(None, (job.error_class, job.error_message)))
    runs, last_at = job.failures, job.retried_at or job.failed_at
    last = max(1, (job.retry_count or 0) + 1)
    first = runs[0].attempt if runs else last
    if job.failed_at and first > 1:
        yield Moment("bad", "Attempt 1 failed", job.failed_at, ended_at=job.failed_at)
    if first > 2:  # noqa: PLR2004 - the first and this one
        yield Moment("bad", f"{many(first - 2, 'attempt')} between failed too", None)
    for n, run in enumerate(runs):
        is_last = n == len(runs) - 1 and (last_at is None or _is_same(run.ended_at, last_at))
        yield _of(run, error if is_last and error else run.error_class)
    if last_at and not (runs and _is_same(runs[-1].ended_at, last_at)):
        yield Moment("bad", f"Attempt {last} failed", last_at, error, ended_at=last_at)


def _of(run: FailedRun, error: str) -> Moment:
    if run.started_at is None or run.ran_s is None:
        return Moment("bad", f"Attempt {run.attempt} failed", run.ended_at, error, ended_at=run.ended_at)
    took = f"failed after {span(run.ran_s)}"
    return Moment("bad", f"Attempt {run.attempt}", run.started_at, error, took, run.ended_at)


def _is_same(one: dt.datetime | None, other: dt.datetime) -> bool:
    return one is not None and abs((one - other).total_seconds()) <= SAME_S


def _running(job: JobRecord, lease: LeaseRecord) -> list[Moment]:
    attempt = 1 if job.retry_count is None else job.retry_count + 2
    if lease.claimed_at is None:
        return [Moment("now", "On its way to a worker", None, f"in lease {lease.id}")]
    whose = f"request {lease.request_id}" if lease.request_id else f"lease {lease.id}"
    more = f"in {whose}" + (f", one of {many(lease.jobs, 'job')} still in it" if lease.jobs > 1 else "")
    return [Moment("now", f"Attempt {attempt} is in flight", lease.claimed_at, more, request_id=lease.request_id)]


def _end(job: JobRecord, where: str, now: dt.datetime) -> list[Moment]:
    at = job.at if isinstance(job, Entry) else None
    if where == "dead":
        return [Moment("bad", "Died", at, "It will not run again by itself.")]
    if where == "retries":
        return [Moment("next", f"Attempt {(job.retry_count or 0) + 2}", at)]
    if where == "scheduled":
        return [Moment("next", f"Goes to {job.queue}", at)]
    waited = span((now - job.enqueued_at).total_seconds()) if job.enqueued_at else ""
    return [Moment("now", f"Waits in {job.queue}", None, f"for {waited}" if waited else "")]
