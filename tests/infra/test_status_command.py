"""`sidelamb status`: what the dashboard shows, from a real Redis."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time

import pytest
from rich.console import Console

from sidelamb import Client
from sidelamb_handlers.gauges import seen
from sidelamb_local.status_command import as_json, as_text, worries


@pytest.fixture
def client(redis_url):
    made = Client(redis_url)
    yield made
    made.close()


@pytest.fixture
def filled(db):
    """A Redis in which something is everywhere."""
    job = json.dumps({"class": "work", "args": [], "jid": "j", "enqueued_at": time.time() - 90})
    db.sadd("queues", "mail", "low")
    db.lpush("queue:mail", job, job)
    db.lpush("queue:low", job)
    db.sadd("paused", "low")
    db.zadd("dead", {"x": 1})
    db.zadd("retry", {"x": 1, "y": 2})
    db.mset({"stat:processed": 1_234, "stat:failed": 5})
    info = {"info": '{"tag":"sidelamb","started_at":1.0}', "busy": 3, "concurrency": 10, "quiet": "false"}
    db.sadd("processes", "host:1:abc")
    db.hset("host:1:abc", mapping=info | {"beat": time.time(), "rss": 1, "rtt_us": 1})


def text(look):
    out = io.StringIO()
    Console(file=out, width=120).print(as_text(look), highlight=False)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_all_of_it_is_in_the_text(client, filled):
    lines = text(seen(client))
    assert "! paused: low" in lines
    assert any(line.startswith("host:1 3 of 10 ") for line in lines)
    assert any(line.startswith("mail 2 90.") for line in lines)
    assert any(line.startswith("low 1 90.") and line.endswith("paused") for line in lines)
    assert lines[-2:] == [
        "processed failed enqueued scheduled retrying dead leases processes",
        "1,234 5 3 0 2 1 0 1",
    ]


def test_the_same_is_in_the_json(client, filled):
    found = json.loads(json.dumps(as_json(seen(client))))
    assert found["worries"] == ["paused: low"]
    assert [(q["name"], q["size"], q["is_paused"]) for q in found["queues"]] == [
        ("mail", 2, False),
        ("low", 1, True),
    ]
    assert (found["processed"], found["retrying"], found["dead"], found["stuck_leases"]) == (1_234, 2, 1, 0)
    assert (found["pollers"][0]["in_flight"], found["pollers"][0]["concurrency"]) == (3, 10)


def test_a_healthy_system_worries_nobody(client, filled, db):
    db.delete("paused")
    assert worries(seen(client)) == []


def test_what_must_be_looked_at_is_said_first(client, filled, db):
    db.hset("host:1:abc", "quiet", "true")
    assert worries(seen(client)) == ["every poller is quiet: restart them", "paused: low"]
    db.delete("processes", "paused")
    old = json.dumps({"class": "work", "args": [], "jid": "j", "enqueued_at": time.time() - 3_600})
    db.rpush("queue:mail", old)
    db.zadd("sidelamb:leases", {"c:1": time.time() - 600})
    assert worries(seen(client)) == [
        "no poller: nothing is run until one starts",
        "the oldest job has waited 60 min",
        "leases long past their deadline: 1; the scheduler does not run",
    ]


def run(folder, *argv, **env):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIDELAMB_", "REDIS_"))}
    command = [sys.executable, "-m", "sidelamb_local.cli", "status", *argv]
    return subprocess.run(
        command, cwd=folder, env=kept | env, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_command_prints_it_for_people_and_for_programs(filled, redis_url, tmp_path):
    ended = run(tmp_path, "--redis", redis_url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "3 of 10" in ended.stdout
    assert json.loads(run(tmp_path, "--redis", redis_url, "--json").stdout)["processed"] == 1_234


def test_it_looks_into_the_namespace_that_is_set(filled, redis_url, tmp_path):
    ended = run(tmp_path, "--json", SIDELAMB_REDIS_URL=redis_url, SIDELAMB_NAMESPACE="other")
    assert json.loads(ended.stdout)["processed"] == 0


def test_without_a_redis_one_line_says_what_to_do(tmp_path):
    ended = run(tmp_path)
    assert ended.returncode == 2
    assert "set SIDELAMB_REDIS_URL, or say --redis" in ended.stderr
