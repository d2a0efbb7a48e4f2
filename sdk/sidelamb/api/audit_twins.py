"""Audit of jobs: each must be in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidelamb.api.finding import STEP, Finder, Finding
from sidelamb.api.record import JobRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidelamb.api.lease_trouble import LeaseFacts
    from sidelamb.api.steps import Steps
    from sidelamb.store import Arg

__all__ = ["SETS", "TwinAudit"]

MOST_JOBS = 200_000
"""Jobs whose ids are compared, some 30 MB; beyond it the audit says that it has not looked at all."""
SETS = ("retry", "schedule", "dead")


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


@dataclass(frozen=True, slots=True)
class _Place:
    rank: int
    name: str
    kind: str


class TwinAudit(Finder):
    """The check of jobs in two places.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

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


def _places(names: set[str], leases: dict[str, LeaseFacts]) -> Iterator[_Place]:
    """Yield where jobs are; what is to be kept of two copies comes first."""
    for claimed in (True, False):
        for lease, about in leases.items():
            if about.is_claimed is claimed and f"sidelamb:lease:{lease}" in names:
                yield _Place(0 if claimed else 1, f"sidelamb:lease:{lease}", "hash")
    for rank, prefix in ((2, "sidelamb:alone:"), (3, "queue:")):
        for name in sorted(n for n in names if n.startswith(prefix)):
            yield _Place(rank, name, "list")
    for rank, name in enumerate(SETS, 4):
        if name in names:
            yield _Place(rank, name, "zset")
