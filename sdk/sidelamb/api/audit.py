"""The invariants of what is in Redis, checked: every job in one place, everyone who knows a lease of one mind.

    for finding in Audit().run():
        print(finding)
        finding.mend()

Looks at a running system, so a finding may be a transition seen half way: mending looks again, changes nothing
that is well meanwhile, and never removes the last copy of a job.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidelamb.api.record import JobRecord
from sidelamb.api.steps import Step, Steps, View, awaiting, blocking, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidelamb.client import Client
    from sidelamb.store import Arg

__all__ = ["Audit", "Finding"]

STEP = 500
MOST_JOBS = 200_000
"""Jobs whose ids are compared, some 30 MB; beyond it the audit says that it has not looked at all."""
WHOLE = 2
"""Fields of a lease that tell its state: its capsule, and one of open and claim."""
_TYPES = {"queues": "set", "paused": "set", "processes": "set", "sidelamb:cancelled": "zset"}
_SETS = ("retry", "schedule", "dead")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    what: str
    """A sentence."""
    where: str
    """The key."""
    remedy: str
    """What `mend` does, or what a person has to do where it can do nothing."""
    _client: Client = field(repr=False)
    _call: Step | None = field(default=None, repr=False)

    @property
    def can_be_mended(self) -> bool:
        """Whether `mend` can do something."""
        return self._call is not None

    def mend(self) -> bool:
        """Put it right in one script; say whether anything had to be changed still.

        Raises:
            RedisUnreachable, RedisRefused, RedisUncertain: as `Job.enqueue`; it is safe to try again.
        """
        return bool(self._call is not None and run(self._client, _one(self._call)))

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class _Copy:
    """Where a copy of a job is. The lower rank is kept."""

    rank: int
    key: bytes
    item: Arg
    where: str


class Audit(View):
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
        usable = yield from self._types(names, found)
        leases = yield from self._leases(usable, found)
        yield from self._queues(usable, found)
        for name in _SETS:
            if name in usable:
                yield from self._scores(name, found)
        yield from self._twins(usable, leases, found, progress)
        return found

    run, arun = blocking(_run), awaiting(_run)

    def _names(self) -> Steps[set[str]]:
        """Return the names of all keys of Sidekiq's and ours that hold jobs or leases."""
        prefix = self._keys("").decode()
        names = {*_TYPES, *_SETS, "sidelamb:leases"}
        for pattern in ("queue:*", "sidelamb:lease:*", "sidelamb:slots:*", "sidelamb:alone:*"):
            cursor = 0
            while True:
                after, keys = yield (b"SCAN", cursor, b"MATCH", _literal(prefix) + pattern, b"COUNT", STEP)
                names |= {key.decode(errors="replace").removeprefix(prefix) for key in keys}
                cursor = int(after)
                if cursor == 0:
                    break
        return names

    def _types(self, names: set[str], found: list[Finding]) -> Steps[set[str]]:
        """Return the names whose keys are of the type they must be."""
        usable = set()
        for part in _parts(sorted(names)):
            kinds = yield self._calls.read(*((self._keys(name), "TYPE") for name in part))
            for name, kind in zip(part, kinds, strict=True):
                is_kind, wanted = _text(kind), _wanted(name)
                if is_kind == wanted:
                    usable.add(name)
                elif is_kind != "none":
                    what = f"it is a {is_kind}, and must be a {wanted}"
                    found.append(self._finding(what, name, "another program uses the name: rename its key"))
        return usable

    def _leases(self, names: set[str], found: list[Finding]) -> Steps[dict[str, dict[str, Any]]]:
        """Compare hashes, the set of leases, and slots; return the leases with their fields but the payloads."""
        k = self._keys
        ids = {n.removeprefix("sidelamb:lease:") for n in names if n.startswith("sidelamb:lease:")}
        listed: dict[str, float] = {}
        if "sidelamb:leases" in names:
            cursor = 0
            while True:
                ((after, flat),) = yield self._calls.read((k.leases, "ZSCAN", cursor, "COUNT", STEP))
                listed |= {
                    x.decode(errors="replace"): float(s) for x, s in zip(flat[::2], flat[1::2], strict=True)
                }
                cursor = int(after)
                if cursor == 0:
                    break
        leases: dict[str, dict[str, Any]] = {}
        for part in _parts(sorted(ids | set(listed))):
            metas = yield self._calls.read(*((k.lease(x), "HMGET", "capsule", "claim", "open") for x in part))
            lengths = yield self._calls.read(*((k.lease(x), "HLEN") for x in part))
            capsules = [_text(m[0]) or x.rpartition(":")[0] for x, m in zip(part, metas, strict=True)]
            slots = yield self._calls.read(
                *((k.slots(c), "SISMEMBER", x) for c, x in zip(capsules, part, strict=True))
            )
            for x, meta, length, capsule, slot in zip(part, metas, lengths, capsules, slots, strict=True):
                there = sum(value is not None for value in meta)
                jobs = length - there - 1  # and `poller`
                leases[x] = {"capsule": capsule, "claimed": meta[1] is not None, "jobs": jobs}
                wrong = _lease_trouble(jobs, listed.get(x), slot=bool(slot), whole=there == WHOLE)
                if wrong:
                    what, remedy = wrong
                    call = self._calls.mend_lease(x, capsule, self._now())
                    found.append(self._finding(what, f"sidelamb:lease:{x}", remedy, call))
        for name in sorted(n for n in names if n.startswith("sidelamb:slots:")):
            yield from self._slots(name.removeprefix("sidelamb:slots:"), leases, found)
        return leases

    def _slots(self, capsule: str, leases: dict[str, Any], found: list[Finding]) -> Steps[None]:
        cursor = 0
        while True:
            key = self._keys.slots(capsule)
            ((after, members),) = yield self._calls.read((key, "SSCAN", cursor, "COUNT", STEP))
            for raw in members:
                lease = raw.decode(errors="replace")
                if lease not in leases:
                    what = f"a slot is taken by lease {lease}, which does not exist: one invocation fewer runs"
                    call = self._calls.mend_lease(lease, capsule, self._now())
                    found.append(self._finding(what, f"sidelamb:slots:{capsule}", "mending frees it", call))
            cursor = int(after)
            if cursor == 0:
                return

    def _queues(self, names: set[str], found: list[Finding]) -> Steps[None]:
        """Find queues that hold jobs and that no page lists."""
        prefixes = ("queue:", "sidelamb:alone:")
        queues = sorted({n.removeprefix(p) for n in names for p in prefixes if n.startswith(p)})
        for part in _parts(queues):
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

    def _twins(
        self,
        names: set[str],
        leases: dict[str, dict[str, Any]],
        found: list[Finding],
        progress: Callable[[int], None] | None,
    ) -> Steps[None]:
        """Find jobs that are in two places."""
        seen: dict[str, _Copy] = {}
        looked = 0
        for place in _places(names, leases):
            cursor = 0
            while True:
                raws, cursor = yield from self._copies(place, cursor)
                for raw, item in raws:
                    jid = JobRecord(raw).jid
                    if not jid:
                        continue
                    key = self._keys(place.name)
                    where = f"{place.name} {item!s}" if isinstance(item, str) else place.name
                    copy = _Copy(place.rank, key, item, where)
                    first = seen.setdefault(jid, copy)
                    if first is not copy:
                        found.append(self._twin(jid, first, copy))
                looked += len(raws)
                if progress:
                    progress(looked)
                if looked > MOST_JOBS:
                    what = f"there are more than {MOST_JOBS:,} jobs, and only the first so many were compared"
                    found.append(self._finding(what, place.name, "let queues drain and look again"))
                    return
                if cursor == 0:
                    break

    def _copies(self, place: _Place, cursor: int) -> Steps[tuple[list[tuple[bytes, Arg]], int]]:
        """Return some (payload, bytes or field) of a place on from `cursor`, and where to go on."""
        key = self._keys(place.name)
        if place.kind == "list":
            (raws,) = yield self._calls.read((key, "LRANGE", cursor, cursor + STEP - 1))
            return [(raw, raw) for raw in raws], cursor + STEP if len(raws) == STEP else 0
        command = "HSCAN" if place.kind == "hash" else "ZSCAN"
        ((after, flat),) = yield self._calls.read((key, command, cursor, "COUNT", STEP))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        if place.kind == "hash":
            return [(raw, name.decode()) for name, raw in pairs if name[:1].isdigit()], int(after)
        return [(raw, raw) for raw, _ in pairs], int(after)

    def _twin(self, jid: str, keep: _Copy, other: _Copy) -> Finding:
        what = f"job {jid} is in {keep.where} and in {other.where}"
        if other.rank == 0:
            return self._finding(what, other.where, "both are in claimed leases: they end by themselves")
        call = self._calls.mend_twin((keep.key, keep.item), (other.key, other.item))
        return self._finding(what, other.where, f"mending removes it from {other.where}", call)

    def _finding(self, what: str, where: str, remedy: str, call: Step | None = None) -> Finding:
        return Finding(what, where, remedy, self._client, call)


