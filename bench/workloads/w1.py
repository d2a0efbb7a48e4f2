"""W1: enqueue jobs that do nothing, one call each; and many by the best way a client has."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from bench.meter import cpu_s
from bench.redis_process import RedisProcess
from bench.workloads.drain import fill
from bench.workloads.workload import Column, Workload
from sidelamb.resp import packed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.session import Session
    from bench.sizes import Sizes

__all__ = ["FAST", "W1", "count"]

FAST = ("sidelamb", "sidekiq")
"""Those for whom a run of the usual number is over too soon."""
PAYLOAD = (
    '{"retry":true,"queue":"default","class":"noop","args":[12345],"jid":"0123456789abcdef01234567",'
    '"created_at":1795657426.1373358,"enqueued_at":1795657426.1373358}'
)
CHUNK = 1_000


def count(session: Session, sizes: Sizes) -> int:
    """Return how many jobs the peer of this session gets in a run."""
    return max(50, int(session.peer.jobs * sizes.jobs))


def step(session: Session, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Enqueue; the jobs are left to W2, which drains them."""
    yield "single", fill(session, count(session, sizes), bulk=False)


def many(session: Session, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Enqueue many; what is left over is deleted."""
    if session.has_bulk:
        jobs = sizes.many if session.peer.name in FAST else count(session, sizes)
        yield "bulk", fill(session, jobs, bulk=True)


def limit(sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Push as many payloads with redis-benchmark on one connection, and by a bare loop of Python."""
    with tempfile.TemporaryDirectory() as folder, RedisProcess(folder) as server:
        for case, values, jobs in (("single", 1, int(20_000 * sizes.jobs)), ("bulk", CHUNK, sizes.many)):
            before = cpu_s([server.pid])
            words = ["redis-benchmark", "-p", str(server.port), "-c", "1", "-n", str(jobs // values), "-q"]
            said = subprocess.run(
                [*words, "LPUSH", "queue:default", *[PAYLOAD] * values], capture_output=True, text=True, check=True
            ).stdout
            rate = float(re.findall(r"([\d.]+) requests per second", said)[-1]) * values
            yield (
                case,
                {"rate": rate, "redis_us": (cpu_s([server.pid]) - before) / jobs * 1e6, "commands": 1 / values},
            )
        yield "single, a bare loop of Python", _loop(server, int(20_000 * sizes.jobs))


def _loop(server: RedisProcess, jobs: int) -> Figures:
    """Send a push that is ready, and read its answer, again and again."""
    command = packed(("LPUSH", "queue:default", PAYLOAD))
    with socket.create_connection(("127.0.0.1", server.port)) as redis:
        redis.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cpu, before, began = time.process_time(), cpu_s([server.pid]), time.perf_counter()
        for _ in range(jobs):
            redis.send(command)
            redis.recv(4_096)
        took = time.perf_counter() - began
    return {
        "rate": jobs / took,
        "client_us": (time.process_time() - cpu) / jobs * 1e6,
        "redis_us": (cpu_s([server.pid]) - before) / jobs * 1e6,
    }


W1 = Workload(
    "W1",
    "enqueue jobs that do nothing",
    (
        Column("rate", "jobs/s", better="high"),
        Column("client_us", "client µs/job", ",.1f"),
        Column("redis_us", "Redis µs/job", ",.2f"),
    ),
    step=step,
    limit=limit,
)
