"""`manage.py sidelamb …`: the `sidelamb` command with this project's settings.

python manage.py sidelamb dev
python manage.py sidelamb enqueue shop.tasks.charge 12
python manage.py sidelamb status
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sidelamb.django import conf


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """Everything behind its name is the other command's."""

    help = "The sidelamb command (dev, run, enqueue, poller, status, …) with this project's settings."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Run from the command line; `sidelamb` ends the process, and says what is wrong."""
        _run(argv[2:])

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take anything, for call_command."""
        parser.add_argument("words", nargs=argparse.REMAINDER)

    def handle(self, *, words: list[str], **_options: Any) -> None:
        """Run from code: `call_command("sidelamb", "status")`.

        Raises:
            CommandError: it did not end well.
        """
        try:
            _run(words)
        except SystemExit as end:
            if end.code:
                raise CommandError(f"sidelamb {' '.join(words)} ended with status {end.code}") from end


def _run(words: list[str]) -> None:
    for name, value in conf.environ().items():
        os.environ.setdefault(name, value)
    try:
        cli = import_module("sidelamb_local.cli")
    except ModuleNotFoundError as error:
        raise CommandError(f"{error}; pip install 'sidelamb[local]'") from error
    before, sys.argv = sys.argv, ["sidelamb", *words]
    try:
        cli.main()
    finally:
        sys.argv = before
