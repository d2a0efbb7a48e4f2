"""The gate before each run of a job that uses features: what they have done first, and whether it may run at all.

One round trip for such a job, none for any other. A worker without Redis has no gate.

Ends are written down a few times a second, and a limit's slot is given back with them. So that a job need not wait
for one that ran before it in the same lease, it takes over the slots of those whose runs are over.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sidelamb.effects import startings
from sidelamb.errors import RedisError, RedisRefused
from sidelamb.lenient import number
from sidelamb_handlers.decision import Decision, Outcome, returned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidelamb.effects import Effect
    from sidelamb.link import Link
    from sidelamb.store import Store
    from sidelamb_handlers.attempt import Attempt

__all__ = ["Gate"]

MOST_OVER = 100
"""Slots that are taken over by one run."""
WITHIN_S = 2.0
"""How long a job waits for Redis before it goes back unrun."""


class Gate:
    """Opens, or not.

    Args:
        link, store: the way to Redis.
        clock: epoch s.
        random: in [0, 1).
    """

    def __init__(
        self, link: Link, store: Store, *, clock: Callable[[], float], random: Callable[[], float]
    ) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._random = random
        self._lease = ""
        self._holders: list[Attempt] = []
        """Of this lease, those that were given slots and whose slots nobody has taken over."""

    def __call__(self, attempt: Attempt) -> Decision | None:
        """Do what a job's features do before a run. A decision: it will not run.

        Raises:
            RedisRefused: another program uses the key that says whether it may; that is not over in a moment.
        """
        now = self._clock()
        if attempt.job is None:
            return None
        _name_limit(attempt)
        effects = startings(attempt.payload, now, attempt.deadline, attempt.job.options)
        if not effects:
            return None
        holds = any(effect.verb == "hold" for effect in effects)
        if holds:
            effects = self._taking_over(attempt, effects)
        call = self._store.begin(attempt.lease, attempt.field, attempt.token, effects)
        try:
            answer = self._link.run(call, within_s=WITHIN_S)
        except RedisError as error:
            if isinstance(error, RedisRefused) and error.code == "WRONGTYPE":
                raise
            return returned(f"Redis did not answer before it was started: {error}")
        if holds and not answer:
            self._holders.append(attempt)
        return self._refused(answer, now) if answer else None

    def _taking_over(self, attempt: Attempt, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        """Return the effects with the holders of this lease whose runs are over: their slots may be taken."""
        if attempt.lease != self._lease:  # what is over may run again by now, and hold a slot again
            self._lease, self._holders = attempt.lease, []
        mine = [a for a in tuple(self._holders) if a.payload["limit"] == attempt.payload["limit"]]
        over = [a for a in mine if a.ended_at][:MOST_OVER]
        for one in over:
            with suppress(ValueError):  # another thread was quicker
                self._holders.remove(one)
        running = {str(a.payload.get("jid")) for a in mine if not a.ended_at}  # a twin may be
        jids = [jid for one in over if (jid := str(one.payload.get("jid"))) not in running]
        return tuple(effect._replace(over=tuple(jids)) if effect.verb == "hold" else effect for effect in effects)

    def _refused(self, answer: str, now: float) -> Decision:
        """Return the decision that an effect's refusal means: its first word is the seconds until the next try."""
        wait_s = number(_as_number(answer.partition(" ")[0]))
        if wait_s is None:
            return returned(f"it must not be started: {answer}")
        again = now + wait_s * (1 + self._random() / 2)
        return Decision(Outcome.SNOOZED, again, counted=False, reason=answer.partition(" ")[2])


def _name_limit(attempt: Attempt) -> None:
    """Have a job be under its limit that was enqueued before there was one, or by a client that knows of none.

    Only this run knows of it: if its sandbox is killed, its place is free at its lease's deadline.
    """
    limit = attempt.job.options.limit if attempt.job else None
    if limit is not None and "limit" not in attempt.payload and "sealed" not in attempt.payload:
        attempt.payload["limit"] = limit.named(attempt.payload)


def _as_number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
