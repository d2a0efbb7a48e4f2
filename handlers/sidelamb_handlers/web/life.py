"""A job's life as its payload tells it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sidelamb.api import Entry
from sidelamb_handlers.web.words import many, span

if TYPE_CHECKING:
    import datetime as dt

    from sidelamb.api import JobRecord

__all__ = ["Moment", "life"]


class Moment(NamedTuple):
    """Something that happened to a job, or will."""

    tone: str
    """past, bad, now or next."""
    what: str
    at: dt.datetime | None
    more: str = ""


def life(job: JobRecord, where: str, now: dt.datetime) -> list[Moment]:
    """Return its moments, in their order.

    A payload keeps the first failure and the last; of those between only how many there were. Each attempt's
    duration and backtrace are in its line of the log.
    """
    if job.malformed:
        at = job.at if isinstance(job, Entry) else None
        return [Moment("bad", "Could not be read", at, job.malformed)]
    found = [Moment("past", "Created", job.created_at)] if job.created_at else []
    failures = _failures(job)
    if job.enqueued_at and not (failures and job.enqueued_at > failures[-1].at):  # type: ignore[operator]
        found.append(Moment("past", f"Enqueued to {job.queue}", job.enqueued_at))
        return [*found, *failures, *_end(job, where, now)]
    again = [Moment("past", f"Put back on {job.queue}", job.enqueued_at)] if job.enqueued_at else []
    return [*found, *failures, *again, *_end(job, where, now)]


def _failures(job: JobRecord) -> list[Moment]:
    if job.failed_at is None:
        return []
    error = ": ".join(filter(None, (job.error_class, job.error_message)))
    retries = job.retry_count or 0
    if not job.retried_at:
        return [Moment("bad", "Attempt 1 failed", job.failed_at, error)]
    found = [Moment("bad", "Attempt 1 failed", job.failed_at)]
    if retries > 1:
        found.append(Moment("bad", f"{many(retries - 1, 'attempt')} between failed too", None))
    return [*found, Moment("bad", f"Attempt {retries + 1} failed", job.retried_at, error)]


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
