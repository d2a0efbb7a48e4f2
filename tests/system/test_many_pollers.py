"""Sixteen pollers at once on one Redis: they need no leader, and do not tread on each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidelamb_local.poller_child import environment_of
from tests.system.ledger import read

if TYPE_CHECKING:
    from collections.abc import Iterator

POLLERS = 16
SETTINGS = """
scheduler = "ledger-scheduler"
[capsules.default]
function = "ledger-worker"
queues = [{queues}]
in_flight = 2
timeout = 10
"""


@pytest.fixture
def crowded(system, tmp_path: Path) -> Iterator[tuple[object, list[str]]]:
    """A system with sixteen pollers, and the queues that they serve."""
    queues = [f"q{n}" for n in range(50)]
    system.stack.kill_poller()
    file = tmp_path / "many.toml"
    file.write_text(SETTINGS.format(queues=", ".join(f'"{q}"' for q in queues)))
    env = {**os.environ, **environment_of(system.stack.endpoint_url, {"SIDELAMB_REDIS_URL": system.server.url})}
    command = [sys.executable, str(Path(__file__).with_name("crowd.py")), str(POLLERS), str(file)]
    with open(tmp_path / "pollers.log", "wb") as log:  # noqa: PTH123
        pollers = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            system.wait(lambda: system.db.scard("processes") >= POLLERS, 90)
            yield system, queues
        finally:
            pollers.terminate()
            pollers.wait(60)


def test_each_job_runs_once_and_idle_ones_cost_a_look_a_second(crowded):
    system, queues = crowded
    all_in_one = {system.client.enqueue("quick", n, queue=queues[0]) for n in range(1_000)}
    jids = all_in_one | {system.client.enqueue("quick", n, queue=queues[n % 50]) for n in range(1_000)}
    system.wait(lambda: system.processed() == 2_000 and system.at_rest(), 90)
    runs = read(system.ledger)
    assert set(runs) == jids
    assert all(len(each) == 1 for each in runs.values())
    assert all(system.db.scard(f"sidelamb:slots:{c}") == 0 for c in ("default",))

    def scripts() -> int:
        stats = system.db.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))

    def peeks() -> int:
        return system.db.info("commandstats").get("cmdstat_blmove", {}).get("calls", 0)

    began, before, peeked = time.monotonic(), scripts(), peeks()
    while time.monotonic() - began < 6:
        time.sleep(0.1)
    seconds = time.monotonic() - began
    assert scripts() - before <= POLLERS * (seconds + 2) * 1.3, (
        "a look a second each, and a heartbeat now and then"
    )
    assert peeks() - peeked <= POLLERS * len(queues) * 2, "a peek waits, it does not poll"
