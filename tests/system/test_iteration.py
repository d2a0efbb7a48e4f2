"""A job of 100,000 items in a function that lives for ten seconds: all are done, in spite of a kill."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = 100_000
EACH_S = 0.000_1
"""Slept for each; with the sleep's own cost about 0.2 ms pass, some twenty seconds for all."""


def items(path: Path) -> list[tuple[int, int]]:
    """What was done, (item, process), in order."""
    return list(struct.iter_unpack("<II", path.read_bytes())) if path.exists() else []


def state(system, jid: str) -> dict[str, str]:
    return {field.decode(): value.decode() for field, value in system.db.hgetall(f"it-{jid}").items()}


def finish(system, jid: str) -> None:
    system.wait(lambda: system.processed() and system.at_rest(), 90)
    system.wait(lambda: not state(system, jid))


def test_a_long_job_goes_on_over_several_invocations_and_repeats_nothing(system, tmp_path):
    path = tmp_path / "items"
    jid = system.client.enqueue("walk", str(path), ITEMS, EACH_S)
    system.wait(lambda: state(system, jid).get("ex") == "2", 30)
    finish(system, jid)
    assert [n for n, _ in items(path)] == list(range(ITEMS))
    interrupted = [line for _, line in system.lines if '"outcome":"interrupted"' in line]
    assert len(interrupted) >= 1
    assert system.processed() == 1
    assert system.db.get("stat:failed") is None
    assert not system.db.zcard("retry")


def test_a_killed_sandbox_costs_the_items_since_the_last_checkpoint(system, tmp_path):
    path = tmp_path / "items"
    jid = system.client.enqueue("walk", str(path), ITEMS, EACH_S)
    system.wait(lambda: state(system, jid).get("c", "null") != "null", 30)
    time.sleep(0.5)
    os.kill(items(path)[-1][1], signal.SIGKILL)
    kept = int(state(system, jid)["c"])
    finish(system, jid)
    done = items(path)
    assert set(Counter(n for n, _ in done)) == set(range(ITEMS))
    backwards = [(a, b) for (a, _), (b, _) in pairwise(done) if b != a + 1]
    assert len(backwards) == 1, "it went back once"
    ((reached, again),) = backwards
    assert again == kept
    assert len(done) - ITEMS == reached + 1 - kept < ITEMS // 2
    assert not system.db.zcard("dead")


def test_a_long_job_that_is_cancelled_stops(system, tmp_path):
    path = tmp_path / "items"
    jid = system.client.enqueue("walk", str(path), ITEMS, EACH_S)
    system.wait(lambda: items(path))
    system.client.cancel(jid)
    finish(system, jid)
    assert len(items(path)) < ITEMS
    assert not system.db.exists("sidelamb:cancelled")
    assert system.db.get("stat:failed") is None
