"""docs/disaster.md: a Redis restored from a snapshot that remembers finished jobs, with the page's own code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from sidelamb import Client
from sidelamb.api import Queue
from sidelamb_local.stack import Stack

ROOT = Path(__file__).parents[2]
APP = ROOT / "tests" / "system" / "app"
PAUSE, DELETE, RESUME = re.findall(
    r"^   ```python\n(.*?)^   ```$", (ROOT / "docs" / "disaster.md").read_text(), re.MULTILINE | re.DOTALL
)


def wait(what, within_s=60):
    until = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def said(code, url, folder):
    text = "\n".join(line.removeprefix("   ") for line in code.splitlines())
    env = {**os.environ, "SIDELAMB_REDIS_URL": url}
    ended = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def stack(tmp_path, redis_url):
    def make():
        env = {"LEDGER": str(tmp_path / "ledger")}
        return Stack(APP, redis_url=redis_url, concurrency=1, env=env, data_dir=tmp_path / "data")

    return make


def runs(folder):
    """How often each job has ended."""
    lines = (folder / "ledger").read_text().splitlines() if (folder / "ledger").exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith("E"))


def test_what_a_snapshot_remembers_runs_only_when_a_person_says_so(tmp_path, redis_url, db, stack):
    client = Client(redis_url)
    with stack():
        running = client.enqueue("pause", 1, 5.0)
        wait((tmp_path / "ledger").exists)
        mail = [client.enqueue("quick", n, queue="default") for n in range(3)]
        later = client.job("quick").enqueue_in(4, 9)
        snapshot = {key: db.dump(key) for key in db.scan_iter()}
        wait(lambda: sum(runs(tmp_path).values()) == 5)
    assert runs(tmp_path) == dict.fromkeys([running, later, *mail], 1)

    db.flushall()
    for key, value in snapshot.items():
        if value is not None:
            db.restore(key, 0, value)
    lease = db.zrange("sidelamb:leases", 0, 0)[0]
    db.zadd("sidelamb:leases", {lease: time.time() - 1})  # the snapshot is older than any lease lives
    looked = said(PAUSE, redis_url, tmp_path)
    assert "'default'" in looked
    assert "1 are due" in looked
    assert "1 leases" in looked

    with stack():
        # A pass of the scheduler puts the lease's job and the due one back, and both wait.
        wait(lambda: not db.exists("sidelamb:leases") and not db.exists("schedule"))
        assert db.llen("queue:default") + db.llen("sidelamb:alone:default") == 5
        assert sum(runs(tmp_path).values()) == 5

        (tmp_path / "finished.txt").write_text("\n".join(mail))
        said(DELETE.replace('"mail"', '"default"'), redis_url, tmp_path)
        said(RESUME.replace('"low"', '"default"'), redis_url, tmp_path)
        wait(lambda: sum(runs(tmp_path).values()) == 7)
    assert runs(tmp_path) == {running: 2, later: 2, **dict.fromkeys(mail, 1)}
    assert Queue("default", client).size() == 0


def test_an_empty_redis_needs_no_repair(tmp_path, redis_url, db, stack):
    client = Client(redis_url)
    with stack():
        before = client.enqueue("quick", 1)
        wait(lambda: runs(tmp_path)[before])
        db.flushall()
        after = client.enqueue("quick", 2)
        wait(lambda: runs(tmp_path)[after])
