"""`sidelamb doctor`: What would hurt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidelamb_local.commands.options import (
    JobsOption,
    JsonOption,
    RedisOption,
    TemplateOption,
    known_redis,
    need,
    split_names,
)


def doctor(
    redis: RedisOption = "",
    jobs: JobsOption = "",
    template: TemplateOption = None,
    connections: Annotated[
        int | None,
        typer.Option("--connections", metavar="N", min=1, help="What your database has left for the workers."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at settings, jobs, Redis and Lambda, and say what would hurt. Exit status 1 if something is wrong.

    It asks Redis for version, policy, memory, clients, clock, pollers and dead leases, and Lambda by a dry run
    whether the functions are there and may be invoked with the credentials of this machine.

        sidelamb doctor
        sidelamb doctor --redis rediss://cache:6379 --connections 80
    """
    need(("yaml",))
    from sidelamb_local.aws_facts import about_lambda
    from sidelamb_local.doctor import examine, functions_here
    from sidelamb_local.finding import Sign
    from sidelamb_local.out import json_line, line
    from sidelamb_local.plain import without_secrets

    here = Path.cwd()
    url = known_redis(redis)
    findings = examine(here, template=template, modules=split_names(jobs), redis_url=url, allowed=connections)
    findings += about_lambda(functions_here())
    for finding in findings:
        said = without_secrets(finding.text)
        if as_json:
            json_line({"sign": finding.sign.value, "text": said})
        else:
            line(f"{finding.sign.value:>7}  {said}")
    if any(finding.sign is Sign.WRONG for finding in findings):
        raise typer.Exit(1)
