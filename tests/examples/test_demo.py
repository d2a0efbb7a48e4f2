"""The demo, played to its end as `make demo` plays it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "demo.py"


def play(*argv, seconds=60):
    command = [sys.executable, str(DEMO), *argv]
    # A Redis of somebody's own must not be touched by it.
    env = os.environ | {"SIDELAMB_REDIS_URL": "redis://127.0.0.1:1/0"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds, check=False)


def test_it_accounts_for_every_job_and_leaves_nothing_behind():
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
    assert re.search(r"sync_images +40 +\d+ .* ms +[\d,]+ ms +\d+ +[\d.]+ +[\d.]+", said)
    assert re.search(r"views, all at once +2,000", said)
    assert ended.stderr == ""
    assert set(DEMO.parent.glob(".sidelamb/demo-*")) == before


def test_a_folder_without_photographs_is_one_line(tmp_path):
    for folder in (tmp_path, tmp_path / "away"):
        ended = play("--photos", str(folder))
        assert ended.returncode == 2
        assert (
            ended.stderr == f"demo: {folder} has no photographs (.jpg, .jpeg, .png); name a folder that has some\n"
        )
