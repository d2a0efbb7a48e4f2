"""AWS on loopback: ministack, which checks signatures and policies, runs functions, and needs no Docker.

Beside it what surrounds a task on Fargate: a Redis, and the address where ECS hands out its role's credentials.
All of it lives in a network of its own (`island`).
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config

from tests.conftest import _binary
from tests.deploy.bare_root import python_of_the_runtime
from tests.deploy.island import ECS_ADDRESS, island
from tests.tools import installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
VERSION = "1.5.33"
REGION = "eu-west-1"
REDIS_URL = "redis://127.0.0.1:6379/0"
BUCKET = "deployments"


def ministack() -> Path:
    """Return ministack's command line. It runs functions on its own Python, so it has the runtime's.

    With the translator it takes the template as SAM has it.
    """
    python = python_of_the_runtime()
    return installed("ministack", f"ministack=={VERSION}", "aws-sam-translator>=1.90", python=python) / "ministack"


class Emulator:
    """An account of one's own."""

    endpoint = "http://127.0.0.1:4566"

    def __init__(self, log: Path, credentials: _Credentials) -> None:
        self.log = log
        self._credentials = credentials
        self._session = boto3.Session()
        self._making = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, keys: Mapping[str, str] | None = None) -> Any:
        """Return a boto3 client: as the account's owner, or with a session's keys."""
        keys = keys or {"AccessKeyId": "test", "SecretAccessKey": "test", "SessionToken": ""}
        with self._making:  # a client takes a tenth of a second to make, and is safe for threads; a session is not
            if (service, keys["AccessKeyId"]) not in self._clients:
                self._clients[service, keys["AccessKeyId"]] = self._made(service, keys)
            return self._clients[service, keys["AccessKeyId"]]

    def _made(self, service: str, keys: Mapping[str, str]) -> Any:
        return self._session.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"] or None,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120),
        )

    def session(self, role: str) -> dict[str, str]:
        """Return the keys of somebody who has assumed a role, given by its ARN."""
        found: dict[str, str] = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return found

    def task_env(self, role: str) -> dict[str, str]:
        """Return what Fargate adds to the environment of a task with this role; the rest is where AWS is here."""
        keys = self.session(role)
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        document = {
            "AccessKeyId": keys["AccessKeyId"],
            "SecretAccessKey": keys["SecretAccessKey"],
            "Token": keys["SessionToken"],
            "Expiration": expires,
            "RoleArn": role,
        }
        return {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": self._credentials.hand_out(document),
            "AWS_ENDPOINT_URL_LAMBDA": self.endpoint,
        }

    def upload(self, key: str, data: bytes) -> str:
        """Put a file into the bucket of deployments, and return its address."""
        s3 = self.client("s3")
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[Emulator]:
    """Start it all in a new network, and move this thread there until it is over."""
    command = ministack()
    with island(), _process("redis", _redis(folder), folder, 6379, {}):
        env = {"BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "AUTH": "true", "TMPDIR": str(folder)}
        env |= {"MINISTACK_REGION": REGION, "LOG_LEVEL": "INFO", "S3_DATA_DIR": str(folder / "s3")}
        with _process("ministack", [str(command)], folder, 4566, env) as log, _Credentials() as credentials:
            made = Emulator(log, credentials)
            try:
                yield made
            finally:
                made.close()


def _redis(folder: Path) -> list[str]:
    return [_binary(), "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]


@contextlib.contextmanager
def _process(name: str, command: list[str], folder: Path, port: int, env: Mapping[str, str]) -> Iterator[Path]:
    log = folder / f"{name}.log"
    around = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=around | dict(env), cwd=folder, stdout=file, stderr=file)
    try:
        _listening(port, process, log)
        yield log
    finally:
        process.terminate()
        process.wait(30)


def _listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.05)
        else:
            return


class _Credentials:
    """The address where ECS hands out credentials: one path a task."""

    def __init__(self) -> None:
        documents = self._documents = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document = documents.get(self.path)
                self.send_response(200 if document else 404)
                self.end_headers()
                self.wfile.write(json.dumps(document or {}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((ECS_ADDRESS, 80), Handler)

    def hand_out(self, document: dict[str, str]) -> str:
        path = f"/v2/credentials/{len(self._documents)}"
        self._documents[path] = document
        return path

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
