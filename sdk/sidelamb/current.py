"""The job that runs here and now, for code that is called from inside it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

from sidelamb.errors import SidelambError

__all__ = ["CurrentJob", "current_job", "running"]


class CurrentJob(Protocol):
    """What a running job may know of itself."""

    @property
    def jid(self) -> str:
        """Its id."""

    @property
    def name(self) -> str:
        """Its wire name."""

    @property
    def queue(self) -> str:
        """The queue it came from."""

    @property
    def attempt(self) -> int:
        """1 for the first run, 2 for the first retry, and so on."""

    @property
    def enqueued_at(self) -> float | None:
        """When it entered its queue, epoch seconds, if its payload says so."""

    @property
    def tick(self) -> float | None:
        """The time that a periodic job's clock has enqueued it for, epoch seconds; None for any other."""

    @property
    def started_at(self) -> float:
        """When this run began, epoch seconds."""

    @property
    def executions(self) -> int:
        """How often an iterable job was started, this run included; 1 for any other."""

    @property
    def cursor(self) -> Any:
        """What an iterable job yielded last, or is to go on from; None for any other."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody has cancelled it. Looks at Redis, at most once a second; False in detached mode."""

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far it is, for who reads its status; of a job without `result_ttl` nobody does.

        One round trip. If Redis is away the job goes on, and nothing is said.
        """

    @property
    def traceparent(self) -> str:
        """The trace in which it was enqueued, as W3C's `traceparent` says it; empty if it was in none."""

    @property
    def carried(self) -> dict[str, Any]:
        """The context variables that came with it, by name (see `carry`)."""

    @property
    def request_id(self) -> str:
        """The request id of the invocation that runs it: its log is there."""


running: ContextVar[CurrentJob] = ContextVar("sidelamb_current_job")
"""Set by the worker around each run."""


def current_job() -> CurrentJob:
    """Return the job that is running.

    Raises:
        SidelambError: no job is running here.
    """
    try:
        return running.get()
    except LookupError:
        raise SidelambError("current_job() was called outside of a job") from None
