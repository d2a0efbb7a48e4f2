"""A line for each action that a person takes, on the logger `sidelamb.web.audit`."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

    from sidelamb_handlers.web.page import Done

__all__ = ["LOGGER", "record"]

LOGGER = logging.getLogger("sidelamb.web.audit")
LOGGER.setLevel(logging.INFO)


def record(request: Request, who: str, done: Done) -> None:
    """Write who did what to what, from where, and to how many jobs; as JSON, so that no name can forge a line."""
    said = {
        "audit": done.action,
        "what": done.what,
        "who": who,
        "from": request.client.host if request.client else "",
        "count": done.count,
        **done.more,
    }
    LOGGER.info("%s", json.dumps(said))
