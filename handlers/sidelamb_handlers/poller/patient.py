"""The poller's way to Redis: tries until it works, and says once that it does not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from sidelamb.errors import RedisError, RedisRefused
from sidelamb_handlers.poller.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.alink import AsyncLink
    from sidelamb.store import Call

__all__ = ["REPLY_TIMEOUT_S", "Patient"]

T = TypeVar("T")

REPLY_TIMEOUT_S = 3.0
"""Shorter than an app's: whatever a poller asks it may ask again, and jobs wait for it after an outage."""

_OF_THE_SCRIPT = frozenset({"", "ERR", "WRONGTYPE", "NOPERM", "OOM", "CROSSSLOT"})
"""Codes of refusals that other scripts need not meet; any other says that Redis is away, or only half there."""


class Patient:
    """Runs calls that are safe to repeat, for ever or until a given time."""

    def __init__(self, link: AsyncLink) -> None:
        self.link = link
        self.outage = Outage(f"Redis at {link.address}")
        self._full = Outage(f"Redis at {link.address} is full")
        self._refusals: dict[str, Outage] = {}

    async def run(self, call: Call[T] | Callable[[], Call[T]], *, until: float | None = None) -> T:
        """Return the answer to `call`, trying again while Redis is away.

        Args:
            call: a call that is safe to repeat, or what makes one for each try.
            until: epoch s after which its error is raised; None: never.

        Raises:
            RedisError: `until` has passed.
        """
        while True:
            made = call() if callable(call) else call
            began = time.monotonic()
            try:
                answer = await self.link.run(made)
            except RedisError as error:
                outage = self._outage(made.script, error)
                outage.failed(error, began)
                if until is not None and time.time() > until:
                    raise
                await outage.pause()
            else:
                self.outage.worked()
                if made.script in self._refusals:
                    self._refusals.pop(made.script).worked()
                return answer

    def _outage(self, script: str, error: RedisError) -> Outage:
        """Return the watch over Redis, or over what it refuses one script while others may work."""
        if not isinstance(error, RedisRefused) or error.code not in _OF_THE_SCRIPT:
            return self.outage
        own = f"{script} on Redis at {self.link.address}"
        return self._refusals.setdefault(script, self._full if error.code == "OOM" else Outage(own))
