"""Fixtures for the local stack: real services, real sandboxes, boto3 in front."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sidelamb_local.service import LambdaService
from sidelamb_local.template import FunctionSpec
from tests.infra.in_process import sidelamb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

__all__ = ["sidelamb"]

HANDLERS = '''
import ctypes, logging, os, pathlib, subprocess, sys, time

calls = 0

def echo(event, context):
    return event

def fail(event, context):
    raise ValueError("it does not work")

def recurse(event, context):
    return recurse(event, context)

def leave(event, context):
    os._exit(event["status"])

def sys_exit(event, context):
    sys.exit(event["status"])

def segfault(event, context):
    ctypes.string_at(0)

def hog(event, context):
    hoard = []
    while True:
        hoard.append(bytearray(4_000_000))
        time.sleep(0.002)

def spike(event, context):
    bytearray(200_000_000)

def child_hog(event, context):
    subprocess.run([sys.executable, "-c", "import time; x = bytearray(200_000_000); time.sleep(60)"])

def big(event, context):
    return "x" * event["size"]

def strange(event, context):
    return object()

def wait(event, context):
    time.sleep(event["s"])

def hold(event, context):
    """Say that it runs, wait for a word, say it is done: each through a named pipe."""
    folder = pathlib.Path(event["folder"])
    (folder / "started").write_text(str(os.getpid()))
    word = (folder / "word").read_text()
    if event.get("done"):
        (folder / "done").write_text(word)
    return word

def meet(event, context):
    """Return once `n` invocations are here at the same time."""
    folder = pathlib.Path(event["folder"])
    (folder / context.aws_request_id).touch()
    while len(list(folder.iterdir())) < event["n"]:
        time.sleep(0.005)
    return os.getpid()

def count(event, context):
    global calls
    calls += 1
    return {"calls": calls, "pid": os.getpid()}

def spawn(event, context):
    child = subprocess.Popen(["sleep", "300"])
    return {"pid": os.getpid(), "child": child.pid}

def say(event, context):
    logging.getLogger().warning("a warning")
    print("a line"); print("an error line", file=sys.stderr)
    print("x" * event.get("size", 0))

def tell(event, context):
    custom = context.client_context.custom if context.client_context else None
    return {
        "remaining": context.get_remaining_time_in_millis(),
        "request_id": context.aws_request_id,
        "name": context.function_name,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "custom": custom,
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "path": sys.path[0],
    }
'''


@dataclass(frozen=True)
class Reply:
    """An answer of the Invoke API, whatever its status."""

    status: int
    headers: dict[str, str]
    body: Any
    error: str | None
    tail: str


@dataclass
class Local:
    """A running service and a boto3 client for it."""

    service: LambdaService
    client: Any
    lines: list[tuple[str, str]]

    async def invoke(self, name: str, event: Any = None, **options: Any) -> Reply:
        """Invoke as an application would: a blocking call, in a thread."""
        return await asyncio.to_thread(_invoke, self.client, name, event, options)


def _invoke(client: Any, name: str, event: Any, options: dict[str, Any]) -> Reply:
    payload = event if isinstance(event, bytes) else json.dumps(event)
    try:
        response = client.invoke(FunctionName=name, Payload=payload, **options)
    except ClientError as error:
        response = error.response
    body = response["Payload"].read() if "Payload" in response else b""
    return Reply(
        status=response["ResponseMetadata"]["HTTPStatusCode"],
        headers=response["ResponseMetadata"]["HTTPHeaders"],
        body=json.loads(body) if body else response.get("Error"),
        error=response.get("FunctionError"),
        tail=base64.b64decode(response.get("LogResult", "")).decode(),
    )


def _boto3(session: boto3.Session, endpoint_url: str) -> Any:
    return session.client(
        "lambda",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=30, max_pool_connections=20),
    )


@pytest.fixture(scope="session")
def connect() -> Callable[[str], Any]:
    """A boto3 client for an endpoint."""
    session = boto3.Session()
    return lambda endpoint_url: _boto3(session, endpoint_url)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with the handlers in app.py."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "app.py").write_text(HANDLERS)
    return folder


@pytest.fixture
def spec(code: Path) -> Callable[..., FunctionSpec]:
    """Make the spec of a handler in app.py, named like it."""

    def make(handler: str, **options: Any) -> FunctionSpec:
        module_and_name = handler if "." in handler else f"app.{handler}"
        given = {"name": handler, "logical_id": f"{handler.title()}Function", "code_dir": code} | options
        return FunctionSpec(handler=module_and_name, **given)

    return make


@pytest.fixture
async def serve(spec: Callable[..., FunctionSpec], connect: Callable[[str], Any]) -> AsyncIterator[Any]:
    """Start a service for handlers (names, or specs); it is stopped after the test."""
    running: list[Local] = []

    async def start(*functions: str | FunctionSpec, **options: Any) -> Local:
        specs = [spec(function) if isinstance(function, str) else function for function in functions]
        lines: list[tuple[str, str]] = []
        service = LambdaService(
            {one.name: one for one in specs}, on_log=lambda name, line: lines.append((name, line)), **options
        )
        await service.start()
        running.append(Local(service, connect(service.endpoint_url), lines))
        return running[-1]

    yield start
    for local in running:
        await local.service.stop(grace_s=0)
        local.client.close()


@pytest.fixture
def pipes(tmp_path: Path) -> Path:
    """A folder with three named pipes, for a handler (`hold`) and its test to meet: started, word, done."""
    folder = tmp_path / "pipes"
    folder.mkdir()
    for name in ("started", "word", "done"):
        os.mkfifo(folder / name)
    return folder


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
        return stat.read().rpartition(")")[2].split()[0]


@pytest.fixture
def state() -> Callable[[int], str]:
    """The state of a process as the kernel has it: R, S, T, Z."""
    return _state


@pytest.fixture
def gone() -> Callable[[int], Awaitable[bool]]:
    """Wait until a process has ended, five seconds at most."""

    def wait(pid: int) -> bool:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([pidfd], [], [], 5)[0])
        finally:
            os.close(pidfd)

    return lambda pid: asyncio.to_thread(wait, pid)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait for something that announces itself to nobody, five seconds at most."""

    async def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not holds():
            assert time.monotonic() < deadline, "it did not come to pass within five seconds"
            await asyncio.sleep(0.01)

    return wait
