"""What an enqueue that failed tells its caller: which jobs were stored, which were not, which are uncertain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sidelamb.errors import JobError, RedisError, RedisUncertain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sidelamb.packing import Packed

__all__ = ["Tally", "tell"]

_LOOK = "Look for the jid before you enqueue again, or the job may run twice."


def tell(error: BaseException, jobs: Sequence[Packed], stored: int = 0) -> None:
    """Put into an error which jobs it is about.

    Args:
        error: what stopped the call that stored `jobs`.
        jobs: one or more.
        stored: jobs that were stored by earlier round trips of the same call.
    """
    before = f"{stored:,} jobs were certainly stored before. " if stored else ""
    if not isinstance(error, RedisError):  # the caller was interrupted or cancelled
        error.add_note(f"sidelamb: {before}It is uncertain whether {_named(jobs)} was stored. {_LOOK}")
        return
    error.jids = tuple(job.jid for job in jobs)
    error.stored = stored
    if isinstance(error, RedisUncertain):
        error.args = (f"{before}It is uncertain whether {_named(jobs)} was stored. {error} {_LOOK}",)
    else:
        error.args = (f"{before}Certainly not stored: {_named(jobs)}. {error}",)


class Tally:
    """Counts what a bulk call has stored, and tells so in whatever error ends it.

    Args:
        progress: called with the number of jobs stored so far.
    """

    def __init__(self, progress: Callable[[int], None] | None = None) -> None:
        self.stored = 0
        self.trying: Sequence[Packed] = ()
        """What is being stored right now."""
        self._progress = progress

    def done(self, answer: object) -> None:
        """Count what was being stored as stored, but for what `admit` answered that it refused."""
        self.stored += len(self.trying) - (sum(map(bool, answer)) if isinstance(answer, list) else 0)
        self.trying = ()

    def report(self) -> None:
        """Call `progress`."""
        if self._progress is not None:
            self._progress(self.stored)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        if self.trying:
            tell(error, self.trying, self.stored)
        elif isinstance(error, JobError):
            error.stored = self.stored
            error.args = (f"{error} ({self.stored:,} jobs of this call were stored before.)",)
        else:
            error.add_note(f"sidelamb: {self.stored:,} jobs of this call were stored before.")


def _named(jobs: Sequence[Packed]) -> str:
    if len(jobs) == 1:
        return f"{jobs[0].name} (jid {jobs[0].jid})"
    return f"a round trip of {len(jobs):,} jobs, {jobs[0].name} (jid {jobs[0].jid}) and those after it"
