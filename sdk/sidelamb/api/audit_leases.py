"""Audit of leases: hash, set of leases and slots must be of one mind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.api.finding import STEP, Finder, Finding, parts, text
from sidelamb.api.lease_trouble import LeaseFacts
from sidelamb.store import capsule_of

if TYPE_CHECKING:
    from sidelamb.api.steps import Steps

__all__ = ["LeaseAudit"]

LEASES = 50
"""Leases whose fields are read at once: each may have some thousand."""


class LeaseAudit(Finder):
    """The checks of leases.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _leases(self, names: set[str], taken: set[str], found: list[Finding]) -> Steps[dict[str, LeaseFacts]]:
        """Compare hashes, the set of leases, and slots; return the leases."""
        ids = {n.removeprefix("sidelamb:lease:") for n in names if n.startswith("sidelamb:lease:")}
        ids |= yield from self._listed(is_there="sidelamb:leases" in names)
        leases: dict[str, LeaseFacts] = {}
        for part in parts(sorted(x for x in ids if f"sidelamb:lease:{x}" not in taken), LEASES):
            for one in (yield from self._facts(part, taken)):
                leases[one.id] = one
                troubles = [] if "sidelamb:leases" in taken else one.troubles()
                if troubles:
                    call = self._calls.mend_lease(one.id, one.capsule, self._now())
                    where = f"sidelamb:lease:{one.id}"
                    found.append(self._finding("; ".join(troubles), where, one.remedy(), call))
        for name in sorted(n for n in names if n.startswith("sidelamb:slots:")):
            yield from self._slots(name.removeprefix("sidelamb:slots:"), leases, taken, found)
        return leases

    def _listed(self, *, is_there: bool) -> Steps[set[str]]:
        """Return the ids in the set of leases."""
        listed: set[str] = set()
        cursor = 0
        while is_there:
            ((after, flat),) = yield self._calls.read((self._keys.leases, "ZSCAN", cursor, "COUNT", STEP))
            listed |= {name.decode(errors="replace") for name in flat[::2]}
            cursor = int(after)
            is_there = cursor != 0
        return listed

    def _facts(self, ids: list[str], taken: set[str]) -> Steps[list[LeaseFacts]]:
        """Return what is known of leases, all of it at one instant: a running system is not half way then.

        Of a key that another program has taken nothing is asked; what it would say counts as right.
        """
        k, commands = self._keys, []
        for x in ids:
            lease, capsule = k.lease(x), capsule_of(x)
            commands += [(lease, "HKEYS"), (lease, "HMGET", "capsule", "claim")]
            commands.append((k.leases, "ZSCORE", x) if "sidelamb:leases" not in taken else (lease, "HLEN"))
            has_slots = f"sidelamb:slots:{capsule}" not in taken
            commands.append((k.slots(capsule), "SISMEMBER", x) if has_slots else (lease, "HLEN"))
        reply = yield self._calls.read(*commands)
        found = []
        for n, x in enumerate(ids):
            names, (of, claim), score, slot = reply[4 * n : 4 * n + 4]
            fields = frozenset(name.decode(errors="replace") for name in names)
            at = None if score is None else float(score)
            found.append(LeaseFacts(x, capsule_of(x), fields, text(of), claim or b"", at, bool(slot)))
        return found

    def _slots(
        self, capsule: str, leases: dict[str, LeaseFacts], taken: set[str], found: list[Finding]
    ) -> Steps[None]:
        cursor, key = 0, self._keys.slots(capsule)
        while True:
            ((after, members),) = yield self._calls.read((key, "SSCAN", cursor, "COUNT", STEP))
            for lease in (raw.decode(errors="replace") for raw in members):
                is_its_own = lease in leases and capsule_of(lease) == capsule
                if is_its_own or f"sidelamb:lease:{lease}" in taken:
                    continue
                there, jobs = yield self._calls.read((key, "SISMEMBER", lease), (self._keys.lease(lease), "HLEN"))
                if there and not (jobs and capsule_of(lease) == capsule):
                    why = "is another capsule's" if jobs else "does not exist"
                    what = f"a slot is taken by lease {lease}, which {why}: one invocation fewer runs"
                    call = self._calls.mend_lease(lease, capsule, self._now())
                    found.append(self._finding(what, f"sidelamb:slots:{capsule}", "mending frees it", call))
            cursor = int(after)
            if cursor == 0:
                return
