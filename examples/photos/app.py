"""What a web app does: it enqueues, and answers its own request at once."""

from __future__ import annotations

import jobs
from database import database
from models import User

from sidelamb import delay


def sign_up(user_id: int, name: str) -> str:
    """Store a new user; the thumbnails are made in the background. Returns the job's id."""
    with database() as db:
        db.execute("INSERT INTO users VALUES (?, ?)", (user_id, name))
    return delay(User.sync_images)(user_id)


def remind_in(seconds: float, user_id: int) -> str:
    """Remind a user later. Returns the job's id."""
    return jobs.remind.enqueue_in(seconds, user_id)


def photo_seen(photo: str) -> str:
    """Count a view. Returns the job's id."""
    return jobs.count_view.enqueue(photo)


def photos_seen(photos: list[str]) -> int:
    """Count many views with one round trip for each thousand. Returns how many."""
    return jobs.count_view.enqueue_many((photo,) for photo in photos)
