"""Restarts and deploys under load: nothing is lost, nothing is started twice."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sidelamb import Client
from sidelamb_handlers.config import CapsuleConfig
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack
from tests.system.conftest import APP, System
from tests.system.ledger import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SETTINGS = """
scheduler = "ledger-scheduler"
[capsules.default]
function = "ledger-worker"
queues = ["default"]
in_flight = {in_flight}
jobs = 50
threads = {threads}
timeout = 90
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., System]]:
    """Starts a system whose app a test may change, without a poller."""
    opened: list[Stack | RedisServer] = []

    def started(**settings: int) -> System:
        app, ledger = tmp_path / "app", tmp_path / "ledger"
        shutil.copytree(APP, app, ignore=shutil.ignore_patterns(".sidelamb", "__pycache__"))
        template = app / "template.yaml"
        template.write_text(template.read_text().replace("Timeout: 10", "Timeout: 90"))
        (app / "sidelamb.toml").write_text(SETTINGS.format(**settings))
        server = RedisServer(tmp_path / "redis")
        server.start()
        opened.append(server)
        lines: list[tuple[str, str]] = []
        stack = Stack(
            app,
            redis_url=server.url,
            concurrency=settings["in_flight"],
            env={"LEDGER": str(ledger), "PYTHONDONTWRITEBYTECODE": "1"},
            on_line=lambda function, line: lines.append((function, line)),
            poller=False,
        )
        stack.start()
        opened.append(stack)
        return System(stack, server, ledger, lines)

    yield started
    for each in reversed(opened):
        each.stop()


def check(system: System, jids: set[str]) -> None:
    runs = read(system.ledger)
    assert set(runs) == jids
    assert [jid for jid, each in runs.items() if len(each) != 1] == []
    assert all(each[0].end for each in runs.values())
    assert system.db.get("stat:failed") is None


@pytest.mark.parametrize("how", ["in good order", "killed"])
def test_a_poller_is_restarted_during_500_jobs_of_five_seconds(start, how):
    system = start(in_flight=10, threads=50)
    jids = {system.client.enqueue("pause", n, 5.0) for n in range(500)}
    system.stack.restart_poller()
    system.wait(lambda: len(read(system.ledger)) == 500, 60)
    if how == "killed":
        os.kill(system.stack.poller_pid, signal.SIGKILL)
    system.stack.restart_poller()
    system.wait(lambda: system.processed() == 500 and system.at_rest(), 60)
    check(system, jids)


def test_worker_poller_and_capsules_are_deployed_under_200_jobs_a_second(start):
    """And under a few jobs of a minute, which run on through all of it."""
    system = start(in_flight=6, threads=1)
    system.stack.restart_poller()
    jids = {system.client.enqueue("pause", n, 60.0) for n in range(3)}
    over = threading.Event()

    def load() -> None:
        client, began, n = Client(system.server.url), time.monotonic(), 0
        while not over.is_set():
            jids.add(client.enqueue("quick", n))
            n += 1
            time.sleep(max(0.0, began + n / 200 - time.monotonic()))

    thread = threading.Thread(target=load)
    thread.start()
    jobs = system.stack.app_dir / "ledger_jobs.py"
    try:
        system.wait(lambda: system.processed() > 200)
        jobs.write_text(
            jobs.read_text()
            + "\n\n@job(name='brand_new')\ndef brand_new(n: int) -> None:\n    note('S')\n    note('E')\n"
        )
        system.wait(lambda: any("reloaded" in line for _, line in system.lines))
        jids.add(system.client.enqueue("brand_new", 1))
        seen = system.processed()
        system.wait(lambda: system.processed() > seen + 200)
        second = CapsuleConfig("second", "ledger-worker", ("added",), in_flight=1, timeout=90.0)
        config = system.stack.project.config
        config = replace(config, capsules=(*config.capsules, second))
        system.stack._poller.restart(config, system.server.url)
        jids.add(system.client.enqueue("brand_new", 2, queue="added"))
        seen = system.processed()
        system.wait(lambda: system.processed() > seen + 200)
    finally:
        over.set()
        thread.join()
    system.wait(lambda: system.processed() == len(jids) and system.at_rest(), 150)
    check(system, jids)
