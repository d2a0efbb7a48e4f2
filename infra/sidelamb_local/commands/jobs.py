"""`sidelamb jobs`: a person's eyes and hands on jobs, whatever set or queue they are in."""

from __future__ import annotations

from sidelamb_local.commands.group import group
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

jobs = group(HELP)
jobs.command("list")(list_)
for one in (find, show, retry, kill, delete, reschedule):
    jobs.command()(one)
