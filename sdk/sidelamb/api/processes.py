"""The processes that show themselves, pollers of ours and Ruby ones alike, and what runs in them now."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - named tuples and dataclasses show it
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from sidelamb.api.record import JobRecord, moment
from sidelamb.api.steps import Steps, View, arun, awaiting, blocking, run
from sidelamb.errors import SidelambError
from sidelamb.lenient import epoch_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["Process", "Processes", "Running", "Work"]

SCAN_STEP = 100


@dataclass(frozen=True, slots=True)
class Process:
    """One process."""

    identity: str
    info: dict[str, Any]
    """What it said of itself when it started: hostname, pid, tag, queues, version, …"""
    busy: int
    """Invocations (or, in Ruby, jobs) at once now."""
    concurrency: int
    """The most of them."""
    beat_at: dt.datetime | None
    started_at: dt.datetime | None
    is_quiet: bool
    rss_kb: int
    rtt_us: int
    """Round trip to Redis, microseconds."""


class Running(NamedTuple):
    """What runs now: in a poller of ours one invocation, in Ruby one thread's job."""

    process: str
    thread: str
    """The lease of the invocation; in Ruby a thread's id."""
    queue: str
    since: dt.datetime | None
    job: JobRecord
    """The invocation's first job."""
    jobs: int
    """How many the invocation carries."""
    request_id: str
    """Lambda's, once the lease is claimed; empty before and in Ruby."""


class Processes(View):
    """All processes.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _size(self) -> Steps[int]:
        """Return how many there are; one that died is among them until its minute is over."""
        (n,) = yield self._calls.read((self._keys.processes, "SCARD"))
        return int(n)

    def _page(self, cursor: int = 0) -> Steps[tuple[list[Process], int]]:
        """Return about 100 processes on from `cursor`, and the cursor to go on with (0: there are no more)."""
        key = self._keys.processes
        ((after, names),) = yield self._calls.read((key, "SSCAN", cursor, "COUNT", SCAN_STEP))
        found = []
        if names:
            fields = ("info", "busy", "beat", "quiet", "rss", "rtt_us", "concurrency")
            keys = [self._keys(name.decode(errors="replace")) for name in names]
            reply = yield self._calls.read(*((k, "HMGET", *fields) for k in keys))
            found = [_process(n.decode(errors="replace"), v) for n, v in zip(names, reply, strict=True) if v[0]]
        return found, int(after)

    def _quiet(self, identity: str) -> Steps[bool]:
        """Tell a process to take no more jobs; it cannot be taken back. Say whether there is such a process.

        Raises:
            SidelambError: it is embedded in another program, which alone may stop it.
        """
        return (yield from self._signal(identity, "TSTP"))

    def _stop(self, identity: str) -> Steps[bool]:
        """Tell a process to end in good order; otherwise as `quiet`."""
        return (yield from self._signal(identity, "TERM"))

    def _signal(self, identity: str, signal: str) -> Steps[bool]:
        ((info,),) = yield self._calls.read((self._keys(identity), "HMGET", "info"))
        if _object(info).get("embedded") is True:
            raise SidelambError(f"{identity} is embedded in another program; stop that program instead")
        return bool((yield self._calls.signal(identity, signal)))

    size, asize = blocking(_size), awaiting(_size)
    page, apage = blocking(_page), awaiting(_page)
    quiet, aquiet = blocking(_quiet), awaiting(_quiet)
    stop, astop = blocking(_stop), awaiting(_stop)

    def __iter__(self) -> Iterator[Process]:
        """Go through all processes, 100 at a time."""
        cursor = 0
        while True:
            found, cursor = run(self._client, self._page(cursor))
            yield from found
            if cursor == 0:
                return

    async def __aiter__(self) -> AsyncIterator[Process]:
        """Go through all processes, as the blocking form does."""
        cursor = 0
        while True:
            found, cursor = await arun(self._client, self._page(cursor))
            for process in found:
                yield process
            if cursor == 0:
                return


class Work(View):
    """What runs now, over all processes. As of each process's last heartbeat, at most ten seconds ago.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _of(self, identity: str, cursor: int = 0) -> Steps[tuple[list[Running], int]]:
        """Return about 100 entries of one process on from `cursor`, and the cursor to go on with (0: the end)."""
        key = self._keys(f"{identity}:work")
        ((after, flat),) = yield self._calls.read((key, "HSCAN", cursor, "COUNT", SCAN_STEP))
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        leases = [self._keys.lease(name.decode(errors="replace")) for name, _ in pairs]
        claims: list[Any] = []
        if leases:
            claims = yield self._calls.read(*((k, "HMGET", "claim") for k in leases))
        found = [
            _running(identity, name.decode(errors="replace"), raw, claim[0])
            for (name, raw), claim in zip(pairs, claims, strict=True)
        ]
        return found, int(after)

    of, aof = blocking(_of), awaiting(_of)

    def __iter__(self) -> Iterator[Running]:
        """Go through all that runs."""
        for process in Processes(self._client):
            cursor = 0
            while True:
                found, cursor = run(self._client, self._of(process.identity, cursor))
                yield from found
                if cursor == 0:
                    break

    async def __aiter__(self) -> AsyncIterator[Running]:
        """Go through all that runs, as the blocking form does."""
        async for process in Processes(self._client):
            cursor = 0
            while True:
                found, cursor = await arun(self._client, self._of(process.identity, cursor))
                for running in found:
                    yield running
                if cursor == 0:
                    break


def _object(raw: bytes | str | None) -> dict[str, Any]:
    try:
        value = orjson.loads(raw or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _process(identity: str, values: list[bytes | None]) -> Process:
    info = _object(values[0])
    busy, beat, quiet, rss, rtt, concurrency = values[1:]
    return Process(
        identity,
        info,
        _number(busy),
        _number(concurrency) or _number(info.get("concurrency")),
        moment(epoch_s(beat.decode(errors="replace") if beat else None)),
        moment(epoch_s(info.get("started_at"))),
        quiet == b"true",
        _number(rss),
        _number(rtt),
    )


def _running(identity: str, thread: str, raw: bytes, claim: bytes | None) -> Running:
    entry = _object(raw)
    payload = entry.get("payload")
    text = payload.encode() if isinstance(payload, str) else orjson.dumps(payload or {})
    queue, job = str(entry.get("queue") or ""), JobRecord(text, str(entry.get("queue") or "") or None)
    jobs = job.payload.get("packed")
    request_id = claim.partition(b"/")[0].decode(errors="replace") if claim else ""
    since = moment(epoch_s(entry.get("run_at")))
    return Running(identity, thread, queue, since, job, jobs if isinstance(jobs, int) else 1, request_id)


def _number(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0
