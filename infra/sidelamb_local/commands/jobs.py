"""`sidelamb jobs`: a person's eyes and hands on jobs, whatever set or queue they are in."""

from __future__ import annotations

import typer

from sidelamb_local.commands.jobs_act import delete, kill, reschedule, retry
from sidelamb_local.commands.jobs_look import find, list_, show

HELP = """
Look at jobs and act on them.

A SET is retries, scheduled, dead, or queue:NAME.

    sidelamb jobs list retries
    sidelamb jobs show JID
    sidelamb jobs retry retries JID --args '[42]'
    sidelamb jobs retry dead --error TimeoutError
    sidelamb jobs delete dead --all --yes
"""

jobs = typer.Typer(help=HELP, rich_markup_mode="rich", no_args_is_help=True)
jobs.command("list")(list_)
for one in (find, show, retry, kill, delete, reschedule):
    jobs.command()(one)
