"""A queue with a cap of one, served by several pollers with real sandboxes, of which some are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from sidelamb_local.poller_child import environment_of
from tests.system.ledger import read

if TYPE_CHECKING:
    from tests.system.conftest import System

SETTINGS = """
scheduler = "ledger-scheduler"
[capsules.default]
function = "ledger-worker"
queues = ["serial", "free"]
in_flight = 2
timeout = 10
[queues.serial]
cap = 1
"""


def test_its_jobs_run_one_after_the_other_whoever_dies(system: System, tmp_path: Path) -> None:
    system.stack.kill_poller()
    file = tmp_path / "cap.toml"
    file.write_text(SETTINGS)
    env = {**os.environ, **environment_of(system.stack.endpoint_url, {"SIDELAMB_REDIS_URL": system.server.url})}
    command = [sys.executable, str(Path(__file__).with_name("crowd.py")), "3", str(file)]
    with open(tmp_path / "pollers.log", "wb") as log:  # noqa: PTH123
        crowd = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            system.wait(lambda: system.db.scard("processes") >= 3, 60)
            serial = {system.client.enqueue("pause", n, 0.03, queue="serial") for n in range(25)}
            serial.add(system.client.enqueue("die", queue="serial"))
            serial |= {system.client.enqueue("pause", n, 0.03, queue="serial") for n in range(25, 50)}
            free = {system.client.enqueue("pause", n, 0.03, queue="free") for n in range(20)}
            system.wait(lambda: len(read(system.ledger)) > 15)
            os.kill(_a_child_of(crowd.pid), signal.SIGKILL)  # a poller, with what it may have in flight
            system.wait(lambda: set(read(system.ledger)) >= serial | free, 60)
        finally:
            crowd.terminate()
            crowd.wait(60)
    runs = read(system.ledger)
    ended = sorted((run.start, run.end) for jid in serial for run in runs[jid] if run.end is not None)
    assert len(ended) == 50, "each ran once to its end"
    assert all(end <= start for (_, end), (start, _) in pairwise(ended)), "two ran at once"


def _a_child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
