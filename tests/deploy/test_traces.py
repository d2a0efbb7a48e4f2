"""The recipes for OpenTelemetry, X-Ray and Sentry, as docs/observe.md has them: what a job tells arrives.

A real worker in a sandbox, and at the other end what each library speaks to: HTTP and UDP on this machine.
"""

from __future__ import annotations

import gzip
import http.server
import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sidelamb import Client
from sidelamb_local.stack import Stack
from tests.tools import telemetry

PAGE = Path(__file__).parents[2] / "docs" / "observe.md"
TRACE = "5759e988bd862e3fe1be46a994272793"
PARENT = "53995c3f42cd8ad8"


def recipe(heading: str) -> str:
    """The first Python block after a word of the page."""
    text = PAGE.read_text()
    return re.search(r"```python\n(.*?)```", text[text.index(heading) :], re.DOTALL)[1]


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what is posted."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Posted)
        self.got: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"


class _Posted(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.got.put((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def stack(tmp_path, redis_url):
    """Starts a stack with a recipe as its jobs."""
    running = []

    def start(jobs, **env):
        (tmp_path / "jobs.py").write_text(jobs)
        made = Stack(tmp_path, redis_url=redis_url, concurrency=1, env=env)
        made.start()
        running.append(made)
        return made

    yield start
    for made in running:
        made.stop()


def test_a_span_of_a_job_belongs_to_the_trace_of_whoever_enqueued_it(stack, receiver, redis_url, monkeypatch):
    monkeypatch.syspath_prepend(telemetry())
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(telemetry())]))
    stack(
        recipe("**OpenTelemetry.**"),
        PYTHONPATH=path,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.address}",
    )
    job = {"class": "jobs.charge", "args": [1], "jid": "j" * 24, "traceparent": f"00-{TRACE}-{PARENT}-01"}
    Client(redis_url).push(job)
    path, body = receiver.got.get(timeout=30)
    assert path == "/v1/traces"
    found = ExportTraceServiceRequest.FromString(body)
    spans = {s.name: s for r in found.resource_spans for scope in r.scope_spans for s in scope.spans}
    outer, inner = spans["jobs.charge"], spans["ask the bank"]
    assert {outer.trace_id.hex(), inner.trace_id.hex()} == {TRACE}
    assert (outer.parent_span_id.hex(), inner.parent_span_id) == (PARENT, outer.span_id)
    assert {a.key: a.value.string_value for a in outer.attributes}["job.id"] == "j" * 24


def test_a_failure_is_at_sentry_before_the_sandbox_is_frozen(stack, receiver, redis_url):
    stack(recipe("## Sentry"), SENTRY_DSN=f"http://key@{receiver.address}/1")
    jid = Client(redis_url).enqueue("jobs.risky", 5)
    while True:
        path, body = receiver.got.get(timeout=30)
        parts = [json.loads(line) for line in body.splitlines() if line.startswith(b"{")]
        events = [part for part in parts if "exception" in part]
        if events:
            break
    assert path == "/api/1/envelope/"
    (event,) = events
    assert event["tags"] == {"jid": jid, "class": "jobs.risky", "queue": "default"}
    assert event["exception"]["values"][-1]["type"] == "ValueError"


XRAY = """
import json, time
from sidelamb_handlers.event import write_event
from sidelamb_handlers.worker import handler

class Context:
    aws_request_id = "r-1"
    def get_remaining_time_in_millis(self):
        return 20_000

now = time.time()
jobs = {"0:default": json.dumps({
    "class": "jobs.work", "args": [], "jid": "j1", "queue": "default", "traceparent": "00-%s-%s-01"}).encode()}
event = write_event(jobs, lease="c:1", capsule="c", start_by=now + 30, deadline=now + 90, detached=True)
print(handler(json.loads(event), Context())["ran"])
"""


@pytest.fixture
def daemon():
    """X-Ray's daemon, as far as it listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(20)
        yield listening


def worker(tmp_path, jobs, **env):
    (tmp_path / "jobs.py").write_text(jobs)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIDELAMB_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-c", XRAY % (TRACE, PARENT)],
        cwd=tmp_path,
        env=kept | {"SIDELAMB_JOBS": "jobs", "PYTHONPATH": str(tmp_path)} | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_with_xray_a_job_is_a_subsegment_that_can_be_searched_for(tmp_path, daemon):
    started = time.time()
    ended = worker(
        tmp_path,
        "from sidelamb import job\n@job\ndef work(): raise ValueError('no')\n",
        SIDELAMB_TRACER="xray",
        LAMBDA_TASK_ROOT=str(tmp_path),
        AWS_XRAY_DAEMON_ADDRESS=f"127.0.0.1:{daemon.getsockname()[1]}",
        _X_AMZN_TRACE_ID="Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1",
    )
    assert ended.stdout.splitlines()[-1] == "1", ended.stderr
    _, _, document = daemon.recv(65_536).partition(b"\n")
    segment = json.loads(document)
    assert (segment["name"], segment["trace_id"]) == ("jobs.work", "1-67891233-abcdef012345678912345678")
    assert segment["parent_id"] == "463ac35c9f6413ad"
    assert segment["annotations"] == {
        "jid": "j1",
        "class": "jobs.work",
        "queue": "default",
        "attempt": 1,
        "enqueued_in": "1-5759e988-bd862e3fe1be46a994272793",
    }
    assert segment["cause"]["exceptions"][0]["message"] == "no"
    assert segment["start_time"] >= started - 1


def test_without_being_asked_for_no_tracing_library_is_loaded(tmp_path):
    code = """
from sidelamb import job
@job
def work():
    import sys
    print("aws_xray_sdk" in sys.modules, "sentry_sdk" in sys.modules)
"""
    ended = worker(tmp_path, code)
    assert ended.stdout.splitlines()[0] == "False False", ended.stderr
