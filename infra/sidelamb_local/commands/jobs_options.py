"""What the commands about jobs take, all alike."""

from __future__ import annotations

from typing import Annotated

import typer

from sidelamb_local.commands.completing import set_names

SetArgument = Annotated[
    str, typer.Argument(metavar="SET", help="retries, scheduled, dead, or queue:NAME.", autocompletion=set_names)
]
JidsArgument = Annotated[list[str] | None, typer.Argument(metavar="[JID]...", help="Ids of jobs.")]
ClassOption = Annotated[str, typer.Option("--class", metavar="NAME", help="Those of one class.")]
ErrorOption = Annotated[str, typer.Option("--error", metavar="CLASS", help="Those with one class of error.")]
MatchOption = Annotated[
    str,
    typer.Option(
        "--match",
        metavar="TEXT",
        help="Those that contain a text: id, class, queue, arguments, tags, error; * stands for anything.",
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="All of the set. Asks first.")]
