"""`sidelamb init`: Make a folder an app."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Default: this one.")] = Path(),
    name: Annotated[str, typer.Option("--name", help="Of the stack. Default: the folder's.")] = "",
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Renew template.yaml, and keep the sections that are yours.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Make a folder an app that `sam build && sam deploy --guided` puts on AWS.

    Writes template.yaml, samconfig.toml, sidelamb.mk, jobs.py and more, and nothing over what is there. --upgrade
    shows what would change and asks; without a terminal it changes nothing unless --yes is given.

        sidelamb init
        sidelamb init shop --name shop-jobs
        sidelamb init --upgrade
    """
    from sidelamb_local.init_command import make, renew

    ask = sys.stdin.isatty() and not yes
    if upgrade:
        renew(folder, say=typer.echo, agreed=lambda: yes or (ask and typer.confirm("Write this?")))
        return
    make(
        folder,
        name,
        say=typer.echo,
        ask=(lambda default: typer.prompt("Name of the stack", default)) if ask else None,
    )
