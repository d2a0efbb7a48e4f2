"""`manage.py sidelamb_outbox`: pushes what stands in the outbox, until it is told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from sidelamb.outbox.command import relay

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """The command."""

    help = "Pushes the jobs in the outbox to Redis, until it is told to stop (SIGTERM, Ctrl-C)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what `handle` does."""
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="alias of the database")
        parser.add_argument("--once", action="store_true", help="push what is there now, and end")

    def handle(self, *, database: str, once: bool, **_options: Any) -> None:
        """Run."""
        relay(database, once=once)
