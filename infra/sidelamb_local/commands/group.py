"""Commands that stand under one word, like `sidelamb jobs …`; the word alone helps."""

from __future__ import annotations

import typer

__all__ = ["group"]


def group(help_: str) -> typer.Typer:
    """Return a group without commands."""
    return typer.Typer(
        help=help_,
        rich_markup_mode="rich",
        invoke_without_command=True,
        callback=_alone,
    )


def _alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None and (said := ctx.get_help()):
        typer.echo(said)
