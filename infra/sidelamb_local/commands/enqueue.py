"""`sidelamb enqueue`: A job onto its queue."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from sidelamb_local.commands.jobs_act import moment_of
from sidelamb_local.commands.options import (
    ArgsArgument,
    JobsOption,
    KwOption,
    NameArgument,
    RedisOption,
    TemplateOption,
    connect,
    json_of,
    keywords_of,
    project_of,
    redis_url,
    values_of,
)


def enqueue(
    ctx: typer.Context,
    name: NameArgument,
    args: ArgsArgument = None,
    kw: KwOption = None,
    queue: Annotated[str, typer.Option("--queue", help="Its queue. Default: what the job says.")] = "",
    in_s: Annotated[float | None, typer.Option("--in", metavar="SECONDS", help="Run it later.")] = None,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="ISO-8601 with a zone, or epoch seconds.")] = "",
    kwargs: Annotated[str, typer.Option("--kwargs", metavar="JSON", help="Keyword arguments, an object.")] = "",
    redis: RedisOption = "",
    jobs: JobsOption = "",
    template: TemplateOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Do not look whether there is such a job: another service has it.")
    ] = False,
) -> None:
    """Put a job on its queue and print its id.

    An argument is JSON where it parses as JSON, else text: 12 is a number, '"12"' and a@b.c are texts.

        sidelamb enqueue jobs.resize 12
        sidelamb enqueue jobs.resize 12 --in 60 --queue low
        sidelamb enqueue jobs.mail a@b.c --kwargs '{"subject": "Hello"}' --at 2030-01-01T06:00:00Z
        sidelamb enqueue Billing::ChargeJob 99 --queue billing --force
    """
    values, keywords = values_of(ctx, args), keywords_of(kw)
    if kwargs:
        keywords = json_of(kwargs, dict, "--kwargs") | keywords
    when, url = moment_of(in_s, at), redis_url(redis)
    if not force:
        from sidelamb_local.run_job import find_job, load_jobs

        project = project_of(jobs, template)
        os.environ.setdefault("SIDELAMB_NAMESPACE", project.config.namespace)
        load_jobs(project)
        name = find_job(name).name
    client = connect(url)
    setter = client.job(name, queue=queue) if queue else client.job(name)
    enqueued = setter.enqueue_at(when, *values, **keywords) if when else setter.enqueue(*values, **keywords)
    typer.echo(enqueued)
