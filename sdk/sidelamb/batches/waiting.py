"""Waiting until nothing of a batch is going to run by itself, with a bar that shows how far it is."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from sidelamb.api.steps import Has, arun, run
from sidelamb.handle import NotFinished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb.api.steps import Steps
    from sidelamb.batches.status import BatchStatus

__all__ = ["Waits"]

LOOK_S = 0.25
"""Between two looks."""
BAR = 40
"""Characters of a progress bar."""


class Waits(Has):
    """What can be waited for."""

    bid: str

    def _status(self) -> Steps[BatchStatus]:
        raise NotImplementedError

    def wait(self, timeout: float | None = None, *, progress: bool = False) -> BatchStatus:
        """Wait until each job has run, none waits for a retry, and so with the batches in it; return the status.

        It looks four times a second, a round trip for each level of batches. What is dead then waits for a person.

        Args:
            timeout: seconds; None to wait as long as it takes, 0 to look once.
            progress: draw a bar on stderr.

        Raises:
            NotFinished: the time is over.
            BatchGone, RedisError: as `status`.
        """
        for pause_s in self._pauses(timeout):
            status = run(self._client, self._status())
            if _is_seen_through(status, progress=progress):
                return status
            time.sleep(pause_s)
        raise NotFinished(self._late(status, timeout))

    async def await_(self, timeout: float | None = None, *, progress: bool = False) -> BatchStatus:
        """`wait` for async code."""
        for pause_s in self._pauses(timeout):
            status = await arun(self._client, self._status())
            if _is_seen_through(status, progress=progress):
                return status
            await asyncio.sleep(pause_s)
        raise NotFinished(self._late(status, timeout))

    def _pauses(self, timeout: float | None) -> Iterator[float]:
        """Give how long to sleep after each look; the last one is no pause."""
        until = None if timeout is None else time.monotonic() + timeout
        while until is None or (left := until - time.monotonic()) > 0:
            yield LOOK_S if until is None else min(LOOK_S, left)
        yield 0.0

    def _late(self, status: BatchStatus, timeout: float | None) -> str:
        return f"batch {self.bid} ({status.pending} of {status.total} pending) has not ended in {timeout:g} s"


def _is_seen_through(status: BatchStatus, *, progress: bool) -> bool:
    if progress:
        sys.stderr.write(bar(status) + ("\n" if status.is_still else ""))
        sys.stderr.flush()
    return status.is_still


def bar(status: BatchStatus) -> str:
    """Return a line that takes the place of the former one."""
    total, done = _sums(status)
    filled = BAR if not total else BAR * done // total
    end = f" {len(status.dead)} dead" if status.dead else ""
    name = "".join(c if c.isprintable() else "?" for c in status.description or status.bid)
    return f"\r{name} [{'#' * filled:<{BAR}}] {done}/{total}{end}"


def _sums(status: BatchStatus) -> tuple[int, int]:
    """Return how many jobs there are, and how many are through, here and in the batches in it."""
    sums = [_sums(child) for child in status.children]
    return status.total + sum(total for total, _ in sums), status.done + sum(done for _, done in sums)
