"""`sidelamb dev`: The whole system on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sidelamb_local.commands.options import JobsOption, TemplateOption, named_redis, need, split_names

NEEDED_FOR_DEV = ("yaml", "aiohttp", "botocore", "aws_lambda_powertools")


def dev(
    jobs: JobsOption = "",
    redis: Annotated[
        str,
        typer.Option(
            "--redis",
            metavar="URL",
            help="A Redis to use. Default: SIDELAMB_REDIS_URL, or that of sidelamb.toml, or one of its own.",
        ),
    ] = "",
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=200, help="Invocations at once.")
    ] = 4,
    template: TemplateOption = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Of the Lambda service; 0 takes a free one.")
    ] = 0,
) -> None:
    """Run the whole system on this machine: Redis, Lambda, poller, scheduler.

    Needs nothing but Python. Your functions come from template.yaml if there is one. Code reloads when it changes;
    data stays in .sidelamb/ until you delete it.

        sidelamb dev
        sidelamb dev --jobs shop.jobs,mail.jobs --concurrency 8
        sidelamb dev --redis redis://127.0.0.1:6379/1
    """
    need(NEEDED_FOR_DEV)
    from sidelamb_local.dev import run_dev

    run_dev(
        Path.cwd(),
        Console(),
        template=template,
        jobs=split_names(jobs),
        redis_url=named_redis(redis) or None,
        concurrency=concurrency,
        port=port,
    )
