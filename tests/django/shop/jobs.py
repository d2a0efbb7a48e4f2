"""Plain jobs of an app; a worker finds them by their module's name."""

from __future__ import annotations

from django.db import connection

from sidelamb import job


@job
def count_orders() -> int:
    """Use the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])
