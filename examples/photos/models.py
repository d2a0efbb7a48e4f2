"""The photo service's models. `User.sync_images` is a job: it runs on Lambda, not in a web request."""

from __future__ import annotations

import io
import os
from pathlib import Path

from database import database
from PIL import Image

from sidelamb import job

SIZES = (320, 160, 64)


class User:
    """Someone with photographs."""

    @job(queue="images", timeout=20)
    @staticmethod
    def sync_images(user_id: int) -> int:
        """Make all thumbnails of a user; return how many."""
        rows = []
        for photo in photographs():
            with Image.open(photo) as image:
                for size in SIZES:
                    image.thumbnail((size, size))
                    rows.append((user_id, photo.name, size, len(_jpeg(image))))
        with database() as db:
            db.executemany("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?)", rows)
        return len(rows)


def photographs() -> list[Path]:
    """The photographs of every user: this is an example."""
    every = sorted(Path(os.environ["PHOTOS_FOLDER"]).iterdir())
    return [path for path in every if path.suffix.lower() in {".jpg", ".jpeg", ".png"}][:7]


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG")
    return file.getvalue()
