"""The poller as one Sidekiq process: what the Web UI shows of it, and what its buttons say to it.

One entry in the busy list for each invocation: its first job, and how many it carries. The hash lives a minute
and is renewed every ten seconds; signals are read at each beat.

A container's health check sees the beats in the age of a file (SIDELAMB_ALIVE_FILE): an old one says that the
loop stands still. Redis may be away meanwhile: a new process would not bring it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidelamb.errors import Malformed, RedisError
from sidelamb.keys import source_of
from sidelamb.payload import decode, edit, encode
from sidelamb_handlers.foreign import cleaned
from sidelamb_handlers.metrics import hash_keys, histograms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidelamb.store import Store
    from sidelamb_handlers.poller.capsule import Capsule
    from sidelamb_handlers.poller.flight import Flight
    from sidelamb_handlers.poller.patient import Patient

__all__ = ["Heartbeat", "new_identity"]

log = logging.getLogger("sidelamb.poller")

EVERY_S = 10.0
TTL_S = 60
WORK_PAYLOAD_MOST = 10_000
"""Bytes of a payload that are shown in the busy list; a larger one is shown without its arguments."""
SKEW_MOST_S = 5.0
"""Difference between our clock and Redis's that leases are made for."""


def new_identity() -> str:
    """Return `<host>:<pid>:<12 hex digits>`, a name nobody else has."""
    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(6).hex()}"


class Heartbeat:
    """Beats every ten seconds.

    Args:
        identity: this poller's name in Redis.
        capsules: what it serves.
        store, redis: the way to Redis.
        on_signal: called with TSTP, TERM or TTIN.
    """

    def __init__(
        self,
        identity: str,
        capsules: Sequence[Capsule],
        *,
        store: Store,
        redis: Patient,
        on_signal: Callable[[str], None],
    ) -> None:
        self._identity = identity
        self._capsules = capsules
        self._store = store
        self._redis = redis
        self._on_signal = on_signal
        self._started_at = time.time()
        self._rtt_us = 0
        self._skewed = False
        self.is_quiet = False

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            await self.beat()
            _show_life()
            await asyncio.sleep(EVERY_S)

    async def beat(self) -> None:
        """Write one heartbeat and obey the signals that were left."""
        try:
            await self._measure()
            signals = await self._redis.run(
                self._store.beat(self._identity, TTL_S, self._fields(), self._work()), until=time.time()
            )
        except RedisError:
            return  # said already, once; the next beat comes
        for signal in signals:
            self._on_signal(signal)
        with contextlib.suppress(RedisError):  # figures, not jobs
            await self._write_metrics()

    async def _write_metrics(self) -> None:
        """Write down what was tallied since the last beat."""
        for capsule in self._capsules:
            tally, now = capsule.metrics.taken(), time.time()
            if not tally:
                continue
            call = self._store.metrics(tally.amounts(), hash_keys(now), histograms(tally, now))
            await self._redis.link.run(call)

    async def gone(self) -> None:
        """Take this process off the list, its last figures written."""
        keys = self._store.keys
        try:
            await self._write_metrics()
            await self._redis.link.command(b"SREM", keys.processes, self._identity)
            names = [keys(self._identity + end) for end in ("", ":work", ":workers")]
            await self._redis.link.command(b"UNLINK", *names)
        except RedisError:
            return  # it expires by itself within a minute

    async def _measure(self) -> None:
        """Measure the round trip, and our clock against Redis's."""
        began, now = time.perf_counter(), time.time()
        reply = await self._redis.link.command(b"TIME")
        self._rtt_us = round((time.perf_counter() - began) * 1e6)
        skew = int(reply[0]) + int(reply[1]) / 1e6 - now - self._rtt_us / 2e6
        if abs(skew) > SKEW_MOST_S and not self._skewed:
            log.warning(
                "the clocks of this poller and of Redis differ by %.1f s; leases bear %g s: set the clock",
                skew,
                SKEW_MOST_S,
            )
        self._skewed = abs(skew) > SKEW_MOST_S

    def _fields(self) -> dict[str, bytes | str | int | float]:
        concurrency = sum(c.config.in_flight for c in self._capsules)
        return {
            "info": encode(self._info(concurrency)),
            "concurrency": concurrency,
            "busy": sum(len(c.flights) for c in self._capsules),
            "beat": time.time(),
            "rtt_us": self._rtt_us,
            "quiet": "true" if self.is_quiet else "false",
            "rss": _rss_kb(),
        }

    def _info(self, concurrency: int) -> dict[str, Any]:
        every = [c.config for c in self._capsules]
        weights = [dict(zip(c.queues, c.weights or [0] * len(c.queues), strict=True)) for c in every]
        return {
            "hostname": socket.gethostname(),
            "started_at": self._started_at,
            "pid": os.getpid(),
            "tag": "sidelamb",
            "concurrency": concurrency,
            "capsules": {
                c.name: {
                    "concurrency": c.in_flight,
                    "mode": "weighted" if c.weights else "strict",
                    "weights": w,
                }
                for c, w in zip(every, weights, strict=True)
            },
            "queues": list(dict.fromkeys(q for c in every for q in c.queues)),
            "weights": weights,
            "labels": ["lambda"],
            "identity": self._identity,
            "version": f"sidelamb {importlib.metadata.version('sidelamb')}",
            "embedded": False,
        }

    def _work(self) -> dict[str, bytes]:
        work = {}
        for capsule in self._capsules:
            for flight in list(capsule.flights.values()):
                if flight.invoked_at and flight.lease.jobs:
                    work[flight.lease.lease] = _work_entry(flight)
        return work


def _show_life() -> None:
    """Touch the file that a health check looks at, if there is one."""
    file = os.environ.get("SIDELAMB_ALIVE_FILE")
    if not file:
        return
    try:
        Path(file).touch()
    except OSError as error:
        log.warning(
            "SIDELAMB_ALIVE_FILE=%s cannot be written, so this poller looks dead: %s", file, error.strerror
        )


def _work_entry(flight: Flight) -> bytes:
    """Return what the busy list shows of a flight: its first job, and how many it carries."""
    field, raw = next(iter(flight.lease.jobs.items()))
    packed = len(flight.lease.jobs)
    queue = source_of(field)[0]
    try:
        raw = cleaned(raw, queue)
        if len(raw) > WORK_PAYLOAD_MOST:
            raw = edit(raw, {"args": [f"({len(raw):,} bytes)"]}, drop=("kwargs",))
        if packed > 1:
            raw = edit(raw, {"packed": packed})
        shown = raw.decode() if "class" in decode(raw) else '{"class":"?","args":[],"queue":"default"}'
    except Malformed:
        shown = '{"class":"?","args":[],"queue":"default"}'
    return encode({"queue": queue, "payload": shown, "run_at": int(flight.invoked_at)})


def _rss_kb() -> int:
    """Return the peak resident memory of this process in KB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak
