"""Processes killed and Redis restarted in the middle of two thousand jobs: none lost, none run twice at once."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.system.ledger import Run, overlapping, read

JOBS = 2_000
SETTLED_WITHIN_S = 1.0
"""An outcome is settled 0.2 s after its job's end; the rest is for a busy machine."""


def enqueue(system) -> set[str]:
    jids = [system.client.enqueue("pause", n, 0.002) for n in range(JOBS // 2)]
    jids += [system.client.enqueue("quick", n) for n in range(JOBS // 2)]
    return set(jids)


def all_done(system, jids: set[str]) -> bool:
    return system.at_rest() and not system.db.zcard("retry") and not system.db.zcard("schedule")


def check(runs: dict[str, list[Run]], jids: set[str], fault: float) -> int:
    """Every job ended; who started twice had started before the fault and may not have been settled then."""
    assert set(runs) == jids
    assert all(any(run.end for run in each) for each in runs.values())
    assert not overlapping(runs)
    twice = [each for each in runs.values() if len(each) > 1]
    for each in twice:
        assert len(each) == 2
        assert each[0].start < fault
        assert each[0].end is None or each[0].end > fault - SETTLED_WITHIN_S
        assert each[1].start > fault
    return len(twice)


def test_killing_the_poller_loses_nothing_and_repeats_nothing(system):
    jids = enqueue(system)
    system.wait(lambda: system.processed() > 300)
    os.kill(system.stack.poller_pid, signal.SIGKILL)
    fault = time.time()
    system.stack.restart_poller()
    system.wait(lambda: all_done(system, jids), 60)
    assert check(read(system.ledger), jids, fault) == 0
    assert system.processed() == JOBS


def test_killing_a_sandbox_loses_nothing_and_charges_no_job_of_many(system):
    jids = enqueue(system)
    system.wait(lambda: system.processed() > 300)
    victim = int(system.ledger.read_text().splitlines()[-1].split()[3])
    os.kill(victim, signal.SIGKILL)
    fault = time.time()
    system.wait(lambda: all_done(system, jids), 60)
    check(read(system.ledger), jids, fault)
    assert system.db.zcard("dead") == 0
    assert system.db.get("stat:failed") is None


def _sandboxes(function: str, ledger: Path) -> list[int]:
    """The process ids of a function's sandboxes in the system with this ledger: others may run beside it."""
    mine = {b"AWS_LAMBDA_FUNCTION_NAME=" + function.encode(), b"LEDGER=" + str(ledger).encode()}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environ = (folder / "environ").read_bytes()
        except OSError:
            continue
        if mine <= {*environ.split(b"\0")}:
            found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the process in /proc")
def test_killing_the_scheduler_in_mid_pass_loses_nothing_and_promotes_nothing_twice(system):
    jids = {f"{n:024x}" for n in range(JOBS)}
    entries = {
        json.dumps({"class": "quick", "args": [1], "jid": jid, "queue": "default", "retry": True}): time.time() + 4
        for jid in jids
    }
    system.db.zadd("schedule", entries)
    system.client.enqueue_in(0.5, "noop", 0)  # warms the scheduler up
    system.wait(lambda: system.processed() == 1)
    system.wait(lambda: system.db.zcard("schedule") < JOBS)
    for pid in _sandboxes("ledger-scheduler", system.ledger):
        os.kill(pid, signal.SIGKILL)
    system.wait(lambda: system.processed() == JOBS + 1, 60)
    system.wait(system.at_rest)
    runs = read(system.ledger)
    assert set(runs) == jids
    assert all(len(each) == 1 for each in runs.values())


def test_restarting_redis_with_its_data_loses_nothing(system):
    jids = enqueue(system)
    system.wait(lambda: system.processed() > 300)
    fault = time.time()
    system.server.stop()
    time.sleep(2)  # the outage: long enough for every part to notice it
    system.server.start()
    back = time.time()
    system.wait(lambda: all_done(system, jids), 90)
    runs = read(system.ledger)
    assert set(runs) == jids
    assert all(any(run.end for run in each) for each in runs.values())
    assert not overlapping(runs)
    for each in runs.values():
        if len(each) > 1:
            assert each[0].start < back
            assert each[0].end is None or each[0].end > fault - SETTLED_WITHIN_S
    warnings = [line for function, line in system.lines if "trying again until it works" in line]
    assert len(warnings) == 1, "one warning for one outage"
