"""The question before what cannot be taken back."""

from __future__ import annotations

import sys

import typer

from sidelamb_local.errors import LocalStackError

__all__ = ["ask"]


def ask(question: str) -> None:
    """Ask; go on after a yes, end with status 1 after any other answer.

    Raises:
        LocalStackError: nobody is there to answer.
    """
    from sidelamb_local.plain import plain

    typer.echo(f"{plain(question, 500)}? [y/N] ", err=True, nl=False)
    try:
        answer = sys.stdin.readline()
    except UnicodeDecodeError:
        answer = "no text, so no yes"
    if not answer:  # the refusal goes on in the line of the question
        raise LocalStackError("nobody answers, and nothing was done; say --yes")
    if answer.strip().lower() not in {"y", "yes"}:
        typer.echo("nothing was done", err=True)
        raise typer.Exit(1)
