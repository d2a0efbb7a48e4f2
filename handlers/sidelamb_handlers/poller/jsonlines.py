"""A poller's log as JSON, in the fields of the functions' lines: so that CloudWatch can be asked about both."""

from __future__ import annotations

import datetime as dt
import logging

import orjson

__all__ = ["JsonLines"]


class JsonLines(logging.Formatter):
    """Formats records."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line = {
            "level": record.levelname,
            "message": record.getMessage(),
            "timestamp": at.isoformat(timespec="milliseconds"),
            "logger": record.name,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()
