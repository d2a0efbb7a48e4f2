"""A Django project on the local stack: real sandboxes, each of which sets Django up at its cold start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack

PROJECT = Path(__file__).with_name("project")

APP = """
import json, sys, time
import django; django.setup()
from shop.tasks import add, add_async, die
results = [add.enqueue(1, 2), add_async.enqueue(3, 4), die.enqueue()]
print(json.dumps([result.id for result in results]), flush=True)
until = time.monotonic() + 50
while not all(result.is_finished for result in results) and time.monotonic() < until:
    time.sleep(0.05)
    for result in results:
        result.refresh()
added, also, died = results
paths = [each.exception_class_path for each in died.errors]
values = [added.return_value, also.return_value, str(died.status)]
print(json.dumps([*values, paths, added.attempts, len(added.worker_ids[0])]))
"""


def test_tasks_run_in_sandboxes_and_one_that_ends_its_sandbox_has_failed(tmp_path):
    env = {
        "DJANGO_SETTINGS_MODULE": "settings",
        "SIDELAMB_JOBS": "sidelamb.django.worker",
        "DATABASE": str(tmp_path / "db"),
    }
    lines = []
    with (
        RedisServer(tmp_path / "redis") as server,
        Stack(
            PROJECT,
            jobs=["sidelamb.django.worker"],
            redis_url=server.url,
            concurrency=1,
            env=env,
            data_dir=tmp_path / "data",
            on_line=lambda _function, line: lines.append(line),
        ),
    ):
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-c", APP],
            cwd=PROJECT,
            env={**os.environ, **env, "SIDELAMB_REDIS_URL": server.url},
            capture_output=True,
            text=True,
            timeout=80,
            check=False,
        )
    assert ended.returncode == 0, (ended.stderr, lines[-20:], time.monotonic() - began)
    ids, said = map(json.loads, ended.stdout.splitlines())
    assert len(set(ids)) == 3
    assert said == [3, 7, "FAILED", ["sidelamb_handlers.judge.SandboxKilled"] * 2, 1, 36]
