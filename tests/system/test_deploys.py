"""Code that changes under running jobs: a deploy that cannot be imported, names that come and go."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack
from tests.system.conftest import APP, System
from tests.system.ledger import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

GOOD = "from ledger_jobs import *\n"
BAD = "import module_that_was_forgotten_in_requirements\n"


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[tuple[System, Any]]:
    """A system whose code a test may change: `deploy(source)` writes a new version of its jobs module."""
    app = tmp_path / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns(".sidelamb", "__pycache__"))
    template = app / "template.yaml"
    template.write_text(template.read_text().replace("SIDELAMB_JOBS: ledger_jobs", "SIDELAMB_JOBS: deployed"))

    def deploy(source: str) -> None:
        (app / "deployed.py").write_text(source)

    deploy(GOOD)
    lines: list[tuple[str, str]] = []
    ledger = tmp_path / "ledger"
    with (
        RedisServer(tmp_path / "redis") as server,
        Stack(
            app,
            redis_url=server.url,
            concurrency=2,
            env={"LEDGER": str(ledger), "PYTHONDONTWRITEBYTECODE": "1"},
            on_line=lambda function, line: lines.append((function, line)),
        ) as stack,
    ):
        system = System(stack, server, ledger, lines)
        yield system, deploy
        system.db.close()


def accounted(db: redis.Redis) -> int:
    """How many jobs are in a queue or a lease."""
    leased = sum(sum(f[:1].isdigit() for f in db.hkeys(key)) for key in db.keys("sidelamb:lease:*"))
    return db.llen("queue:default") + leased


def test_a_deploy_that_cannot_be_imported_charges_nobody_and_drains_when_a_good_one_follows(deployed):
    system, deploy = deployed
    deploy(BAD)
    system.wait(lambda: any("reload" in line for _, line in system.lines))
    jids = [system.client.enqueue("quick", n) for n in range(1_000)]
    system.wait(lambda: any("fails before it claims" in line for _, line in system.lines))
    until = time.monotonic() + 8  # the outage: several probes
    while time.monotonic() < until:
        time.sleep(0.5)
        assert system.processed() == 0
    said = [line for _, line in system.lines if "fails before it claims" in line]
    assert len(said) == 1
    assert "module_that_was_forgotten_in_requirements" in said[0]
    assert system.db.get("stat:failed") is None
    assert not system.db.exists("retry", "dead")
    assert accounted(system.db) == 1_000
    deploy(GOOD)
    system.wait(lambda: system.processed() == 1_000, 30)
    runs = read(system.ledger)
    assert set(runs) == set(jids)
    assert all(len(each) == 1 for each in runs.values())


def test_a_name_that_only_the_new_code_knows_waits_for_it(deployed):
    system, deploy = deployed
    jid = system.client.enqueue("brand.new", 7)
    system.wait(lambda: system.db.zcard("schedule"))
    deploy(
        GOOD + "from sidelamb import job\n@job(name='brand.new')\ndef fresh(n):\n    note('S')\n    note('E')\n"
    )
    system.wait(lambda: jid in read(system.ledger), 30)
    assert system.db.get("stat:failed") is None


def test_a_job_that_was_renamed_still_runs_what_was_enqueued_under_its_old_name(deployed):
    system, deploy = deployed
    deploy(
        "from ledger_jobs import note\nfrom sidelamb import job\n@job(name='new', aliases=['old.path.job'])\n"
        "def moved(n):\n    note('S')\n    note('E')\n"
    )
    system.wait(lambda: any("reload" in line for _, line in system.lines))
    jid = system.client.enqueue("old.path.job", 1)
    system.wait(lambda: jid in read(system.ledger), 30)
