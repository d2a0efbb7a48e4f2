"""The invariants of what is in Redis, checked: every job in one place, everyone who knows a lease of one mind.

    for finding in Audit().run():
        print(finding)
        finding.mend()

What is compared is read at one instant, so that a running system is not found half way. Mending looks again,
changes nothing that is well meanwhile, and never removes the last copy of a job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.api.audit_leases import LeaseAudit
from sidelamb.api.audit_twins import SETS, TwinAudit
from sidelamb.api.finding import STEP, Finding, parts, text
from sidelamb.api.record import JobRecord
from sidelamb.api.steps import Steps, awaiting, blocking

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Audit", "Finding"]

_TYPES = {
    "queues": "set",
    "paused": "set",
    "processes": "set",
    "sidelamb:cancelled": "zset",
    "sidelamb:periodic": "hash",
    "sidelamb:periodic:due": "zset",
    "sidelamb:periodic:last": "hash",
    "sidelamb:periodic:owners": "hash",
    "sidelamb:periodic:paused": "set",
    "sidelamb:periodic:sources": "hash",
}


class Audit(LeaseAudit, TwinAudit):
    """The checks.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _run(self, progress: Callable[[int], None] | None = None) -> Steps[list[Finding]]:
        """Look at everything and return what is wrong, in the order it was found.

        Args:
            progress: called now and then with the number of jobs looked at so far.
        """
        found: list[Finding] = []
        names = yield from self._names()
        usable, taken = yield from self._types(names, found)
        leases = yield from self._leases(usable, taken, found)
        if "queues" not in taken:
            yield from self._queues(usable, found)
        for name in SETS:
            if name in usable:
                yield from self._scores(name, found)
        yield from self._twins(usable, leases, found, progress)
        return found

    run, arun = blocking(_run), awaiting(_run)

    def _names(self) -> Steps[set[str]]:
        """Return the names of all keys of Sidekiq's and ours that hold jobs or leases."""
        prefix = self._keys("").decode()
        names = {*_TYPES, *SETS, "sidelamb:leases"}
        for pattern in ("queue:*", "sidelamb:lease:*", "sidelamb:slots:*", "sidelamb:alone:*"):
            cursor = 0
            while True:
                after, keys = yield (b"SCAN", cursor, b"MATCH", _literal(prefix) + pattern, b"COUNT", STEP)
                names |= {key.decode(errors="replace").removeprefix(prefix) for key in keys}
                cursor = int(after)
                if cursor == 0:
                    break
        return names

    def _types(self, names: set[str], found: list[Finding]) -> Steps[tuple[set[str], set[str]]]:
        """Return the names whose keys are of the type they must be, and those whose keys are of another."""
        usable, taken = set(), set()
        for part in parts(sorted(names)):
            kinds = yield self._calls.read(*((self._keys(name), "TYPE") for name in part))
            for name, kind in zip(part, kinds, strict=True):
                is_kind, wanted = text(kind), _wanted(name)
                if is_kind == wanted:
                    usable.add(name)
                elif is_kind != "none":
                    taken.add(name)
                    what = f"it is a {is_kind}, and must be a {wanted}"
                    found.append(self._finding(what, name, "another program uses the name: rename its key"))
        return usable, taken

    def _queues(self, names: set[str], found: list[Finding]) -> Steps[None]:
        """Find queues that hold jobs and that no page lists."""
        prefixes = ("queue:", "sidelamb:alone:")
        queues = sorted({n.removeprefix(p) for n in names for p in prefixes if n.startswith(p)})
        for part in parts(queues):
            known = yield self._calls.read(*((self._keys.queues, "SISMEMBER", q) for q in part))
            for queue, is_known in zip(part, known, strict=True):
                if not is_known:
                    what = "it holds jobs and is not among the known queues, so that no page shows it"
                    call = self._calls.mend_queue(queue)
                    found.append(self._finding(what, f"queue:{queue}", "mending lists it", call))

    def _scores(self, name: str, found: list[Finding]) -> Steps[None]:
        """Find entries whose time is none."""
        key = self._keys(name)
        for low, high in (("-inf", "-inf"), ("+inf", "+inf")):
            (raws,) = yield self._calls.read((key, "ZRANGE", low, high, "BYSCORE", "LIMIT", 0, STEP))
            for raw in raws:
                what = f"{JobRecord(raw)!r} has the score {low}, which is no time"
                call = self._calls.mend_score(key, raw, self._now())
                found.append(self._finding(what, name, "mending gives it the present time", call))
            if len(raws) == STEP:
                what = f"there may be more than {STEP} entries with the score {low}"
                found.append(self._finding(what, name, "mend those and look again"))


def _wanted(name: str) -> str:
    if name in _TYPES:
        return _TYPES[name]
    if name in SETS or name == "sidelamb:leases":
        return "zset"
    if name.startswith("sidelamb:lease:"):
        return "hash"
    return "set" if name.startswith("sidelamb:slots:") else "list"


def _literal(text: str) -> str:
    """Return a pattern that matches `text` alone."""
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in text)
