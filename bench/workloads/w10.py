"""W10: a cold start, from the start of a sandbox to the end of its first job, and which imports it goes to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.limits.service import Caller, EchoService
from bench.peers import APPS, OURS
from bench.session import Session
from bench.workloads.workload import Column, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes

__all__ = ["W10"]

REPEATS = 3
LIMIT_S = 30.0
IMPORTS = ("sidelamb_handlers.worker", "aws_lambda_powertools", "redis", "orjson", "asyncio", "awslambdaric")


def measure(name: str, sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """End the warm sandbox and enqueue a job: the next one starts cold."""
    del name, sizes
    from bench.peers import PEERS  # noqa: PLC0415 - the name is the parameter's

    with Session(PEERS[OURS], processes=1) as session:
        taken = []
        for _ in range(REPEATS):
            session.workers.end_sandboxes()  # type: ignore[attr-defined]
            session.marks.clear()
            began = time.perf_counter()
            session.ask(do="single", job="noop", count=1)
            taken.append((session.drained(1, LIMIT_S) - began) * 1000)
        yield "enqueue to first job done", {"cold_ms": taken}
        yield "imports of the worker", _imports(session.url)


def _imports(url: str) -> Figures:
    """Return milliseconds by module, each with what it is the first to import."""
    env = {
        **os.environ,
        "SIDELAMB_REDIS_URL": url,
        "SIDELAMB_JOBS": "",
        "PYTHONPATH": str(APPS),
        "BENCH_MARKS": "",
    }
    words = [sys.executable, "-X", "importtime", "-c", "import awslambdaric.bootstrap, sidelamb_handlers.worker"]
    said = subprocess.run(words, env=env, capture_output=True, text=True, check=False).stderr
    found = {
        name: int(us) / 1000
        for us, name in re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+([\w.]+)$", said, re.MULTILINE)
    }
    return {f"{name}_ms": found[name] for name in IMPORTS if name in found}


def limit(sizes: Sizes) -> Iterator[tuple[str, Figures]]:
    """The same with a function that imports nothing."""
    del sizes
    taken = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder, EchoService(Path(folder), concurrency=1) as service:
            caller = Caller(service.url)
            began = time.perf_counter()
            caller.call()
            taken.append((time.perf_counter() - began) * 1000)
    yield "enqueue to first job done", {"cold_ms": taken}


W10 = Workload(
    "W10",
    "a cold start on this machine",
    (
        Column("cold_ms.p50", "ms p50", ",.0f", better="low"),
        Column("cold_ms.p95", "p95", ",.0f"),
        *(Column(f"{name}_ms", f"import {name}, ms", ",.1f") for name in IMPORTS),
    ),
    measure=measure,
    limit=limit,
    peers=(OURS,),
)
