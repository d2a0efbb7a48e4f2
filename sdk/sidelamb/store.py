"""Every transition of a job in Redis, one method each, one Lua script each.

`Store` does no I/O: a method returns a `Call`, which a `Link` (blocking) or an `AsyncLink` carries out. So both
worlds share one set of transitions, and a test can look at a call before it is made.

The clock is always an argument, epoch seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from sidelamb.keys import Keys, index_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sidelamb.effects import Effect
    from sidelamb.packing import Packed

__all__ = [
    "BULK",
    "DEAD_FOR_S",
    "DEAD_MOST",
    "MARK_SCORE",
    "Call",
    "Claim",
    "GivenUp",
    "Held",
    "Look",
    "Move",
    "Numbered",
    "Overdue",
    "Reserved",
    "Settled",
    "Store",
    "keep",
    "to_dead",
    "to_retry",
    "to_schedule",
]

T = TypeVar("T")
Arg = bytes | str | int | float

BULK = 1_000
"""Jobs or entries that one call moves at most."""

DEAD_FOR_S = 180 * 86_400
"""Dead jobs are kept for six months (Sidekiq's default)."""

DEAD_MOST = 10_000
"""At most so many dead jobs are kept (Sidekiq's default)."""

MARK_SCORE = -9_000_000_000_000_000
"""Of what stands at the head of the due periodic jobs to have the scheduler look at the app's modules."""

NO_LIST = -2
"""Instead of a length: the queue is none of ours."""

_DAY_COUNTER_TTL_S = 5 * 365 * 86_400
_DEPLOY_LOCK_S = 60
_DEPLOY_MARKS_S = 90 * 86_400
_NONE: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One script call: what to run, on which keys, and how to read the answer."""

    script: str
    keys: Sequence[bytes]
    args: Sequence[Arg]
    read: Callable[[Any], T]
    repeatable: bool = True
    """Whether the script may arrive twice without harm. `enqueue` may not."""


class Claim(IntEnum):
    """The answer to `claim`; false only if the lease is not one's own."""

    NO = 0
    YES = 1
    LOOK = 2
    """Yes, and there are cancelled jobs, perhaps among these."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a lease holds: payloads by field, in order, and for a lease read back its claim."""

    lease: str
    jobs: dict[str, bytes]
    capsule: str = ""
    poller: str = ""
    claim: str = ""
    """`<token> <epoch s> <jobs>`, or empty while unclaimed. A token is `<request id>/<random>`, and ends with
    `/careful` if each job is settled before the next one starts."""

    @property
    def ran_alone(self) -> bool:
        """Whether the one job that is left was the only one when it was claimed."""
        return len(self.jobs) == 1 and self.claim.split(" ")[2:3] in ([], ["1"])

    @property
    def token(self) -> str:
        """What `settle` and `narrow` must name, or empty."""
        return self.claim.partition(" ")[0]

    @property
    def was_careful(self) -> bool:
        """Whether each job was settled before the next one started, so that the first one left was running."""
        return self.token.endswith("/careful")

    @property
    def request_id(self) -> str:
        """The request id that claimed the lease, or empty."""
        return self.token.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Reserved:
    """The answer to `reserve`."""

    waiting: int
    """Jobs left behind in queues that are not held back."""
    held_back: tuple[str, ...]
    """Queues that hold jobs and are paused, or have reached their cap."""
    in_use: int
    """Leases of the capsule that live now, over all pollers."""
    leases: list[Held]


class Overdue(NamedTuple):
    """What a scheduler's pass begins with."""

    leases: list[str]
    """Ids of those whose time is over, oldest first."""
    tick: float | None
    """When the next periodic job is due; below zero if that is yet to be found; None without any."""


class GivenUp(NamedTuple):
    """A part of a job's end that was not written down, because another program uses a key of ours."""

    field: str
    """The job's, in its lease."""
    verb: str
    why: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer to `settle` and `reap`."""

    moved: int
    """Jobs; -1 if it is not the caller's to do."""
    left: int
    """Jobs that are in the lease still."""
    given_up: tuple[GivenUp, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """The answer to `look`. Times are epoch seconds, None where there is nothing."""

    due: float | None
    """When the next entry of schedule or retry falls due."""
    expires: float | None
    """When the next lease expires."""
    waiting: dict[str, int]
    """Jobs waiting by queue; paused queues and foreign ones are left out."""
    tick: float | None = None
    """When the next periodic job is due; below zero if that is yet to be found."""
    foreign: frozenset[str] = frozenset()
    """Queues that are no lists, because another program uses their keys."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where one job of a lease goes.

    Without a verb's destination (`x`) the job is finished and leaves Redis.
    """

    field: str
    verb: Literal["x", "z", "r", "l"]
    to: str = ""
    """`retry`, `schedule`, `dead`, or `source`, `alone` and `queue:<name>` for lists."""
    score: float = 0.0
    payload: bytes = b""
    """New bytes, or empty for those in the lease."""
    count: Literal["p", "f", "-"] = "-"
    """`p`: counts as an attempt, `f`: as a failed one, `-`: as none."""
    effects: Sequence[Effect] = ()
    """What its features have done with it."""


def to_retry(job: str, at: float, payload: bytes) -> Move:
    """Return the move of a failed job to `retry`, next attempt at epoch second `at`."""
    return Move(job, "z", "retry", at, payload, "f")


def to_dead(job: str, now: float, payload: bytes = b"", *, count: Literal["f", "-"] = "f") -> Move:
    """Return the move of a job to `dead`."""
    return Move(job, "z", "dead", now, payload, count)


def to_schedule(job: str, at: float, payload: bytes = b"") -> Move:
    """Return the move of a job that is put off, uncounted, until epoch second `at`."""
    return Move(job, "z", "schedule", at, payload)


def keep(job: str, *, alone: bool = False) -> Move:
    """Return the move of a job that was not run, back to the head of where it came from (or to `alone`)."""
    return Move(job, "r", "alone" if alone else "source")


class Numbered:
    """Numbers the keys that a script finds by number, each key once.

    Args:
        keys: names the keys.
        known: those that stand before the others, from 1.
    """

    def __init__(self, keys: Keys, known: Sequence[bytes]) -> None:
        self._names = keys
        self._places = {key: place for place, key in enumerate(known, 1)}
        self.keys = list(known)

    def place(self, key: bytes) -> int:
        """Return the number of a key."""
        if key not in self._places:
            self.keys.append(key)
            self._places[key] = len(self.keys)
        return self._places[key]

    def effects(self, owner: str | int, effects: Iterable[Effect]) -> list[Arg]:
        """Return the arguments that effects are to a script (see `_effects.lua`)."""
        args: list[Arg] = []
        for verb, keys, rest, over in effects:
            places = [self.place(self._names(key)) for key in keys]
            args += [owner, verb, len(places), *places, len(rest) + len(over), *rest, *over]
        return args


class Store:
    """The transitions, for one namespace.

    Args:
        namespace: key prefix; empty for Sidekiq's own layout.
    """

    def __init__(self, namespace: str = "") -> None:
        self.keys = Keys(namespace)

    # --- the client's ------------------------------------------------------------------------------------

    def enqueue(self, jobs: Sequence[tuple[str, bytes]]) -> Call[int]:
        """Push (queue, payload) pairs. Never safe to repeat. At most BULK at a time."""
        if len(jobs) == 1:
            ((queue, payload),) = jobs
            return Call(
                "push", (self.keys.queues, self.keys.queue(queue)), (queue, payload), int, repeatable=False
            )
        queues: dict[str, list[bytes]] = {}
        for queue, payload in jobs:
            queues.setdefault(queue, []).append(payload)
        args: list[Arg] = [len(queues)]
        for queue, payloads in queues.items():
            args += [queue, len(payloads), *payloads]
        keys = [self.keys.queues, *map(self.keys.queue, queues)]
        return Call("enqueue", keys, args, int, repeatable=False)

    def enqueue_to(self, queue: str, payloads: Sequence[bytes]) -> Call[int]:
        """Push payloads onto one queue. At most BULK at a time."""
        keys = [self.keys.queues, self.keys.queue(queue)]
        return Call("enqueue", keys, [1, queue, len(payloads), *payloads], int, repeatable=False)

    def schedule(self, entries: Sequence[tuple[float, bytes]]) -> Call[int]:
        """Put (epoch s, payload) pairs into the schedule. At most BULK at a time."""
        return Call("schedule", [self.keys.schedule], [part for e in entries for part in e], int)

    def admit(self, jobs: Sequence[Packed]) -> Call[list[str]]:
        """Store jobs that use features. Reads for each the id of who keeps it out, empty if it is stored."""
        queues = {job.queue: 0 for job in jobs if job.at is None}
        places = Numbered(self.keys, [self.keys.queues, self.keys.schedule, *map(self.keys.queue, queues)])
        args: list[Arg] = [len(queues), *queues, len(jobs)]
        effects: list[Arg] = []
        for n, job in enumerate(jobs, 1):
            place = 0 if job.at is not None else places.place(self.keys.queue(job.queue)) - 2
            args += [place, job.at or 0.0, job.raw]
            effects += places.effects(n, job.effects)
        return Call(
            "admit",
            places.keys,
            args + effects,
            lambda r: [x.decode(errors="replace") for x in r],
            repeatable=False,
        )

    # --- the poller's ------------------------------------------------------------------------------------

    def reserve(
        self,
        lease_ids: Sequence[str],
        queues: Sequence[str],
        *,
        capsule: str,
        poller: str,
        expires: float,
        cap: int,
        most_jobs: int,
        most_bytes: int,
        extra_bytes: int = 0,
        caps: Mapping[str, int] = _NONE,
    ) -> Call[Reserved]:
        """Take jobs off `queues`, looked at in this order, into at most one lease for each id.

        `caps`: how many jobs of a queue may be in flight, for those of `queues` that have a cap.
        """
        k = self.keys
        keys = [k.leases, k.slots(capsule), k.paused, *map(k.queue, queues), *map(k.alone, queues)]
        keys += map(k.lease, lease_ids)
        head: list[Arg] = [expires, cap, most_jobs, most_bytes, extra_bytes, capsule, poller]
        args = [*head, len(queues), len(lease_ids), *queues, *lease_ids]
        for place, queue in enumerate(queues, 1) if caps else ():
            if queue in caps:
                keys.append(k.in_flight(queue))
                args += [place, caps[queue]]
        return Call(
            "reserve",
            keys,
            args,
            lambda r: Reserved(r[0], tuple(n.decode() for n in r[1]), r[2], [_held(x) for x in r[3:]]),
        )

    def look(self, queues: Sequence[str]) -> Call[Look]:
        """Read when something falls due or expires, and how much waits."""
        k = self.keys
        keys = [k.schedule, k.retry, k.leases, k.paused, k.periodic_due]
        keys += [*map(k.queue, queues), *map(k.alone, queues)]

        def read(reply: list[Any]) -> Look:
            due = [float(x) for x in reply[:2] if x]
            lengths = dict(zip(queues, reply[4:], strict=True))
            waiting = {q: n for q, n in lengths.items() if n >= 0}
            foreign = frozenset(q for q, n in lengths.items() if n == NO_LIST)
            expires, tick = (float(x) if x else None for x in reply[2:4])
            return Look(min(due, default=None), expires, waiting, tick, foreign)

        return Call("look", keys, [len(queues), *queues], read)

    def release(self, capsule: str, leases: Sequence[Held]) -> Call[list[int]]:
        """Put the jobs of unclaimed leases back, oldest lease first to run. Reads how many of each went back."""
        lists: dict[bytes, int] = {}
        args: list[Arg] = [len(leases)]
        first = 3 + len(leases)
        for lease in leases:
            args += [lease.lease, len(lease.jobs)]
            for name in lease.jobs:
                args += [name, first + lists.setdefault(self.keys.source(name), len(lists))]
        keys = [
            self.keys.leases,
            self.keys.slots(capsule),
            *(self.keys.lease(x.lease) for x in leases),
            *lists,
        ]
        return Call("release", keys, args, list)

    def narrow(
        self,
        lease: Held,
        new_ids: tuple[str, str],
        *,
        first: int,
        request_id: str,
        poller: str,
        expires: float,
        capped: Collection[str] = (),
    ) -> Call[list[Held]]:
        """Split the lease of a dead invocation: `first` jobs, and the others. Reads them; none if too late.

        `capped`: the queues with a cap that its jobs may be of.
        """
        k, (a, b) = self.keys, new_ids
        keys = [k.leases, k.slots(lease.capsule), k.lease(lease.lease), k.lease(a), k.lease(b)]
        keys += map(k.in_flight, capped)
        head: list[Arg] = [lease.lease, a, b, request_id, expires, lease.capsule, poller, len(capped), *capped]
        args = [*head, first, *lease.jobs]
        return Call("narrow", keys, args, lambda r: [h for h in map(_held, r) if h.jobs])

    def recount(self, lease_id: str, queue: str) -> Call[int]:
        """Count the jobs of a lease for the cap of a queue, if they are not. Reads how many were counted."""
        k = self.keys
        return Call("recount", [k.leases, k.lease(lease_id), k.in_flight(queue)], [lease_id, queue], int)

    def beat(
        self, identity: str, ttl_s: int, fields: Mapping[str, Arg], work: Mapping[str, bytes]
    ) -> Call[list[str]]:
        """Write a poller's heartbeat; reads the signals that the Web UI left for it."""
        k = self.keys
        keys = [k.processes, *(k(identity + end) for end in ("", "-signals", ":work", ":workers"))]
        args: list[Arg] = [identity, ttl_s, len(fields)]
        for pair in (*fields.items(), *work.items()):
            args += pair
        return Call("beat", keys, args, lambda r: [x.decode(errors="replace") for x in r])

    def metrics(
        self,
        amounts: Mapping[str, int],
        hashes: Mapping[str, int],
        histograms: Mapping[str, tuple[int, int, Mapping[int, int]]],
    ) -> Call[None]:
        """Add amounts to hashes, and counts by bucket to histograms.

        `hashes` is name → s to live; `histograms` name → s to live, bits of a counter, counts.
        """
        keys = [*map(self.keys, hashes), *map(self.keys, histograms)]
        args: list[Arg] = [len(hashes), len(amounts)]
        for pair in amounts.items():
            args += pair
        args += hashes.values()
        for ttl_s, bits, counts in histograms.values():
            args += [ttl_s, f"u{bits}", len(counts)]
            for pair_of in counts.items():
                args += pair_of
        return Call("metrics", keys, args, lambda _: None, repeatable=False)

    # --- the worker's ------------------------------------------------------------------------------------

    def claim(self, lease_id: str, *, request_id: str, now: float, deadline: float) -> Call[Claim]:
        """Take a lease as one's own before running its jobs; reads whether it is.

        `request_id` may have `/` and something random after it, to tell a repeated request from a repeated call.
        """
        keys = [self.keys.leases, self.keys.lease(lease_id), self.keys.cancelled]
        return Call("claim", keys, [lease_id, request_id, now, deadline], Claim)

    def begin(self, lease_id: str, field: str, request_id: str, effects: Sequence[Effect]) -> Call[str]:
        """Do what a job's features do before it runs; reads why it must not run, or nothing."""
        places = Numbered(self.keys, [self.keys.lease(lease_id)])
        args: list[Arg] = [field, request_id, *places.effects(field, effects)]
        return Call("begin", places.keys, args, lambda r: r.decode(errors="replace"))

    def payloads(self, lease_id: str, fields: Sequence[str]) -> Call[dict[str, bytes]]:
        """Read the stored bytes of some jobs of a lease; those that are gone are left out."""

        def read(reply: list[bytes | None]) -> dict[str, bytes]:
            return {f: raw for f, raw in zip(fields, reply, strict=True) if raw is not None}

        return Call("payloads", [self.keys.lease(lease_id)], list(fields), read)

    def settle(
        self,
        lease_id: str,
        capsule: str,
        *,
        now: float,
        done: Sequence[str] = (),
        moves: Sequence[Move] = (),
        request_id: str = "",
    ) -> Call[Settled]:
        """Write outcomes down: `done` succeeded, the others move."""
        dead_since = now - DEAD_FOR_S
        head: list[Arg] = [lease_id, request_id, _DAY_COUNTER_TTL_S, dead_since, DEAD_MOST, len(done), *done]
        keys, args = self._moves(lease_id, capsule, now, moves)
        return Call("settle", keys, head + args, _settled)

    def finish(self, lease_id: str, capsule: str, *, now: float, jobs: int, request_id: str) -> Call[bool]:
        """Close a lease all of whose `jobs` succeeded. Reads whether that was so; if not, `settle` them."""
        k, day = self.keys, time.strftime("%Y-%m-%d", time.gmtime(now))
        keys = [k.leases, k.lease(lease_id), k.slots(capsule), k.processed, k.processed_on(day)]
        return Call("finish", keys, [lease_id, request_id, _DAY_COUNTER_TTL_S, jobs], bool)

    # --- the scheduler's ---------------------------------------------------------------------------------

    def due(
        self, source: Literal["schedule", "retry"], now: float, most: int = BULK, skip: int = 0
    ) -> Call[list[bytes]]:
        """Read entries whose time has come, earliest first."""
        return Call("due", [self.keys(source)], [now, most, skip], list)

    def promote(
        self,
        source: Literal["schedule", "retry"],
        now: float,
        entries: Iterable[tuple[bytes, bytes, str | None]],
    ) -> Call[tuple[int, int]]:
        """Move due entries, (old bytes, new bytes, queue or None for dead). Reads (promoted, dead)."""
        lists: dict[str, int] = {}
        args: list[Arg] = []
        for old, new, queue in entries:
            place = 3 if queue is None else 4 + lists.setdefault(queue, len(lists))
            args += [old, b"" if new == old else new, place]
        keys = [self.keys(source), self.keys.queues, self.keys.dead, *map(self.keys.queue, lists)]
        return Call("promote", keys, [now, len(lists), *lists, *args], lambda r: (r[0], r[1]))

    def promote_front(
        self,
        source: Literal["schedule", "retry"],
        now: float,
        front: Sequence[bytes],
        runs: Sequence[tuple[int, str]],
        end: bytes,
    ) -> Call[int]:
        """Move the first entries of a set, if they are these. Reads how many moved: all or 0.

        Args:
            source: the set.
            now: epoch s.
            front: all that is known of its first entries: their bytes, without newlines.
            runs: for so many of them, one after the other, their queue.
            end: what is written for the brace that closes each.
        """
        lists: dict[str, int] = {}
        places: list[Arg] = []
        for count, queue in runs:
            places += [count, 3 + lists.setdefault(queue, len(lists))]
        keys = [self.keys(source), self.keys.queues, *map(self.keys.queue, lists)]
        args = [now, len(front), b"\n".join(front), end, len(lists), *lists, *places]
        return Call("promote_front", keys, args, int)

    def expired(self, now: float, most: int = 100, skip: int = 0) -> Call[list[str]]:
        """Read the ids of leases whose time is over, oldest first."""
        args = [now, most, skip]
        return Call("due", [self.keys.leases], args, lambda r: [x.decode(errors="replace") for x in r])

    def overdue(self, now: float, most: int = 100, skip: int = 0) -> Call[Overdue]:
        """Read what a scheduler's pass begins with."""

        def read(reply: list[Any]) -> Overdue:
            return Overdue([x.decode(errors="replace") for x in reply[0]], float(reply[1]) if reply[1] else None)

        return Call("overdue", [self.keys.leases, self.keys.periodic_due], [now, most, skip], read)

    def lease(self, lease_id: str) -> Call[Held]:
        """Read a whole lease. One that is gone reads as empty."""

        def read(reply: list[bytes]) -> Held:
            values = dict(zip(reply[::2], reply[1::2], strict=True))
            jobs = {n.decode(errors="replace"): raw for n, raw in values.items() if n[:1].isdigit()}
            jobs = dict(sorted(jobs.items(), key=lambda item: index_of(item[0])))
            meta = (values.get(name, b"").decode(errors="replace") for name in (b"capsule", b"poller", b"claim"))
            return Held(lease_id, jobs, *meta)

        return Call("lease", [self.keys.lease(lease_id)], [], read)

    def reap(self, lease: Held, capsule: str, *, now: float, moves: Sequence[Move]) -> Call[Settled]:
        """Empty a lease whose time is over, if it is still as it was read."""
        head: list[Arg] = [lease.lease, now, lease.claim, _DAY_COUNTER_TTL_S, now - DEAD_FOR_S, DEAD_MOST]
        keys, args = self._moves(lease.lease, capsule, now, moves)
        return Call("reap", keys, head + args, _settled)

    def mark_deploy(self, label: str, now: float) -> Call[bool]:
        """Note a deploy for the Metrics page; reads whether it stands there."""
        minute = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(now))
        keys = [self.keys(f"deploylock-{label}"), self.keys(f"{minute[:10].replace('-', '')}-marks")]
        return Call("deploy", keys, [minute, label, _DEPLOY_LOCK_S, _DEPLOY_MARKS_S], bool)

    # --- shared ------------------------------------------------------------------------------------------

    def _moves(
        self, lease_id: str, capsule: str, now: float, moves: Sequence[Move]
    ) -> tuple[list[bytes], list[Arg]]:
        k, day = self.keys, time.strftime("%Y-%m-%d", time.gmtime(now))
        keys = [k.leases, k.lease(lease_id), k.slots(capsule)]
        keys += [k.processed, k.processed_on(day), k.failed, k.failed_on(day), k.dead]
        places = Numbered(k, keys)
        args: list[Arg] = [len(moves)]
        for m in moves:
            place = 0 if m.verb == "x" else places.place(self._destination(m))
            args += [m.field, m.verb, place, m.score, m.payload, m.count]
        for m in moves:
            args += places.effects(m.field, m.effects)
        return places.keys, args

    def _destination(self, move: Move) -> bytes:
        if move.to == "source":
            return self.keys.source(move.field)
        if move.to == "alone":
            return self.keys.alone(source_of(move.field)[0])
        return self.keys(move.to)


def _settled(reply: list[Any]) -> Settled:
    moved, left, *told = reply
    texts = [part.decode(errors="replace") for part in told]
    return Settled(moved, left, tuple(map(GivenUp, texts[::3], texts[1::3], texts[2::3])))


def _held(reply: list[bytes]) -> Held:
    """Read `{ id, field, payload, … }`; the capsule is the part of the id before its last colon."""
    lease_id, names, raws = reply[0].decode(), reply[1::2], reply[2::2]
    fields = _as_reserved(names)
    if fields is None:
        found = zip((name.decode() for name in names), raws, strict=True)
        jobs = dict(sorted(found, key=lambda pair: index_of(pair[0])))
    else:
        jobs = dict(zip(fields, raws, strict=True))
    return Held(lease_id, jobs, capsule=capsule_of(lease_id))


def _as_reserved(names: list[bytes]) -> list[str] | None:
    """Return the fields of a lease that is as it was reserved from one queue; None if it is another's."""
    rest = names[0].lstrip(b"0").decode() if names else ""
    expected = [f"{n}{rest}" for n in range(len(names))]
    return expected if names == [name.encode() for name in expected] else None


def capsule_of(lease_id: str) -> str:
    """Return the capsule that a lease id names: `<capsule>:<random>`."""
    return lease_id.rpartition(":")[0]
