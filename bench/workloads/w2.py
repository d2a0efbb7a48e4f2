"""W2: drain jobs that do nothing and wait in the queue, with the whole system on two cores."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from bench.apps.marks import Marks
from bench.limits.service import Caller, EchoService
from bench.meter import cpu_s, own_cpu_s
from bench.peers import OURS, PEERS
from bench.redis_process import RedisProcess
from bench.session import Session, await_marks
from bench.workloads import w1
from bench.workloads.drain import drain, fill
from bench.workloads.workload import Column, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["ONE", "W2", "limit", "one_process"]

ONE = ("sidekiq", "dramatiq", "celery-threads")
"""Those that are also measured with one process."""
POP = Path(__file__).resolve().parent.parent / "limits" / "pop.py"
PACK = 1_000
LIMIT_S = 60.0


def step(session: Session, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Drain what W1 has enqueued."""
    yield "20,000", drain(session, w1.count(session, sizes))


def many(session: Session, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Drain what W1 has enqueued in bulk, if that was many."""
    if session.peer.name in w1.FAST:
        yield "200,000", drain(session, sizes.many)
    if session.peer.name == OURS:
        fill(session, sizes.many, bulk=True, job="anoop")
        yield "200,000, as async def", drain(session, sizes.many)


def one_process(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Drain with one process instead of two."""
    with Session(replace(PEERS[name], name=name), processes=1) as session:
        jobs = w1.count(session, sizes)
        fill(session, jobs, bulk=True)
        yield "one process", drain(session, jobs)


def limit(sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Two bare loops of blocking pops; and two bare loops that invoke a bare function, 1,000 jobs an event."""
    jobs = int(20_000 * sizes.jobs)
    yield "20,000", _pops(jobs)
    yield "200,000", _echoes(sizes.many)


def _pops(jobs: int) -> Figures:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(RedisProcess(folder))
        marks = Marks.make(Path(folder))
        words = [sys.executable, str(POP), server.url, folder]
        workers = [subprocess.Popen(words) for _ in range(2)]
        for worker in workers:
            stack.callback(_kill, worker)
        while int(server.db.info("clients")["blocked_clients"]) < len(workers):
            time.sleep(0.01)
        pids = [worker.pid for worker in workers]
        before = cpu_s(pids), cpu_s([server.pid])
        began = time.perf_counter()
        server.db.eval("for n = 0, ARGV[1] - 1 do redis.call('LPUSH', KEYS[1], n) end", 1, "queue:default", jobs)
        ended = await_marks(marks, jobs, LIMIT_S)
        worker_us = (cpu_s(pids) - before[0]) / jobs * 1e6
        redis_us = (cpu_s([server.pid]) - before[1]) / jobs * 1e6
    rate = jobs / (ended - began)
    return {
        "rate": rate,
        "worker_us": worker_us,
        "redis_us": redis_us,
        "all_us": worker_us + redis_us,
        "commands": 1.0,
    }


def _echoes(jobs: int) -> Figures:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        marks = Marks.make(folder)
        with EchoService(folder, concurrency=2, env={"BENCH_MARKS": text}) as service:
            events = _events(jobs)
            callers = [Caller(service.url) for _ in range(2)]
            _call_all(callers, [b"{}"] * 20)
            before = cpu_s([service.pid]), own_cpu_s(service.pid)
            cpu, began = time.process_time(), time.perf_counter()
            _call_all(callers, events)
            ended = await_marks(marks, jobs, LIMIT_S)
            poller_us = (time.process_time() - cpu) / jobs * 1e6
            service_us = (own_cpu_s(service.pid) - before[1]) / jobs * 1e6
            every_us = (cpu_s([service.pid]) - before[0]) / jobs * 1e6
    return {
        "rate": jobs / (ended - began),
        "poller_us": poller_us,
        "service_us": service_us,
        "worker_us": every_us - service_us,
        "all_us": poller_us + every_us,
    }


def _events(jobs: int) -> list[bytes]:
    payload = orjson.loads(w1.PAYLOAD)
    return [
        orjson.dumps({"jobs": [{**payload, "args": [n]} for n in range(first, min(jobs, first + PACK))]})
        for first in range(0, jobs, PACK)
    ]


def _call_all(callers: list[Caller], events: list[bytes]) -> None:
    left = iter(list(events))
    lock = threading.Lock()

    def work(caller: Caller) -> None:
        while True:
            with lock:
                event = next(left, None)
            if event is None:
                return
            caller.call(event)

    threads = [threading.Thread(target=work, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


W2 = Workload(
    "W2",
    "drain jobs that do nothing",
    (
        Column("rate", "jobs/s", better="high"),
        Column("all_us", "CPU µs/job, all", ",.1f", better="low"),
        Column("commands", "Redis commands/job", ",.3f"),
    ),
    step=step,
    limit=limit,
)
