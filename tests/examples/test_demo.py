"""The demo, played to its end as `make demo` plays it."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import types
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "demo.py"


def play(*argv, seconds=60):
    command = [sys.executable, str(DEMO), *argv]
    # A Redis of somebody's own must not be touched by it.
    env = os.environ | {"SIDELAMB_REDIS_URL": "redis://127.0.0.1:1/0"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds, check=False)


def test_it_accounts_for_every_job_leaves_nothing_behind_and_says_what_to_do_next(tmp_path):
    before = set(DEMO.parent.glob(".sidelamb/demo-*"))
    ended = play()
    said = ended.stdout
    assert ended.returncode == 0, f"{said}\n{ended.stderr}"
    for words in (
        "delay(User.sync_images)(user_id)",
        "check_photo failed, again in",
        "image file is truncated",
        "no retry is left: dead",
        "crash_once took its sandbox down: charged with one failure",
        "crash_once succeeded in attempt 2",
        "remind began",
        "jobs are accounted for",
        "Where to look next",
    ):
        assert words in said
    for heading in ("jobs", "jobs/s", "p50 ms", "p99 ms", "invocations", "jobs each", "retries", "USD a million"):
        assert all(word in said for word in heading.split())
    assert re.search(r"sync_images +40 +[\d.]+ +[\d,]+ +[\d,]+ +\d+ +[\d.]+ +0 +[\d.]+", said)
    assert re.search(r"views, all at once +2,000", said)
    assert re.search(r"everything +2,243 +\d+ +[\d.]+ +2 +[\d.]+", said)
    table = said[said.index("jobs/s") : said.index("p50, p99:")]
    assert max(map(len, table.splitlines())) <= 80
    assert ended.stderr == ""
    assert set(DEMO.parent.glob(".sidelamb/demo-*")) == before
    [command] = re.findall(r"cd examples/photos && \S*sidelamb dev", said)
    env = {name: value for name, value in os.environ.items() if not name.startswith("SIDELAMB_")}
    run = subprocess.run(
        ["/bin/sh", "-c", command.replace("sidelamb dev", "sidelamb run sync_images 1")],
        cwd=DEMO.parents[2],
        env=env | {"PATH": "/usr/bin:/bin", "PHOTOS_DB": str(tmp_path / "not-there-yet.db")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.returncode) == ("21\n", 0), run.stderr


def test_a_photograph_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "cat.jpg").write_bytes((DEMO.parent / "photographs" / "chelsea.jpg").read_bytes())
    (tmp_path / "dog.JPG").write_text("woof")
    ended = play("--photos", str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"demo: {tmp_path}/dog.JPG cannot be read as a photograph (cannot identify")
    assert ended.stderr.endswith("; take it out of the folder\n")
    assert len(ended.stderr.splitlines()) == 1


def test_a_bar_is_patient_as_long_as_something_moves(monkeypatch):
    """Large photographs on a small machine take longer than the patience of one moment."""
    monkeypatch.syspath_prepend(DEMO.parent)
    module = importlib.import_module("show")
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: now.__setitem__(0, now[0] + 40))
    monkeypatch.setattr(module, "time", clock)
    show = module.Show()
    counts = iter(range(10))
    assert show.bar("slow", 8, lambda: next(counts), seconds=50)
    began = now[0]
    assert not show.bar("stuck", 8, lambda: 1, seconds=50)
    assert now[0] - began == 80


def test_a_folder_without_photographs_is_one_line(tmp_path):
    for folder in (tmp_path, tmp_path / "away"):
        ended = play("--photos", str(folder))
        assert ended.returncode == 2
        assert (
            ended.stderr == f"demo: {folder} has no photographs (.jpg, .jpeg, .png); name a folder that has some\n"
        )
