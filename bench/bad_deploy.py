"""A deploy that cannot be imported, under load: `python bench/bad_deploy.py`.

Jobs are queued and running when the worker's code is replaced by one that raises on import. For some minutes
nothing can run; then a good deploy follows. Prints what the outage looked like from outside, and ends with 1 if a
job was charged, lost or run twice, or if the outage was announced more than once.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from sidelamb import Client
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.system.ledger import read  # noqa: E402

APP = ROOT / "tests" / "system" / "app"
GOOD = "from ledger_jobs import *\n"
BAD = "import a_module_that_requirements_forgot\n"
MARK = "fails before it claims"


def bar(label: str, done: float, whole: float) -> None:
    """Draw progress on a terminal."""
    if sys.stderr.isatty():
        filled = int(30 * min(1.0, done / whole))
        sys.stderr.write(f"\r{label:24} [{'█' * filled}{'·' * (30 - filled)}] {done:,.0f} of {whole:,.0f} ")
        sys.stderr.flush()


def wait(label: str, what: Callable[[], float], whole: float, within_s: float) -> None:
    """Wait until `what` is at least `whole`."""
    until = time.monotonic() + within_s
    while (done := what()) < whole:
        bar(label, done, whole)
        if time.monotonic() > until:
            raise SystemExit(f"gave up: {label} stands at {done:,.0f} of {whole:,.0f} after {within_s:g} s")
        time.sleep(0.1)


def outage(folder: Path, jobs: int, seconds: float) -> dict[str, Any]:
    """Run it all and return what was seen."""
    app = folder / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns(".sidelamb", "__pycache__"))
    template = app / "template.yaml"
    template.write_text(template.read_text().replace("SIDELAMB_JOBS: ledger_jobs", "SIDELAMB_JOBS: deployed"))
    code, ledger = app / "deployed.py", folder / "ledger"
    code.write_text(GOOD)
    lines: list[str] = []
    env = {"LEDGER": str(ledger), "PYTHONDONTWRITEBYTECODE": "1"}
    with (
        RedisServer(folder / "redis") as server,
        Stack(
            app, redis_url=server.url, concurrency=4, env=env, on_line=lambda _, line: lines.append(line)
        ) as stack,
    ):
        client, db = Client(server.url), redis.Redis.from_url(server.url)

        def processed() -> int:
            return int(db.get("stat:processed") or 0)

        running = [client.enqueue("pause", n, 3.0) for n in range(8)]
        wait("jobs running", lambda: len(read(ledger)), 4, 30)
        quick = jobs - len(running)
        client.enqueue_many("quick", ((n,) for n in range(quick)))
        before = time.monotonic()
        code.write_text(BAD)
        wait("the circuit opens", lambda: sum(MARK in line for line in lines), 1, 60)
        opened = time.monotonic() - before
        done_before = processed()
        began = time.monotonic()
        wait("seconds of outage", lambda: time.monotonic() - began, seconds, seconds + 60)
        stuck = processed()
        invocations = stack.stats[stack.worker_function]
        code.write_text(GOOD)
        began = time.monotonic()
        wait("drained", processed, jobs, 120)
        drained = time.monotonic() - began
        said = [line for line in lines if MARK in line]
        runs = read(ledger)
        return {
            "jobs": jobs,
            "finished before the outage": done_before,
            "finished during the outage": stuck - done_before,
            "seconds until the circuit opened": round(opened, 1),
            "lines that say so": len(said),
            "failed probes and first failures": invocations.get("errors", invocations),
            "charged": int(db.get("stat:failed") or 0) + db.zcard("retry") + db.zcard("dead"),
            "lost": jobs - sum(any(run.end for run in each) for each in runs.values()),
            "started twice": sum(len(each) > 1 for each in runs.values()),
            "seconds to drain after the good deploy": round(drained, 1),
            "the line": said[0] if said else "",
        }


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000, help="queued when the bad deploy comes (10000)")
    parser.add_argument("--seconds", type=float, default=300.0, help="how long the outage lasts (300)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = outage(Path(folder), options.jobs, options.seconds)
    print()
    for name, value in seen.items():
        print(f"{name:42} {value}")
    wrong = seen["charged"] or seen["lost"] or seen["started twice"] or seen["lines that say so"] != 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
