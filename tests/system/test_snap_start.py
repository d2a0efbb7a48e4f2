"""A worker whose sandboxes begin as copies of a snapshot: what it had at import is not what it goes on with."""

from __future__ import annotations

import json
import random

import redis

from sidelamb import Client
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack

JOBS = """
import json, os, random
from sidelamb import Client, job

random.seed(7)
url = os.environ.get("SIDELAMB_REDIS_URL")  # not while the stack looks which jobs there are
client = Client(url or "redis://127.0.0.1")
at_import = url and client.link.command("CLIENT", "ID")

@job(name="draw")
def draw() -> None:
    drawn = [random.random(), at_import, client.link.command("CLIENT", "ID")]
    client.link.command("RPUSH", "drawn", json.dumps(drawn))
"""
TEMPLATE = """
Resources:
  WorkerFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: .
      Runtime: python3.13
      Handler: sidelamb_handlers.worker.handler
      Timeout: 10
      MemorySize: 512
      SnapStart: { ApplyOn: %s }
      Environment: { Variables: { SIDELAMB_JOBS: snapped } }
"""
SAME = random.Random(7).random()


def drawn(folder, apply_on):
    folder.mkdir()
    (folder / "template.yaml").write_text(TEMPLATE % apply_on)
    (folder / "snapped.py").write_text(JOBS)
    with RedisServer(folder / "redis") as server, Stack(folder, redis_url=server.url, concurrency=1):
        Client(server.url).enqueue("draw")
        with redis.Redis.from_url(server.url) as db:
            return json.loads(db.blpop("drawn", 30)[1])


def test_its_random_numbers_and_connections_are_not_those_of_the_snapshot(tmp_path):
    number, before, after = drawn(tmp_path / "snap", "PublishedVersions")
    assert number != SAME
    assert before != after
    number, before, after = drawn(tmp_path / "plain", "None")
    assert number == SAME
    assert before == after
