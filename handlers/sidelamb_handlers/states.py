"""The states that jobs leave in Redis between their executions, as a worker reaches them.

Each method is one round trip at most. Whether a job is cancelled is never worth more than a moment: where Redis
does not say, it is not.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sidelamb.errors import RedisError
from sidelamb.state import StateStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sidelamb.keys import Keys
    from sidelamb.link import Link
    from sidelamb.state import State

__all__ = ["States", "batches_of"]

log = logging.getLogger("sidelamb.worker")

WITHIN_S = 1.0
"""How long a job waits for Redis between two of its items."""


class States:
    """Reads and writes states.

    Args:
        link: the way to Redis.
        keys: names the keys.
    """

    def __init__(self, link: Link, keys: Keys) -> None:
        self.link = self._link = link
        self.keys = self._keys = keys
        self._store = StateStore(keys)

    def read(self, jid: str) -> State:
        """Return a job's state; raises as `Link.run`."""
        return self._link.run(self._store.read(jid))

    def write(self, jid: str, state: State, within_s: float = WITHIN_S) -> bool:
        """Write a job's state and say whether it was cancelled meanwhile; raises as `Link.run`."""
        return self._link.run(self._store.checkpoint(jid, state), within_s=within_s)

    def is_cancelled(self, jid: str) -> bool:
        """Say whether a job is marked as cancelled."""
        try:
            return bool(self._link.command("HEXISTS", self._keys.state(jid), "cancelled"))
        except RedisError:
            return False

    def cancelled(self, payloads: Iterable[Any]) -> set[str]:
        """Return the ids of those of these jobs, and of their batches, that are marked as cancelled."""
        found = [ident for payload in payloads if isinstance(payload, dict) for ident in _idents(payload)]
        jids = list(dict.fromkeys(found))
        try:
            return self._link.run(self._store.cancelled(jids)) if jids else set()
        except RedisError as error:
            log.warning("which jobs are cancelled could not be read (%s); they run", error)
            return set()

    def progress(self, jid: str, done: float, total: float | None, note: str) -> None:
        """Write how far a job is into its status."""
        from sidelamb.results import progress  # noqa: PLC0415 - few jobs say how far they are

        try:
            self._link.run(progress(self._keys, jid, done, total, note), within_s=WITHIN_S)
        except RedisError as error:
            log.warning("the progress of job %s could not be written (%s)", jid, error)

    def forget(self, jids: Sequence[str]) -> None:
        """Remove the states of jobs that are done; if that fails they go by themselves, in 30 days."""
        if not jids:
            return
        try:
            self._link.run(self._store.forget(jids), within_s=WITHIN_S)
        except RedisError as error:
            log.warning("the states of %d finished jobs could not be removed (%s)", len(jids), error)


def _idents(payload: dict[str, Any]) -> Iterator[str]:
    """Give what a job can be cancelled by: its own id, and those of its batches."""
    jid = payload.get("jid")
    if jid and isinstance(jid, str):
        yield jid
    yield from batches_of(payload)


def batches_of(payload: dict[str, Any]) -> list[str]:
    """Return the ids of the batches that a job is in."""
    if "bid" not in payload:
        return []
    from sidelamb.batches.member import levels_of  # noqa: PLC0415 - only for jobs in batches

    return [level.bid for level in levels_of(payload)]
