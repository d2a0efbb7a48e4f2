"""A function URL on loopback: who signs as AWS would have it, and may, invokes a function in AWS's own runtime.

The function is the template's own: its inline code, as the local Lambda service runs it. What this stands for is
the front that AWS has: the signature (botocore's, asked the other way round), the event of payload format 2.0, and
the way back. Requests are encoded anew before they are verified, as AWS does: a client that leaves a letter as it
is, where AWS would not, is refused.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl

import boto3
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sidelamb_local.intrinsics import TemplateLoader
from sidelamb_local.scaffold import template
from tests.web.stand import Served

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

REGION = "eu-west-1"
TEXTS = re.compile(r"text/|application/(json|javascript|xml)")
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/(\w+)/aws4_request, "
    r"SignedHeaders=([\w;-]+), Signature=(\w+)"
)


@dataclass(frozen=True)
class Key:
    """Somebody's keys."""

    arn: str
    may: bool = True
    is_old: bool = False
    secret: str = "s3cr3t/" + "k" * 33
    token: str = "session+token/="

    def credentials(self, name: str) -> Credentials:
        return Credentials(name, self.secret, self.token)


KEYS = {
    "AKIAANNA": Key("arn:aws:sts::123456789012:assumed-role/ops/anna"),
    "AKIABEN": Key("arn:aws:iam::123456789012:user/ben", may=False),
    "AKIAOLD": Key("arn:aws:sts::123456789012:assumed-role/ops/old", is_old=True),
}


class Lambda:
    """The template's web function, in the local Lambda service: a process, and its sandboxes."""

    def __init__(self, folder: Path, redis_url: str, **environment: str) -> None:
        self.log = folder / "lambda.log"
        said = yaml.load(template(), TemplateLoader)["Resources"]["WebFunction"]["Properties"]
        (folder / "index.py").write_text(said["InlineCode"])
        variables = {"SIDELAMB_REDIS_URL": redis_url, **environment}
        kept = {name: said[name] for name in ("Handler", "Timeout", "MemorySize")}
        function = {
            "CodeUri": ".",
            "Environment": {"Variables": variables},
        }
        one = {"Type": "AWS::Serverless::Function", "Properties": kept | function}
        (folder / "template.yaml").write_text(json.dumps({"Resources": {"Web": one}}))
        command = [sys.executable, "-m", "sidelamb_local.service", "--template", str(folder / "template.yaml")]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        self._out = self._process.stdout
        self.endpoint = self._out.readline().decode().split()[1]
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": REGION}
        config = Config(retries={"total_max_attempts": 1})
        self._client = boto3.client("lambda", endpoint_url=self.endpoint, config=config, **keys)

    def invoke(self, event: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Return the answer and the end of the log."""
        said = self._client.invoke(FunctionName="Web", Payload=json.dumps(event), LogType="Tail")
        answer = json.loads(said["Payload"].read())
        log = base64.b64decode(said["LogResult"]).decode()
        return ({} if "FunctionError" in said else answer), log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)
        self._out.close()


@dataclass
class Front:
    """What AWS has in front of a function with a URL."""

    function: Lambda
    events: list[dict[str, Any]] = field(default_factory=list)
    """What has been asked for."""
    logs: list[str] = field(default_factory=list)

    def served(self) -> Served:
        """Serve it."""
        return Served(Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT"])]))

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        who = _verified(request, body)
        if isinstance(who, Response):
            return who
        event = _event(request, body, who)
        self.events.append(event)
        said, log = await run_in_threadpool(self.function.invoke, event)
        self.logs.append(log)
        if "statusCode" not in said:
            return Response("Internal Server Error", 502, {"x-amzn-errortype": "InternalServerErrorException"})
        content = base64.b64decode(said["body"]) if said["isBase64Encoded"] else said["body"].encode()
        answer = Response(content, said["statusCode"], said["headers"])
        for cookie in said.get("cookies", []):
            answer.headers.append("set-cookie", cookie)
        return answer


def _verified(request: Request, body: bytes) -> Key | Response:
    """Return whose signature it is, or AWS's refusal."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return _refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    name, date, region, service, names, signature = found.groups()
    key, stamp = KEYS.get(name), request.headers["x-amz-date"]
    if key is None or request.headers["x-amz-security-token"] != key.token:
        return _refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    signed = {one: request.headers[one] for one in names.split(";")}
    again = AWSRequest(request.method, str(request.url).partition("?")[0], signed, body)
    again.params = parse_qsl(request.url.query, keep_blank_values=True)
    again.context["timestamp"] = stamp
    signer = SigV4Auth(key.credentials(name), "lambda", REGION)
    canonical = signer.canonical_request(again)
    late = dt.datetime.now(dt.UTC) - dt.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    if (
        {"host", "x-amz-date", "x-amz-security-token"} - signed.keys()
        or (date, region, service) != (stamp[:8], REGION, "lambda")
        or abs(late) > dt.timedelta(minutes=5)
        or signer.signature(signer.string_to_sign(again, canonical), again) != signature
    ):
        return _refused("InvalidSignatureException", "The request signature we calculated does not match.")
    if key.is_old:
        return _refused("ExpiredTokenException", "The security token included in the request is expired")
    if not key.may:
        return _refused("AccessDeniedException", "Forbidden. For troubleshooting … see: https://docs…")
    return key


def _refused(kind: str, message: str) -> Response:
    return JSONResponse({"Message": message}, 403, {"x-amzn-ErrorType": kind})


def _event(request: Request, body: bytes, key: Key) -> dict[str, Any]:
    """Return the event of payload format 2.0: bodies that are no text come in Base64, and forms are none."""
    headers = {k: v for k, v in request.headers.items() if k not in {"cookie", "authorization", "connection"}}
    headers |= {"x-forwarded-proto": "https", "x-forwarded-port": "443", "x-forwarded-for": "203.0.113.7"}
    cookies = [one.strip() for one in request.headers.get("cookie", "").split(";") if one]
    is_text = bool(TEXTS.match(request.headers.get("content-type", "")))
    said = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.url.path,
        "rawQueryString": request.url.query,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "authentication": None,
            "authorizer": {"iam": {"accountId": "123456789012", "cognitoIdentity": None, "userArn": key.arn}},
            "domainName": request.url.hostname,
            "http": {
                "method": request.method,
                "path": request.url.path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": "id",
            "stage": "$default",
        },
        "isBase64Encoded": bool(body) and not is_text,
    }
    if cookies:
        said["cookies"] = cookies
    if body:
        said["body"] = body.decode() if is_text else base64.b64encode(body).decode()
    return said
