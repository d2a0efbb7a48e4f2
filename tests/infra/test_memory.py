"""How much memory a group of processes uses, each page counted as often as it should be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sidelamb_local.memory import PeakMeter, group_bytes, shared_once_bytes

MB = 1024 * 1024
FORKS = """
import os, sys, time
block = bytearray(60_000_000)
if len(sys.argv) > 1:
    block = None
children = [os.fork() or time.sleep(300) for _ in range(3)]
print("ready", flush=True)
time.sleep(300)
"""


@pytest.fixture
def start():
    started = []

    def run(*argv):
        process = subprocess.Popen(
            [sys.executable, "-c", FORKS, *argv], stdout=subprocess.PIPE, start_new_session=True, text=True
        )
        started.append(process)
        process.stdout.readline()
        return process.pid

    yield run
    for process in started:
        os.killpg(process.pid, 9)
        process.communicate()


def test_pages_that_a_group_shares_are_counted_once_in_the_exact_figure(start):
    pid = start()
    assert group_bytes([pid])[pid] > 240 * MB
    assert 60 * MB < shared_once_bytes(pid) < 120 * MB


def test_the_peak_remembers_what_was_freed(start):
    meter = PeakMeter(start("free"))
    assert meter.read() > 60 * MB
    meter.close()
    assert meter.read() == 0


def test_a_process_that_is_gone_uses_nothing():
    process = subprocess.Popen(["true"])
    process.wait()
    assert group_bytes([process.pid]) == {process.pid: 0}
    assert shared_once_bytes(process.pid) == 0
    assert PeakMeter(process.pid).read() == 0
