"""`sidelamb web`: The web page."""

from __future__ import annotations

from typing import Annotated

import typer

from sidelamb_local.commands.options import RedisOption, connect, need


def web(
    redis: RedisOption = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=-1, max=65_535, help="Default: 8321, or the next free one; 0 takes any.")
    ] = -1,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nobody may act.")] = False,
    profile: Annotated[
        str, typer.Option("--profile", metavar="NAME", help="AWS profile for a Redis that checks IAM.")
    ] = "",
) -> None:
    """Show the web page: what waits, runs, failed and died, and what to do about it.

    Open to who is on this machine. On another address it asks for a name and a password, and does not start
    without SIDELAMB_WEB_CREDENTIAL=name:password.

        sidelamb web
        sidelamb web --redis rediss://cache:6379 --read-only
        SIDELAMB_WEB_CREDENTIAL=anna:… sidelamb web --host 0.0.0.0
    """
    need(("starlette", "jinja2", "uvicorn"))
    from sidelamb_local.web_command import run_web, use_profile

    if profile:
        use_profile(profile)
    client = connect(redis)
    run_web(client, host=host, port=None if port < 0 else port, read_only=read_only, say=typer.echo)
