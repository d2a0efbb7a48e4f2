"""`sidelamb logs`: What jobs did and logged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sidelamb_local.commands.options import JsonOption, need


def logs(
    jid: Annotated[str, typer.Option("--jid", metavar="ID", help="Of one job: its whole life.")] = "",
    queue: Annotated[str, typer.Option("--queue", help="Of one queue.")] = "",
    name: Annotated[str, typer.Option("--class", metavar="NAME", help="Of one class of job.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    stack: Annotated[
        str,
        typer.Option("--stack", metavar="NAME", help="A stack on AWS. Default: what `sidelamb dev` logged here."),
    ] = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back: 90s, 15m, 2h, 7d.")] = "1h",
    as_json: JsonOption = False,
) -> None:
    """Show what jobs did, and what they logged: on this machine, or on AWS.

    sidelamb logs --failed
    sidelamb logs --stack shop --jid b4a577edbccf1d805744efa9 --since 7d
    sidelamb logs --stack shop --queue mail --follow
    """
    import time

    from sidelamb_local.logs_command import Wanted, lines_of, seconds, show
    from sidelamb_local.logs_command import as_json as json_of
    from sidelamb_local.out import json_line

    if stack:
        need(("boto3",))
    wanted = Wanted(jid, queue, name, failed)
    lines = lines_of(Path.cwd(), stack, wanted, since=time.time() - seconds(since), follow=follow)
    if as_json:
        for said in json_of(lines, wanted):
            json_line(said)
        return
    if not show(lines, wanted, Console()):
        typer.echo(f"nothing since {since} ago", err=True)
