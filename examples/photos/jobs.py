"""More jobs of the photo service: plain functions."""

from __future__ import annotations

import os
import signal
import time

from database import create, database
from PIL import Image

from sidelamb import current_job, job, on_sandbox_start

on_sandbox_start(create)


@job(queue="default")
def count_view(photo: str) -> None:
    """Somebody has looked at a photograph."""
    with database() as db:
        db.execute("INSERT OR IGNORE INTO views VALUES (?, ?)", (current_job().jid, photo))


@job(queue="default")
def remind(user_id: int) -> None:
    """Remind a user, at the time that the app has set."""
    began_at = time.time()
    with database() as db:
        db.execute("INSERT OR IGNORE INTO reminders VALUES (?, ?, ?)", (current_job().jid, user_id, began_at))


@job(queue="images", max_retries=1)
def check_photo(path: str) -> None:
    """Read a photograph to its last byte; one that is cut off raises OSError, and the job fails."""
    with Image.open(path) as image:
        image.load()


@job(queue="images")
def crash_once() -> None:
    """Take the whole process down in the first attempt, as a fault in a C library would; then behave."""
    with database() as db:
        db.execute("INSERT OR IGNORE INTO marks VALUES (?, ?)", (current_job().jid, current_job().attempt))
    if current_job().attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
