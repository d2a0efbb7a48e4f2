"""`sidelamb run`: One job in this process."""

from __future__ import annotations

import typer
from rich.text import Text

from sidelamb_local.commands.options import (
    ArgsArgument,
    JobsOption,
    KwOption,
    NameArgument,
    TemplateOption,
    keywords_of,
    project_of,
    values_of,
)


def run(
    ctx: typer.Context,
    name: NameArgument,
    args: ArgsArgument = None,
    kw: KwOption = None,
    jobs: JobsOption = "",
    template: TemplateOption = None,
) -> None:
    """Run one job in this process, without Redis and Lambda; breakpoint() works.

    The arguments take the way of a real payload, through JSON. Nothing is retried: a job that fails shows its
    traceback, and the exit status is 1.

        sidelamb run jobs.resize 12
        sidelamb run jobs.mail '{"to": "a@b.c"}' --kw subject=Hello
    """
    from sidelamb_local.plain import harmless
    from sidelamb_local.run_job import find_job, load_jobs, run_job, users_traceback

    values = values_of(ctx, args)
    load_jobs(project_of(jobs, template))
    job = find_job(name)
    ran = run_job(job, values, keywords_of(kw))
    if ran.error is not None and ran.failed:
        typer.echo(harmless(users_traceback(ran.error), kept="\n\t"), err=True, nl=False)
        _closing("✗", "red", f"{job.name} failed after {ran.duration_ms:.0f} ms")
        raise typer.Exit(1)
    if ran.error is not None or ran.reason:
        _closing("∅", "yellow", f"{job.name} {ran.outcome}: {ran.reason or ran.error}")
        return
    if ran.result is not None:
        typer.echo(repr(ran.result))
    _closing("✓", "green", f"{job.name} succeeded in {ran.duration_ms:.0f} ms")


def _closing(sign: str, style: str, said: str) -> None:
    """Say in one line what came of it; a reason is the job's own words, and no markup."""
    from sidelamb_local.out import WIDE, console_here
    from sidelamb_local.plain import plain

    line = Text.assemble((sign, style), " ", plain(said, WIDE))
    console_here(stderr=True).print(line, soft_wrap=True)
