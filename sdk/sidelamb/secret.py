"""What is kept in AWS Secrets Manager: wherever a Redis URL, or SIDELAMB_KEYS, is said, a secret's ARN may stand.

    SIDELAMB_REDIS_URL=arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-redis-AbCdEf

The whole text of the secret is the value. It is fetched once, when the process first needs it: one signed HTTPS
request, made with the standard library, so that neither producers nor workers import botocore for it. What is
in the secret is never in an error.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sidelamb.awskeys import find_keys, signature
from sidelamb.errors import ConfigError

if TYPE_CHECKING:
    from sidelamb.awskeys import AwsKeys

__all__ = ["text_in", "url_in"]

TIMEOUT_S = 3.0
"""Of one try. Lambda gives a cold start ten seconds in all."""
TRIES = 2
"""What was throttled, or found nobody, is tried once more: reading is safe to repeat."""

_ARN = re.compile(r"arn:(aws[a-z-]*):secretsmanager:([a-z0-9-]+):\d{12}:secret:[A-Za-z0-9/_+=.@-]+\Z")
_URL = re.compile(r"(rediss?(\+cluster|\+sentinel)?|unix)://")
_KIND = "application/x-amz-json-1.1"
_TARGET = "secretsmanager.GetSecretValue"
_SERVER_ERROR = 500


def url_in(arn: str) -> str:
    """Return the URL that a secret holds.

    Raises:
        ConfigError: as `text_in`, or it holds something else.
    """
    url = text_in(arn)
    if not _URL.match(url):
        raise ConfigError(
            f"the secret {arn} holds no Redis URL; its whole text must be one, like "
            "rediss://user:password@host:6379/0"
        )
    return url


@functools.cache
def text_in(arn: str) -> str:
    """Return the text that a secret holds, without blanks around it.

    Raises:
        ConfigError: it is no secret's ARN, or the secret cannot be had.
    """
    found = _ARN.match(arn)
    if not found:
        raise ConfigError(
            f"{arn!r} is not the ARN of a secret; write arn:aws:secretsmanager:<region>:<account>:secret:<name>"
        )
    partition, region = found.groups()
    answer = _asked(arn, region, _endpoint(partition, region))
    return str(answer.get("SecretString") or "").strip()


def _endpoint(partition: str, region: str) -> str:
    """Return where Secrets Manager is, by the variables that all of AWS's tools have, or by the region."""
    said = os.environ.get("AWS_ENDPOINT_URL_SECRETS_MANAGER") or os.environ.get("AWS_ENDPOINT_URL")
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    return (said or f"https://secretsmanager.{region}.{suffix}").rstrip("/")


def _asked(arn: str, region: str, endpoint: str) -> dict[str, object]:
    """Return Secrets Manager's answer."""
    body = json.dumps({"SecretId": arn}).encode()
    for last in [False] * (TRIES - 1) + [True]:
        headers = signed(endpoint, body, region, find_keys(), dt.datetime.now(dt.UTC))
        request = urllib.request.Request(endpoint + "/", body, headers)  # noqa: S310 - AWS's own variable, or https
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                said = json.load(answer)
            return said if isinstance(said, dict) else {}
        except urllib.error.HTTPError as error:
            kind, why = _refusal(error)
            if last or not (error.code >= _SERVER_ERROR or "Throttling" in kind):
                raise ConfigError(
                    f"the secret {arn} cannot be had: {kind}: {why}; see that this role may "
                    "secretsmanager:GetSecretValue on it, and use its key"
                ) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            if last:
                why = str(getattr(error, "reason", "") or error) or type(error).__name__
                raise ConfigError(
                    f"the secret {arn} cannot be had: {endpoint} does not answer: {why}; out of a VPC it is "
                    "reached by an endpoint for Secrets Manager or a NAT gateway only (docs/network.md)"
                ) from None
    raise AssertionError  # the last try returns or raises


def signed(endpoint: str, body: bytes, region: str, keys: AwsKeys, now: dt.datetime) -> dict[str, str]:
    """Return the headers of the request, with AWS's signature (version 4) among them."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/secretsmanager/aws4_request"
    headers = {
        "content-type": _KIND,
        "host": urlsplit(endpoint).netloc,
        "x-amz-date": stamp,
        "x-amz-security-token": keys.session_token,
        "x-amz-target": _TARGET,
    }
    headers = {name: value for name, value in headers.items() if value}
    names, lines = ";".join(headers), "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    who = f"Credential={keys.access_key}/{scope}, SignedHeaders={names}"
    proof = signature(request, stamp, scope, keys)
    return headers | {"authorization": f"AWS4-HMAC-SHA256 {who}, Signature={proof}"}


def _refusal(error: urllib.error.HTTPError) -> tuple[str, str]:
    """Return the name and the words of AWS's refusal."""
    try:
        said = json.load(error)
        kind = str(said.get("__type", error.code)).rpartition("#")[2]
        return kind, str(said.get("message") or said.get("Message") or error.reason)
    except (OSError, ValueError, AttributeError):
        return str(error.code), str(error.reason)
