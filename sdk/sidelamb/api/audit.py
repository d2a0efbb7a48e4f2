"""The invariants of what is in Redis, checked: every job in one place, everyone who knows a lease of one mind.

    for finding in Audit().run():
        print(finding)
        finding.mend()

What is compared is read at one instant, so that a running system is not found half way. Mending looks again,
changes nothing that is well meanwhile, and never removes the last copy of a job.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidelamb.api.lease_trouble import LeaseFacts
from sidelamb.api.record import JobRecord
from sidelamb.api.steps import Step, Steps, View, arun, awaiting, blocking, run
from sidelamb.store import capsule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidelamb.client import Client
    from sidelamb.store import Arg

__all__ = ["Audit", "Finding"]

STEP = 500
LEASES = 50
"""Leases whose fields are read at once: each may have some thousand."""
MOST_JOBS = 200_000
"""Jobs whose ids are compared, some 30 MB; beyond it the audit says that it has not looked at all."""
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

    async def amend(self) -> bool:
        """`mend` for async code."""
        return bool(self._call is not None and await arun(self._client, _one(self._call)))

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class _Copy:
    """Where a copy of a job is. The lower rank is kept."""

    rank: int
    kind: str
    key: bytes
    item: Arg
    where: str

    def asked(self) -> tuple[bytes, str, Arg]:
        """Return the command that answers with nothing if it is not there any more."""
        return self.key, {"list": "LPOS", "zset": "ZSCORE", "hash": "HGET"}[self.kind], self.item


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
        usable, taken = yield from self._types(names, found)
        leases = yield from self._leases(usable, taken, found)
        if "queues" not in taken:
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

    def _types(self, names: set[str], found: list[Finding]) -> Steps[tuple[set[str], set[str]]]:
        """Return the names whose keys are of the type they must be, and those whose keys are of another."""
        usable, taken = set(), set()
        for part in _parts(sorted(names)):
            kinds = yield self._calls.read(*((self._keys(name), "TYPE") for name in part))
            for name, kind in zip(part, kinds, strict=True):
                is_kind, wanted = _text(kind), _wanted(name)
                if is_kind == wanted:
                    usable.add(name)
                elif is_kind != "none":
                    taken.add(name)
                    what = f"it is a {is_kind}, and must be a {wanted}"
                    found.append(self._finding(what, name, "another program uses the name: rename its key"))
        return usable, taken

    def _leases(self, names: set[str], taken: set[str], found: list[Finding]) -> Steps[dict[str, LeaseFacts]]:
        """Compare hashes, the set of leases, and slots; return the leases."""
        ids = {n.removeprefix("sidelamb:lease:") for n in names if n.startswith("sidelamb:lease:")}
        ids |= yield from self._listed(is_there="sidelamb:leases" in names)
        leases: dict[str, LeaseFacts] = {}
        for part in _parts(sorted(x for x in ids if f"sidelamb:lease:{x}" not in taken), LEASES):
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
            found.append(LeaseFacts(x, capsule_of(x), fields, _text(of), claim or b"", at, bool(slot)))
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
            if len(raws) == STEP:
                what = f"there may be more than {STEP} entries with the score {low}"
                found.append(self._finding(what, name, "mend those and look again"))

    def _twins(
        self,
        names: set[str],
        leases: dict[str, LeaseFacts],
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
                    copy = _Copy(place.rank, place.kind, key, item, where)
                    first = seen.setdefault(jid, copy)
                    if first is not copy and (yield from self._both(first, copy)):
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

    def _both(self, one: _Copy, other: _Copy) -> Steps[bool]:
        """Say whether two copies are there at one instant, or one has only moved while it was looked for."""
        return None not in (yield self._calls.read(one.asked(), other.asked()))

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


def _places(names: set[str], leases: dict[str, LeaseFacts]) -> Iterator[_Place]:
    """Yield where jobs are; what is to be kept of two copies comes first."""
    for claimed in (True, False):
        for lease, about in leases.items():
            if about.is_claimed is claimed and f"sidelamb:lease:{lease}" in names:
                yield _Place(0 if claimed else 1, f"sidelamb:lease:{lease}", "hash")
    for rank, prefix in ((2, "sidelamb:alone:"), (3, "queue:")):
        for name in sorted(n for n in names if n.startswith(prefix)):
            yield _Place(rank, name, "list")
    for rank, name in enumerate(_SETS, 4):
        if name in names:
            yield _Place(rank, name, "zset")


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


def _parts(names: list[str], most: int = STEP) -> Iterator[list[str]]:
    for i in range(0, len(names), most):
        yield names[i : i + most]


def _one(step: Step) -> Steps[Any]:
    return (yield step)
