"""`sidelamb version`: Which version."""

from __future__ import annotations

import platform

import typer


def version() -> None:
    """Print the version."""
    import importlib.metadata  # a tenth of a second

    typer.echo(f"sidelamb {importlib.metadata.version('sidelamb')} (Python {platform.python_version()})")
