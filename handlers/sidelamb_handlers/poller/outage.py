"""One line when something goes away, one when it is back, and a growing pause between.

A poller tries for ever. What it says stays readable: an outage is one warning, however many calls fail in it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Outage"]

log = logging.getLogger("sidelamb.poller")

PAUSE_FIRST_S = 0.1
PAUSE_MOST_S = 1.0


class Outage:
    """Keeps watch over one thing that may go away.

    Args:
        what: its name, the beginning of a sentence.
        clock: seconds.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._since: float | None = None
        self._back_at = float("-inf")

    def failed(self, error: BaseException, tried_at: float | None = None) -> None:
        """Note a failure; say so if it is the first.

        Args:
            error: why.
            tried_at: by the clock, when what failed was begun: before the end of an outage, it belongs to that.
        """
        if self._since is None and (tried_at is None or tried_at >= self._back_at):
            self._since = self._clock()
            said = str(error).rstrip(".")
            said = said if said.startswith(self._what) else f"{self._what}: {said}"
            log.warning("%s; trying again until it works", said)

    def worked(self) -> None:
        """Note a success; say so if it ends an outage."""
        if self._since is not None:
            self._back_at = self._clock()
            log.warning("%s works again, after %.1f s", self._what, self._back_at - self._since)
        self._since = None

    async def pause(self) -> None:
        """Wait before the next try, longer the longer the outage has lasted, whoever else waits."""
        lasted = 0.0 if self._since is None else self._clock() - self._since
        await asyncio.sleep(min(PAUSE_MOST_S, max(PAUSE_FIRST_S, lasted / 2)) * random.uniform(0.5, 1.0))