@dataclass(frozen=True, slots=True)
class _Place:
    rank: int
    name: str
    kind: str


def _places(names: set[str], leases: dict[str, dict[str, Any]]) -> Iterator[_Place]:
    """Yield where jobs are; what is to be kept of two copies comes first."""
    for claimed in (True, False):
        for lease, about in leases.items():
            if about["claimed"] is claimed and f"sidelamb:lease:{lease}" in names:
                yield _Place(0 if claimed else 1, f"sidelamb:lease:{lease}", "hash")
    for rank, prefix in ((2, "sidelamb:alone:"), (3, "queue:")):
        for name in sorted(n for n in names if n.startswith(prefix)):
            yield _Place(rank, name, "list")
    for rank, name in enumerate(_SETS, 4):
        if name in names:
            yield _Place(rank, name, "zset")


def _lease_trouble(jobs: int, score: float | None, *, slot: bool, whole: bool) -> tuple[str, str] | None:
    """Return what is wrong with a lease, and what mending does; None if nothing is."""
    if jobs <= 0:
        return "it holds no job", "mending removes it, and frees its slot"
    if not whole:
        return "it lacks its capsule, or has neither or both of open and claim", "mending cannot: let it expire"
    if score is None:
        return "the set of leases does not know it: nobody would reap it", "mending has it expire now"
    if not math.isfinite(score):
        return f"it expires at {score}, which is no time", "mending has it expire now"
    if not slot:
        return "its capsule's slots do not know it: one invocation too many runs", "mending adds it"
    return None


def _wanted(name: str) -> str:
    if name in _TYPES:
        return _TYPES[name]
    if name in _SETS or name == "sidelamb:leases":
        return "zset"
    if name.startswith("sidelamb:lease:"):
        return "hash"
    return "set" if name.startswith("sidelamb:slots:") else "list"


def _literal(text: str) -> str:
    """Return a pattern that matches `text` alone."""
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in text)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _parts(names: list[str]) -> Iterator[list[str]]:
    for i in range(0, len(names), STEP):
        yield names[i : i + STEP]


def _one(step: Step) -> Steps[Any]:
    return (yield step)
