"""The guard ends what it was told of, and only that, when its pipe closes."""

from __future__ import annotations

import subprocess

import pytest

from sidelamb_local.guard import Guard, hold


@pytest.fixture
def sleeper():
    started = []

    def start():
        started.append(subprocess.Popen(["sleep", "300"], start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_it_kills_the_groups_it_still_holds(sleeper):
    watched, forgotten = sleeper(), sleeper()
    guard = Guard()
    guard.watch(watched.pid)
    guard.watch(forgotten.pid)
    guard.forget(forgotten.pid)
    guard.close()
    assert watched.wait(5) == -9
    assert forgotten.poll() is None


def test_a_guard_that_was_killed_is_no_trouble(sleeper):
    guard = Guard()
    subprocess.run(["kill", "-9", str(guard.pid)], check=True)
    guard._process.wait()
    guard.watch(1)
    guard.close()


@pytest.mark.parametrize(
    ("lines", "left"),
    [([b"+5\n", b"+6\n", b"-5\n"], {6}), ([b"-7\n"], set()), ([b"+8\n", b"+\n", b"nonsense\n", b"+9"], {8, 9})],
)
def test_it_holds_what_the_lines_say(lines, left):
    assert hold(lines) == left
