# ruff: noqa: INP001
"""Starts the poller on a stock Python image: fetches its bundle, checks it, runs it.

The bundle is a Lambda layer, because `sam build` and `sam deploy` make and upload one like any other code: each
version stays as it is, and Lambda gives a link to it and its SHA-256. Standard library only: no package index is
asked for anything. The template carries this text in the task's command. What goes wrong ends it with a sentence,
and ECS tries again.

    SIDELAMB_BUNDLE           the layer version's ARN
    SIDELAMB_HOME             a folder of its own that it can write: /opt/sidelamb
    SIDELAMB_ALIVE_FILE       what the poller touches while its loop turns
    AWS_ENDPOINT_URL_LAMBDA   where Lambda's API is, if not at the region's usual address
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import os
import sys
import time
import zipfile
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

CREDENTIALS = "http://169.254.170.2"
"""Where ECS hands a task the credentials of its role."""
NOBODY = 65534
WAIT_S = 30


def get(url: str, headers: dict[str, str] | None = None) -> bytes:
    """Return what is at an address; end with a sentence if it cannot be had."""
    try:
        with urlopen(Request(url, headers=headers or {}), timeout=WAIT_S) as answer:  # noqa: S310 - ours and AWS's
            return bytes(answer.read())
    except HTTPError as error:
        said = f"{error.code} {error.read(500).decode(errors='replace')}"
    except OSError as error:
        said = str(getattr(error, "reason", error))
    sys.exit(f"sidelamb: {url.partition('?')[0]}: {said}; see that the task's subnets and role let it get there")


def signed(url: str, keys: dict[str, str], region: str, now: float) -> dict[str, str]:
    """Return the headers that sign a GET of Lambda's API (Signature Version 4)."""
    parts, stamp = urlsplit(url), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    headers = {"host": parts.netloc, "x-amz-date": stamp, "x-amz-security-token": keys["Token"]}
    names, lines = ";".join(headers), "".join(f"{name}:{value}\n" for name, value in headers.items())
    asked = "\n".join(["GET", parts.path, parts.query, lines, names, hashlib.sha256().hexdigest()])
    scope = f"{stamp[:8]}/{region}/lambda/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(asked.encode()).hexdigest()])
    key = f"AWS4{keys['SecretAccessKey']}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    who = f"Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={names}"
    proof = hmac.digest(key, text.encode(), "sha256").hex()
    return headers | {"authorization": f"AWS4-HMAC-SHA256 {who}, Signature={proof}"}


def bundle(arn: str, region: str) -> bytes:
    """Return the layer version's zip file, whole and as Lambda has it."""
    api = os.environ.get("AWS_ENDPOINT_URL_LAMBDA") or f"https://lambda.{region}.amazonaws.com"
    name, version = arn.split(":")[-2:]
    url = f"{api.rstrip('/')}/2018-10-31/layers/{name}/versions/{version}"
    keys = json.loads(get(CREDENTIALS + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]))
    content = json.loads(get(url, signed(url, keys, region, time.time())))["Content"]
    data = get(content["Location"])
    if base64.b64encode(hashlib.sha256(data).digest()).decode() != content["CodeSha256"]:
        sys.exit(f"sidelamb: {arn}: the {len(data)} bytes that came are not the bundle: their SHA-256 differs")
    return data


def main() -> None:
    """Become the poller, as nobody."""
    home = Path(os.environ.get("SIDELAMB_HOME", "/opt/sidelamb"))
    with zipfile.ZipFile(io.BytesIO(bundle(os.environ["SIDELAMB_BUNDLE"], os.environ["AWS_REGION"]))) as files:
        files.extractall(home)
    alive = Path(os.environ.setdefault("SIDELAMB_ALIVE_FILE", str(home / "alive")))
    alive.touch()
    if os.getuid() == 0:
        os.chown(alive, NOBODY, NOBODY)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.environ["PYTHONPATH"] = str(home / "python")
    os.execv(sys.executable, [sys.executable, "-m", "sidelamb_handlers.poller"])  # noqa: S606


if __name__ == "__main__":
    main()
