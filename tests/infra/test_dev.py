"""`sidelamb dev` as a developer has it: started, used, stopped."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidelamb import Client

COMMAND = [sys.executable, "-m", "sidelamb_local.cli", "dev"]


@pytest.fixture
def app(tmp_path):
    (tmp_path / "jobs.py").write_text("from sidelamb import job\n@job\ndef add(a, b):\n    print('adding')\n")
    return tmp_path


@pytest.fixture
def env():
    return {name: value for name, value in os.environ.items() if not name.startswith(("SIDELAMB_", "REDIS_URL"))}


def line_with(stream, text):
    """The next line of `stream` that has `text` in it."""
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"{text!r} did not come")


def children(pid):
    """Every process below `pid`."""
    found = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return found + [grandchild for child in found for grandchild in children(child)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_jobs_are_shown_as_they_end_and_a_signal_ends_everything(app, env, gone, number):
    dev = subprocess.Popen(  # noqa: ASYNC220
        COMMAND, cwd=app, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    url = line_with(dev.stdout, "SIDELAMB_REDIS_URL=").strip().rpartition("=")[2]
    jid = Client(url).enqueue("jobs.add", 1, 2)
    assert "│ adding" in line_with(dev.stdout, "adding")
    assert "✓ jobs.add" in line_with(dev.stdout, jid)
    below = children(dev.pid)
    assert len(below) >= 5  # Redis, its guard, the service, a sandbox, the poller
    dev.send_signal(number)
    said, errors = dev.communicate(timeout=20)
    assert dev.returncode == 0
    assert re.search(r"stopped in [\d.]+ s: 1 job done, 0 failed$", said.strip())
    assert errors == ""
    assert all([await gone(pid) for pid in below])
    kept = [sys.executable, "-m", "sidelamb_local.cli", "logs", "--jid", jid]
    shown = subprocess.run(kept, cwd=app, env=env, capture_output=True, text=True, check=True)  # noqa: ASYNC221
    assert "✓ jobs.add" in shown.stdout


def test_what_runs_when_it_is_stopped_is_told(app, env):
    (app / "jobs.py").write_text(
        "import time\nfrom sidelamb import job\n"
        "@job\ndef long():\n    print('began', flush=True)\n    time.sleep(60)\n"
        "@job\ndef short(): pass\n"
    )
    (app / "sidelamb.toml").write_text("stop_timeout = 0\n[capsules.default]\nfunction = 'WorkerFunction'\n")
    dev = subprocess.Popen(COMMAND, cwd=app, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = line_with(dev.stdout, "SIDELAMB_REDIS_URL=").strip().rpartition("=")[2]
    Client(url).enqueue("jobs.long")
    line_with(dev.stdout, "began")
    Client(url).enqueue_in(60, "jobs.short")
    dev.send_signal(signal.SIGINT)
    said, errors = dev.communicate(timeout=20)
    assert (dev.returncode, errors) == (0, "")
    assert "stopping: 1 invocation is running" in said
    last = said.strip().splitlines()[-1]
    assert re.search(
        r"stopped in [\d.]+ s: 0 jobs done, 0 failed; 1 job waits in Redis for the next start; "
        r"1 invocation was cut off, its jobs come back by themselves within \d+ s$",
        last,
    )


def test_on_a_terminal_there_is_a_panel_and_ctrl_c_ends_it(app, env, redis_url):
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(app)
        os.execve(COMMAND[0], [*COMMAND, "--redis", redis_url], env | {"TERM": "xterm", "COLUMNS": "100"})
    seen = b""
    until = time.monotonic() + 20
    pressed = False
    while time.monotonic() < until and select.select([terminal], [], [], 20)[0]:
        try:
            seen += os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        if b"in flight" in seen and not pressed:
            os.write(terminal, b"\x03")
            pressed = True
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"sidelamb dev" in seen
    assert b"stopped" in seen


def test_what_is_wrong_is_one_line(app, env):
    (app / "jobs.py").write_text("import not_there\n")
    ended = subprocess.run(COMMAND, cwd=app, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("sidelamb: jobs.py, line 1: ModuleNotFoundError")
    assert len(ended.stderr.splitlines()) == 1
