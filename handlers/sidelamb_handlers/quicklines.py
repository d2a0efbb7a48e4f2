"""Many log lines at once, each word for word as powertools' Logger writes it.

A line of powertools' takes longer than a small job. A logger that somebody has changed (another formatter or
handler, a filter, keys, indented lines) is left to powertools, and so is what is no JSON.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from sidelamb_handlers.joblog import named

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Line", "are_written"]

Line = tuple[str, dict[str, Any]]
"""A message, and what else is in its line."""


def are_written(logger: logging.Logger, first: Line, others: Sequence[Line]) -> bool:
    """Write lines of the level INFO; or say that it is for powertools to do, and write none.

    Args:
        logger: powertools'.
        first: one that it has written: the others are written if this one would have been the same.
        others: to be written.
    """
    handlers = logger.handlers
    if len(handlers) != 1 or logger.filters or not logger.isEnabledFor(logging.INFO):
        return False
    (handler,) = handlers
    if type(handler) is not logging.StreamHandler or any(one is not named for one in handler.filters):
        return False
    record = logger.makeRecord(logger.name, logging.INFO, "", 0, first[0], (), None, extra=first[1])
    stamp = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
    try:
        if _written(first, stamp) != handler.format(record):
            return False
        text = "\n".join([_written(line, stamp) for line in others])
    except TypeError:
        return False
    handler.acquire()
    try:
        handler.stream.write(f"{text}\n")
        handler.flush()
    except Exception:
        handler.handleError(record)
    finally:
        handler.release()
    return True


def _written(line: Line, stamp: str) -> str:
    said = {"level": "INFO", "message": line[0], "timestamp": stamp}
    said |= {name: value for name, value in line[1].items() if value is not None}
    return orjson.dumps(said).decode()
