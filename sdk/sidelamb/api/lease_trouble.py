"""What can be wrong with a lease, from what its hash, the set of leases and the slots say of it. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["LIFE_S", "LeaseFacts"]

LIFE_S = 960
"""So many seconds after its claim no invocation is alive: Lambda's most are 900, and one may begin 30 s later."""

_CLAIM = re.compile(rb"[!-~]+ [\d.]+( \d+)?\Z")
_OWN = {"capsule", "poller", "open", "claim"}


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """A lease as it stands in Redis, without its payloads."""

    id: str
    capsule: str
    """That its id names."""
    fields: frozenset[str]
    of: str
    """The capsule that its hash names, or empty."""
    claim: bytes
    score: float | None
    """What the set of leases says, or None if it does not know it."""
    slot: bool

    @property
    def jobs(self) -> int:
        """How many it holds."""
        return sum(map(_is_job, self.fields))

    @property
    def is_claimed(self) -> bool:
        """Whether an invocation has taken it."""
        return "claim" in self.fields

    def troubles(self) -> list[str]:
        """Return what is wrong, each as half a sentence."""
        if not self.fields and self.score is None and not self.slot:
            return []  # it has ended
        if not self.jobs:
            return ["it holds no job"]
        found = []
        if strange := sorted(f for f in self.fields - _OWN if not _is_job(f)):
            some = ", ".join(strange[:5])
            found.append(f"it has fields that are none of a lease's ({some}), and would never close")
        if missing := [f for f in ("capsule", "poller") if f not in self.fields]:
            found.append(f"it lacks its {' and '.join(missing)}, and would close before its last job")
        elif self.of != self.capsule:
            found.append(f"it names {self.of} as its capsule, and is of {self.capsule}")
        found += self._state_troubles()
        if self.score is None:
            found.append("the set of leases does not know it: nobody would reap it")
        elif not math.isfinite(self.score):
            found.append(f"it expires at {self.score}, which is no time")
        if not self.slot:
            found.append("its capsule's slots do not know it: one invocation too many runs")
        return found

    def _state_troubles(self) -> list[str]:
        if "open" not in self.fields and not self.is_claimed:
            return ["it is neither open nor claimed, so that nobody can claim it"]
        if "open" in self.fields and self.is_claimed:
            return ["it is both open and claimed"]
        if self.is_claimed and not _CLAIM.match(self.claim):
            return ["its claim cannot be read, so that nobody would reap it"]
        return []

    def remedy(self) -> str:
        """Return what mending does."""
        if not self.jobs:
            return "mending removes it, and frees its slot"
        if self.score is not None and math.isfinite(self.score):
            return "mending puts that right, and leaves its jobs and its time"
        if self.is_claimed or "open" not in self.fields:
            return f"mending has it expire {LIFE_S} s after its claim, when no invocation of it can be alive"
        return "mending has it expire now"


def _is_job(field: str) -> bool:
    return field[:1] in set("0123456789")
