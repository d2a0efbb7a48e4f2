"""`sidelamb cancel`: a job that is not to go on."""

from __future__ import annotations

from typing import Annotated

import typer

from sidelamb_local.commands.options import RedisOption, connect


def cancel(
    jids: Annotated[list[str], typer.Argument(metavar="JID...", help="Ids of jobs.")],
    redis: RedisOption = "",
) -> None:
    """Cancel jobs, wherever they are: one that waits does not start, one that runs is asked to end.

    The mark is set for any id, also of a job that has run already. Cancelling twice does no harm.

        sidelamb cancel b4a577edbccf1d805744efa9
    """
    from sidelamb_local.out import line

    client = connect(redis)
    for jid in jids:
        client.cancel(jid)
        line(f"{jid} cancelled")
