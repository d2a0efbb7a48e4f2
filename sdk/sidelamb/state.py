"""What a job leaves in Redis between its executions: Sidekiq's own `it-<jid>`, which its Web UI shows and cancels.

An iterable job writes down how far it has come. A person, or the app, marks any job as cancelled there; beside
it `sidelamb:cancelled` lists the marks, so that a worker whose jobs nobody cancels need not look.

As `Store`, this does no I/O: a method returns a `Call`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidelamb.errors import BadArgument
from sidelamb.store import Call
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidelamb.keys import Keys
    from sidelamb.store import Arg

__all__ = ["KEPT_S", "State", "StateStore"]

KEPT_S = 30 * 86_400
"""Seconds that a state is kept after it was last written (Sidekiq's)."""


@dataclass(frozen=True, slots=True)
class State:
    """How far an iterable job has come."""

    executions: int = 0
    """How often it was started, as far as it could write that down."""
    cursor: bytes = b"null"
    """JSON text of what it yielded last."""
    runtime_s: float = 0.0
    """Seconds, over all executions."""
    stalled: int = 0
    """Executions in a row that ended by interruption and had not moved the cursor."""
    cancelled: bool = False

    @classmethod
    def read(cls, reply: Sequence[bytes]) -> State:
        """Read a hash, ours or Ruby's. Ruby cancels a job that never ran by `cancelled` alone."""
        fields = dict(zip(reply[::2], reply[1::2], strict=True))
        return cls(
            executions=int(_number(fields.get(b"ex"))),
            cursor=fields.get(b"c", b"null"),
            runtime_s=_number(fields.get(b"rt")),
            stalled=int(_number(fields.get(b"st"))),
            cancelled=b"cancelled" in fields,
        )


class StateStore:
    """The calls, for one namespace.

    Args:
        keys: names the keys.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def read(self, jid: str) -> Call[State]:
        """Read the state of a job; one that has none reads as new."""
        return Call("state", [self._keys.state(jid)], [], State.read)

    def checkpoint(self, jid: str, state: State) -> Call[bool]:
        """Write a state, but for its mark; reads whether it is marked as cancelled."""
        args: list[Arg] = [state.executions, state.cursor, round(state.runtime_s, 3), state.stalled, KEPT_S]
        return Call("checkpoint", [self._keys.state(jid)], args, bool)

    def cancel(self, jid: str, now: float) -> Call[None]:
        """Mark a job as cancelled.

        Raises:
            BadArgument: `jid` is no job id.
        """
        if not isinstance(jid, str) or not jid:
            raise BadArgument(f"cancel takes the id of a job, the text that enqueue returned, not {shown(jid)}")
        args: list[Arg] = [jid, int(now), KEPT_S, int(now) - KEPT_S]
        return Call("cancel", [self._keys.state(jid), self._keys.cancelled], args, lambda _: None)

    def cancelled(self, jids: Sequence[str]) -> Call[set[str]]:
        """Read which of these jobs are marked."""

        def read(reply: list[bytes | None]) -> set[str]:
            return {jid for jid, at in zip(jids, reply, strict=True) if at is not None}

        return Call("cancelled", [self._keys.cancelled], list(jids), read)

    def forget(self, jids: Sequence[str]) -> Call[int]:
        """Remove states and marks of jobs that are done; reads how many states there were."""
        return Call("forget", [self._keys.cancelled, *map(self._keys.state, jids)], list(jids), int)


def _number(text: bytes | None) -> float:
    """Return a number of Ruby's or ours; what cannot be used counts as nothing."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value < _MOST else 0.0


_MOST = 1e12
