"""The commands of `sidelamb`, for typer: one module each, with what it takes and what it prints.

What they do is elsewhere. Modules that a command needs are imported by it alone, so that `sidelamb --help` is
quick and a missing extra is missed only by who needs it.
"""

from __future__ import annotations

import typer

from sidelamb_local.commands.batches import batches
from sidelamb_local.commands.cancel import cancel
from sidelamb_local.commands.cost import cost
from sidelamb_local.commands.dev import dev
from sidelamb_local.commands.doctor import doctor
from sidelamb_local.commands.enqueue import enqueue
from sidelamb_local.commands.export import export, import_
from sidelamb_local.commands.init import init
from sidelamb_local.commands.jobs import jobs
from sidelamb_local.commands.limits import limits
from sidelamb_local.commands.locks import locks
from sidelamb_local.commands.logs import logs
from sidelamb_local.commands.pause import pause, resume
from sidelamb_local.commands.periodic import periodic
from sidelamb_local.commands.poller import poller
from sidelamb_local.commands.queues import queues
from sidelamb_local.commands.run import run
from sidelamb_local.commands.status import status
from sidelamb_local.commands.version import version
from sidelamb_local.commands.web import web

__all__ = ["app"]

HELP = """
Background jobs for Python apps, executed by AWS Lambda.

[bold]Start here[/], in a folder with a jobs.py, or one that `sidelamb init` has filled:

    sidelamb dev                         the whole system on this machine
    sidelamb enqueue jobs.resize 12      give it a job
    sidelamb run jobs.resize 12          or run one right here, with a debugger

[bold]Something failed?[/]

    sidelamb status --watch              what waits, runs, failed and died
    sidelamb jobs list retries           what failed, and why
    sidelamb jobs retry retries JID      run one again now
"""
# "-5" is an argument of the job, not an option of ours.
ARGUMENTS_MAY_LOOK_LIKE_OPTIONS = {"ignore_unknown_options": True}

app = typer.Typer(help=HELP, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode="rich")
app.command()(init)
app.command()(dev)
app.command(context_settings=ARGUMENTS_MAY_LOOK_LIKE_OPTIONS)(run)
app.command(context_settings=ARGUMENTS_MAY_LOOK_LIKE_OPTIONS)(enqueue)
app.command()(status)
app.command()(queues)
app.add_typer(jobs, name="jobs")
app.add_typer(batches, name="batches")
app.add_typer(periodic, name="periodic")
app.add_typer(limits, name="limits")
app.add_typer(locks, name="locks")
app.command()(pause)
app.command()(resume)
app.command()(cancel)
app.command()(logs)
app.command()(doctor)
app.command()(export)
app.command("import")(import_)
app.command()(web)
app.command()(poller)
app.command()(cost)
app.command()(version)
