"""Its tasks."""

from __future__ import annotations

import os
import signal

from django.db import connection

from sidelamb.django.compat import base

task = base.task


@task
def add(a: int, b: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s + %s", [a, b])
        return int(cursor.fetchone()[0])


@task
async def add_async(a: int, b: int) -> int:
    return a + b


@task
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
