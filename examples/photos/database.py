"""The photo service's database: SQLite, shared by the app and all sandboxes on this machine."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A job may run twice (at least once is the promise), so each table has a key that makes writing twice harmless.
SCHEMA = """
CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (
    user_id INTEGER NOT NULL, photo TEXT NOT NULL, size INTEGER NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (user_id, photo, size)
);
CREATE TABLE IF NOT EXISTS views (jid TEXT PRIMARY KEY, photo TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS reminders (jid TEXT PRIMARY KEY, user_id INTEGER NOT NULL, began_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS marks (jid TEXT, attempt INTEGER, PRIMARY KEY (jid, attempt));
"""


@contextlib.contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """One transaction: committed at the end, rolled back on an error. Writers wait for each other."""
    connection = sqlite3.connect(os.environ["PHOTOS_DB"], timeout=20)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            yield connection
    finally:
        connection.close()


def create() -> None:
    """Make the tables. With the write-ahead log, readers and a writer do not stand in each other's way."""
    with database() as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(SCHEMA)
