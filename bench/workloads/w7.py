"""W7: the poller alone, beside a simulated Lambda that answers after a drawn time."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.helper import ROOT, Helper
from bench.meter import cpu_s, memory_mb
from bench.peers import OURS
from bench.redis_process import RedisProcess
from bench.workloads.workload import Column, Workload
from sidelamb import Client
from sidelamb_local.poller_child import environment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["BOTO3", "W7", "W7_FLIGHT"]

BOTO3 = "boto3, 50 threads"
FLIGHTS = {1_000: 2.0, 5_000: 10.0}
"""How many are in flight, and how long each takes on average, s."""
QUEUED = 4
"""So many jobs for each that can be in flight: the queue does not run dry."""
RAMP_LIMIT_S = 30.0
FULL = 0.95
SETTINGS = """
[capsules.default]
function = "worker"
in_flight = {in_flight}
jobs = 1
timeout = 60
"""


def calls(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Only invoke, on one core; the other answers at once."""
    yield "invoke only", _called("ours" if name == OURS else "boto3", sizes)


def limit(sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """A bare loop: sign, send, read, one after the other."""
    yield "invoke only", _called("bare", sizes)


def flights(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """Keep very many in flight, one job each."""
    del name
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for in_flight, mean_s in FLIGHTS.items():
        yield f"{in_flight:,} in flight", _flown(in_flight, mean_s, sizes.flight_s)


def _called(kind: str, sizes: Sizes) -> Figures:
    with Helper("bench.limits.lambda_sim", "-", 0) as simulated:
        _pin(simulated.pid)
        url = f"http://127.0.0.1:{simulated.port}"
        words = [sys.executable, "-m", "bench.limits.callers", kind, url, str(sizes.flight_s / 4)]
        said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    figures: Figures = json.loads(said)
    return figures


def _pin(pid: int) -> None:
    """Leave the first core to the one who is measured."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(pid, {max(cores)})


def _flown(in_flight: int, mean_s: float, seconds: float) -> Figures:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(RedisProcess(folder))
        simulated = stack.enter_context(Helper("bench.limits.lambda_sim", server.url, mean_s))
        _pin(simulated.pid)
        Client(server.url).enqueue_many("noop", ((n,) for n in range(QUEUED * in_flight)))
        poller = _poller(Path(folder), server.url, f"http://127.0.0.1:{simulated.port}", in_flight)
        stack.callback(_end, poller)
        began = time.perf_counter()
        while simulated.counts()["flying"] < FULL * in_flight and time.perf_counter() - began < RAMP_LIMIT_S:
            time.sleep(0.1)
        ramp_s = time.perf_counter() - began
        before, cpu, began = simulated.counts(), cpu_s([poller.pid]), time.perf_counter()
        time.sleep(seconds)
        after, used, took = simulated.counts(), cpu_s([poller.pid]) - cpu, time.perf_counter() - began
        memory = memory_mb([poller.pid])
    ended = after["invocations"] - before["invocations"]
    return {
        "rate": ended / took,
        "us": used / max(1, ended) * 1e6,
        "cpu": 100 * used / took,
        "mb": memory,
        "ramp_s": ramp_s,
        "lost": 100 * (1 - (after["flown_s"] - before["flown_s"]) / (in_flight * took)),
    }


def _poller(folder: Path, url: str, endpoint: str, in_flight: int) -> subprocess.Popen[bytes]:
    file = folder / "sidelamb.toml"
    file.write_text(SETTINGS.format(in_flight=in_flight))
    env = environment_of(endpoint, {"SIDELAMB_REDIS_URL": url})
    words = [sys.executable, "-m", "sidelamb_handlers.poller", "--config", str(file)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(words, env=env, stdout=quiet, stderr=quiet)


def _end(poller: subprocess.Popen[bytes]) -> None:
    poller.kill()
    poller.wait()


_COLUMNS = (
    Column("rate", "invocations/s", better="high"),
    Column("us", "CPU µs each", ",.0f", better="low"),
    Column("cpu", "% of a core", ",.0f"),
    Column("mb", "poller MB", ",.0f"),
    Column("lost", "% of the time in flight lost", ",.1f"),
    Column("ramp_s", "s until full", ",.1f"),
)
W7 = Workload("W7", "the poller alone", _COLUMNS, measure=calls, limit=limit, peers=(OURS, BOTO3))
W7_FLIGHT = Workload("W7", "the poller alone", _COLUMNS, measure=flights, peers=(OURS,))
