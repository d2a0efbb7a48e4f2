"""`drain()`: runs what waits in Redis here and now, by the worker's and the scheduler's own code."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sidelamb.errors import ConfigError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from sidelamb.client import Client
    from sidelamb.testing.report import Drained

__all__ = ["adrain", "drain", "handlers"]

MOST_RUNS = 10_000
"""Whoever lets more jobs run in a test has one that enqueues itself."""


def drain(
    *,
    queues: Iterable[str] | None = None,
    scheduled: bool = False,
    until: float | dt.datetime | dt.timedelta | None = None,
    raise_errors: bool = True,
    most: int = MOST_RUNS,
    client: Client | None = None,
) -> Drained:
    """Run every job that waits, and those that they enqueue, until nothing is left to run; return what ran.

    Each job takes the way that it takes on AWS: reserved into a lease, claimed, run on a worker's thread, settled;
    between jobs the scheduler's pass promotes what is due. Only Lambda is left out.

    Args:
        queues: only these; default all that exist. Paused ones are left alone.
        scheduled: run what is scheduled or waits for a retry too, all of it, in the order of time.
        until: the same, up to this time (aware datetime, epoch seconds, or a timedelta from now).
        raise_errors: when all is run, raise the first error that a job has raised (not its own word: Retry,
            Snooze, Discard, Kill).
        most: raise when more than so many have run, in place of running for ever.
        client: whose Redis and namespace; default the process's.

    For `scheduled` and `until` the clock of scheduler and worker goes forward to each entry's time; `time.time()`
    of the jobs' own code does not.

    Raises:
        ConfigError: no Redis is set, or `sidelamb[aws]` is not installed.
        SidelambError: more than `most` jobs have run.
        RedisError: Redis is away.
    """
    drained: Drained = handlers("drain").drain(
        queues=queues, scheduled=scheduled, until=until, raise_errors=raise_errors, most=most, client=client
    )
    return drained


async def adrain(**options: Any) -> Drained:
    """`drain` for async code: it waits on a thread, so that the event loop goes on."""
    import asyncio  # noqa: PLC0415 - only async tests need it

    return await asyncio.to_thread(drain, **options)


def handlers(module: str) -> Any:
    """Return a module of what runs jobs, by its name: app code depends on none of it, a test of jobs may.

    Raises:
        ConfigError: what it needs is not installed.
    """
    try:
        return importlib.import_module(f"sidelamb_handlers.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sidelamb"):
            raise
        raise ConfigError(f"to run jobs in a test, pip install 'sidelamb[aws]' ({error})") from error
