"""`sidelamb status`: the dashboard, from Redis, once or all the while."""

from __future__ import annotations

from typing import Annotated

import typer

from sidelamb_local.commands.options import JsonOption, RedisOption, connect
from sidelamb_local.errors import LocalStackError


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep looking; Ctrl-C ends it.")] = False,
    as_json: JsonOption = False,
    redis: RedisOption = "",
) -> None:
    """Show what waits, runs, failed and died, and who is there.

    sidelamb status
    sidelamb status --watch
    sidelamb status --redis rediss://cache:6379 --json
    """
    from sidelamb_handlers.gauges import seen
    from sidelamb_local import status_command
    from sidelamb_local.out import console_here, document

    if watch and as_json:
        raise LocalStackError("--watch is for people, --json for programs; give one")
    client = connect(redis)
    if watch:
        from sidelamb_local.status_watch import watch_status

        watch_status(client)
    elif as_json:
        document(status_command.as_json(seen(client)))
    else:
        console_here().print(status_command.as_text(seen(client)))
