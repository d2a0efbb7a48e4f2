"""The local Lambda service with a bare function in it, and the least client that can invoke it."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sidelamb_local.guard import Guard
from sidelamb_local.lambda_child import LambdaChild

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Caller", "EchoService"]

CODE = Path(__file__).resolve().parent / "echo"
FUNCTION = "echo"
ANSWER = {"ok": True}
TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Echo:
    Type: AWS::Serverless::Function
    Properties: {{FunctionName: echo, Runtime: python3.13, CodeUri: {code}, Handler: echo.handler, Timeout: 60}}
"""


class EchoService:
    """The service, running."""

    def __init__(self, folder: Path, *, concurrency: int, env: Mapping[str, str] | None = None) -> None:
        template = folder / "template.yaml"
        template.write_text(TEMPLATE.format(code=CODE))
        self._guard = Guard()
        self._child = LambdaChild(
            on_line=lambda _function, _line: None, on_trouble=lambda _line: None, on_reload=lambda: None
        )
        self._child.start(
            template, guard=self._guard, cwd=folder, port=0, concurrency=concurrency, env=dict(env or {})
        )
        self.url = self._child.endpoint_url

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()
        self._guard.close()


class Caller:
    """One kept-alive connection; each request is signed as Lambda wants it."""

    def __init__(self, url: str, expected: object = ANSWER) -> None:
        parts = urlsplit(url)
        self._url = f"{url}/2015-03-31/functions/{FUNCTION}/invocations"
        self._path = urlsplit(self._url).path
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port)
        self._expected = expected
        self._signer = SigV4Auth(Credentials("local", "local"), "lambda", "us-east-1")

    def call(self, event: bytes = b"{}") -> None:
        """Invoke once.

        Raises:
            SystemExit: the service refused.
        """
        request = AWSRequest("POST", self._url, {"Content-Type": "application/json"}, event)
        self._signer.add_auth(request)
        self._http.request("POST", self._path, event, dict(request.headers))
        answer = self._http.getresponse()
        body = answer.read()
        if answer.status != http.client.OK or json.loads(body) != self._expected:
            raise SystemExit(f"bench: the echo function answered {answer.status}: {body[:200]!r}")
