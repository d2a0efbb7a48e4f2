"""`sidelamb poller`: A poller."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sidelamb_local.commands.options import RedisOption, need


def poller(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Settings. Default: sidelamb.toml, if there is one."),
    ] = None,
    redis: RedisOption = "",
) -> None:
    """Run a poller, as the container on AWS does: it takes jobs from Redis and has Lambda run them.

    sidelamb poller
    sidelamb poller --config eu.toml --redis redis://127.0.0.1:6379/1
    SIDELAMB_REDIS_URL=rediss://… SIDELAMB_FUNCTION=app-worker sidelamb poller
    """
    need(("aiohttp", "botocore"))
    if redis:
        os.environ["SIDELAMB_REDIS_URL"] = redis
    from sidelamb_handlers.poller.__main__ import run

    run(config)
