"""`sidelamb pause` and `sidelamb resume`: a queue held, and let go."""

from __future__ import annotations

from typing import Annotated

import typer

from sidelamb_local.commands.completing import queue_names
from sidelamb_local.commands.options import RedisOption, connect

QueuesArgument = Annotated[
    list[str], typer.Argument(metavar="QUEUE...", help="Names of queues.", autocompletion=queue_names)
]
ForceOption = Annotated[bool, typer.Option("--force", help="Also a queue that has had no job yet.")]


def pause(names: QueuesArgument, force: ForceOption = False, redis: RedisOption = "") -> None:
    """Start no more jobs of a queue, in any poller. What runs, runs on; what comes, waits.

    sidelamb pause mail
    sidelamb pause mail reports
    """
    _turn(names, redis, paused=True, force=force)


def resume(names: QueuesArgument, redis: RedisOption = "") -> None:
    """Let the jobs of a paused queue run again.

    sidelamb resume mail
    """
    _turn(names, redis, paused=False, force=False)


def _turn(names: list[str], redis: str, *, paused: bool, force: bool) -> None:
    """Turn all, or none if one of them is not there."""
    from sidelamb.api import Queue
    from sidelamb.wording import did_you_mean
    from sidelamb_local.errors import LocalStackError
    from sidelamb_local.out import line
    from sidelamb_local.places import known_queues

    client = connect(redis)
    queues, known = [Queue(name, client) for name in names], known_queues(client)
    for queue in queues:
        if queue.name not in known and not force:
            hint = did_you_mean(queue.name, known) or (" To pause it all the same: --force" if paused else "")
            raise LocalStackError(f"there is no queue {queue.name!r}.{hint}")
    word = "paused" if paused else "resumed"
    for queue in queues:
        changed = queue.pause() if paused else queue.resume()
        line(f"{queue.name} {word}" if changed else f"{queue.name} was {'paused' if paused else 'not paused'}")
