"""`sidelamb version`: Which version."""

from __future__ import annotations

import importlib.metadata
import platform

import typer


def version() -> None:
    """Print the version."""
    typer.echo(f"sidelamb {importlib.metadata.version('sidelamb')} (Python {platform.python_version()})")
