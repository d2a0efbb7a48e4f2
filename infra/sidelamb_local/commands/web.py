"""`sidelamb web`: The web page."""

from __future__ import annotations

from typing import Annotated

import typer

from sidelamb_local.commands.options import RedisOption, connect, need
from sidelamb_local.errors import LocalStackError


def web(
    redis: RedisOption = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=-1, max=65_535, help="Default: 8321, or the next free one; 0 takes any.")
    ] = -1,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nobody may act.")] = False,
    profile: Annotated[
        str, typer.Option("--profile", metavar="NAME", help="AWS profile: for --url, or a Redis that checks IAM.")
    ] = "",
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="The page of a stack on AWS: its output WebUrl.")
    ] = "",
) -> None:
    """Show the web page: what waits, runs, failed and died, and what to do about it.

    Open to who is on this machine. On another address it asks for a name and a password, and does not start
    without SIDELAMB_WEB_CREDENTIAL=name:password. With --url it shows a page on AWS and signs for who is here.

        sidelamb web
        sidelamb web --redis rediss://cache:6379 --read-only
        SIDELAMB_WEB_CREDENTIAL=anna:… sidelamb web --host 0.0.0.0
        sidelamb web --url https://abc123.lambda-url.eu-west-1.on.aws/ --profile prod
    """
    need(("starlette", "jinja2", "uvicorn"))
    if profile or url:
        need(("boto3",))
    from sidelamb_local.profile import use_profile
    from sidelamb_local.web_command import run_proxy, run_web

    port_or_none = None if port < 0 else port
    if url:
        if redis or read_only:
            raise LocalStackError(
                "--url is the page of a stack, whose Redis and whose WebPage=read-only are its own; leave out "
                "--redis and --read-only"
            )
        run_proxy(url, profile=profile, host=host, port=port_or_none, say=typer.echo)
        return
    if profile:
        use_profile(profile)
    client = connect(redis)
    run_web(client, host=host, port=port_or_none, read_only=read_only, say=typer.echo)
