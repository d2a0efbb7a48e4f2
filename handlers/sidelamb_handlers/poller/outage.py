"""One line when something goes away, one when it is back, and a growing pause between.

A poller tries for ever. What it says stays readable: an outage is one warning, however many calls fail in it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time

__all__ = ["Outage"]

log = logging.getLogger("sidelamb.poller")

PAUSE_FIRST_S = 0.1
PAUSE_MOST_S = 2.0


class Outage:
    """Keeps watch over one thing that may go away.

    Args:
        what: its name, the beginning of a sentence.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._since: float | None = None
        self._pause_s = PAUSE_FIRST_S

    def failed(self, error: BaseException) -> None:
        """Note a failure; say so if it is the first."""
        if self._since is None:
            self._since = time.monotonic()
            log.warning("%s: %s; trying again until it works", self._what, error)

    def worked(self) -> None:
        """Note a success; say so if it ends an outage."""
        if self._since is not None:
            log.warning("%s works again, after %.1f s", self._what, time.monotonic() - self._since)
        self._since = None
        self._pause_s = PAUSE_FIRST_S

    async def pause(self) -> None:
        """Wait before the next try, longer each time."""
        await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.0))
        self._pause_s = min(PAUSE_MOST_S, self._pause_s * 2)
