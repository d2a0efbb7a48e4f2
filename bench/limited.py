"""Short jobs under one limit, over several sandboxes: `python -m bench.limited`.

How long they take altogether, beside the least that the limit allows, and the Redis commands and invocations that
each costs. The whole system runs as on a developer's machine: its own Redis, real sandboxes, poller, scheduler.

    python -m bench.limited --jobs 200 --ms 20 --most 2 --sandboxes 2 --threads 2
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.redis_process import RedisProcess
from sidelamb import Client
from sidelamb_local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

__all__ = ["measured"]

APP = """\
import time

from sidelamb import job
from sidelamb.limits import Concurrent


@job(name="limited", limit=Concurrent({most}))
def limited(seconds: float) -> None:
    time.sleep(seconds)


@job(name="free")
def free() -> None: ...
"""
CAPSULE = """\
scheduler = "SchedulerFunction"

[capsules.default]
function = "WorkerFunction"
queues = ["default"]
in_flight = {sandboxes}
threads = {threads}
"""
LOOK_S = 0.005
LIMIT_S = 300.0


def measured(asked: argparse.Namespace) -> dict[str, float]:
    """Return what the jobs took and cost."""
    with tempfile.TemporaryDirectory(prefix="limited-") as folder:
        app = Path(folder) / "app"
        app.mkdir()
        (app / "jobs.py").write_text(APP.format(most=asked.most))
        (app / "sidelamb.toml").write_text(CAPSULE.format(sandboxes=asked.sandboxes, threads=asked.threads))
        with (
            RedisProcess(folder) as server,
            Stack(app, redis_url=server.url, concurrency=asked.sandboxes) as stack,
        ):
            client = Client(server.url)
            client.enqueue_many("free", [()] * asked.sandboxes * 10)  # sandboxes are there
            _processed(server.db, asked.sandboxes * 10)
            time.sleep(1.0)
            commands, flown = sum(server.commands().values()), _flown(stack)
            began = time.perf_counter()
            client.enqueue_many("limited", [(asked.ms / 1000,)] * asked.jobs)
            _processed(server.db, asked.sandboxes * 10 + asked.jobs)
            took_s = time.perf_counter() - began
            commands = sum(server.commands().values()) - commands
            time.sleep(1.0)  # the service's own figures are half a second old
            flown = _flown(stack) - flown
            client.close()
    looks = took_s / LOOK_S
    return {
        "took_s": took_s,
        "least_s": asked.jobs * asked.ms / 1000 / asked.most,
        "commands": (commands - looks) / asked.jobs,
        "invocations": flown / asked.jobs,
    }


def _processed(db: redis.Redis, count: int) -> None:
    end = time.monotonic() + LIMIT_S
    while int(db.get("stat:processed") or 0) < count:
        if time.monotonic() > end:
            raise SystemExit(f"bench: not all jobs have run within {LIMIT_S:g} s")
        time.sleep(LOOK_S)


def _flown(stack: Stack) -> int:
    figures: dict[str, Any] = stack.stats[stack.worker_function]
    return int(figures["invocations"])


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200, help="jobs (200)")
    parser.add_argument("--ms", type=float, default=20, help="what each takes (20)")
    parser.add_argument("--most", type=int, default=2, help="of Concurrent (2)")
    parser.add_argument("--sandboxes", type=int, default=2, help="invocations at once (2)")
    parser.add_argument("--threads", type=int, default=2, help="jobs at once in each (2)")
    asked = parser.parse_args(argv)
    found = measured(asked)
    sys.stdout.write(
        f"{asked.jobs} jobs of {asked.ms:g} ms under Concurrent({asked.most}), {asked.sandboxes} sandboxes of "
        f"{asked.threads} threads: {found['took_s']:.1f} s ({found['least_s']:.1f} s is the least), "
        f"{found['commands']:.0f} Redis commands and {found['invocations']:.2f} invocations a job\n"
    )


if __name__ == "__main__":
    main()
