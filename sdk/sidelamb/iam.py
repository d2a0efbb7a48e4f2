"""Logging in to ElastiCache by IAM: the password is a signed URL, made anew for each connection.

The signature (AWS's version 4, of a GET that is never sent) is made here, so that neither producers nor
workers import botocore. The keys come from the environment, as in Lambda, or from the address that ECS, EKS
Pod Identity and SnapStart name there. Where neither is, pass a function that returns them, and the client:

    login = ElastiCacheIam("app", "my-cache", credentials=my_function)
    configure(redis=redis.Redis(host=…, ssl=True, credential_provider=login))
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import re
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from redis.credentials import CredentialProvider

from sidelamb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AwsKeys", "ElastiCacheIam", "find_keys", "token"]

VALID_S = 900
"""ElastiCache takes a token for a quarter of an hour."""
ASK_TIMEOUT_S = 2.0
RENEW_BEFORE = dt.timedelta(minutes=5)

_NAME = re.compile(r"[a-z][a-z0-9-]*\Z")
_CONTAINER = "http://169.254.170.2"


class AwsKeys(NamedTuple):
    """Credentials of AWS."""

    access_key: str
    secret_key: str
    session_token: str = ""
    expires: dt.datetime | None = None


class ElastiCacheIam(CredentialProvider):
    """Gives redis-py user and password for ElastiCache.

    Args:
        user: of ElastiCache, with IAM as its way to log in; its id and name are the same.
        cache: id of the replication group, or name of the serverless cache.
        region: default AWS_REGION or AWS_DEFAULT_REGION.
        serverless: whether it is a serverless cache.
        credentials: returns the keys of AWS, at each login; default `find_keys`.

    Raises:
        ConfigError: a name cannot be, or no region is set.
    """

    def __init__(
        self,
        user: str,
        cache: str,
        *,
        region: str = "",
        serverless: bool = False,
        credentials: Callable[[], AwsKeys] | None = None,
    ) -> None:
        region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
        if not user:
            raise ConfigError("a login by IAM needs the user's name: rediss://user@host:6379/0?iam=my-cache")
        if not _NAME.match(cache):
            raise ConfigError(f"iam is {cache!r}; expected the cache's own name, in lower case, like my-cache")
        if not region:
            raise ConfigError("a login by IAM needs a region: set AWS_REGION, or iam_region in the Redis URL")
        self._user, self._cache, self._region, self._serverless = user, cache, region, serverless
        self._credentials = credentials or find_keys

    def get_credentials(self) -> tuple[str, str]:
        """Return user and password."""
        password = token(
            self._user,
            self._cache,
            self._region,
            self._credentials(),
            dt.datetime.now(dt.UTC),
            serverless=self._serverless,
        )
        return self._user, password

    async def get_credentials_async(self) -> tuple[str, str]:
        """Return user and password."""
        import asyncio  # noqa: PLC0415 - only async code needs it

        return await asyncio.to_thread(self.get_credentials)  # it may have to ask for the keys


def token(user: str, cache: str, region: str, keys: AwsKeys, now: dt.datetime, *, serverless: bool = False) -> str:
    """Return the password: a presigned URL without its scheme."""
    date, stamp = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date}/{region}/elasticache/aws4_request"
    query = {"Action": "connect", "User": user}
    if serverless:
        query["ResourceType"] = "ServerlessCache"
    query |= {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(VALID_S),
        "X-Amz-SignedHeaders": "host",
    }
    if keys.session_token:
        query["X-Amz-Security-Token"] = keys.session_token
    written = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
    request = f"GET\n/\n{written}\nhost:{cache}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret_key}".encode()
    for part in (date, region, "elasticache", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return f"{cache}/?{written}&X-Amz-Signature={signature}"


def find_keys() -> AwsKeys:
    """Return the keys that the environment has, or that the address named there gives.

    Raises:
        ConfigError: there are none.
    """
    env = os.environ
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        return AwsKeys(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env.get("AWS_SESSION_TOKEN", ""))
    relative = env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    address = _CONTAINER + relative if relative else env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not address:
        raise ConfigError(
            "a login by IAM needs AWS credentials: none are in the environment, and no container gives any; "
            "docs/redis.md says how to pass your own"
        )
    return _given.at(address)


class _Given:
    """Keys that a container was given, until shortly before they expire."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._address = ""
        self._keys: AwsKeys | None = None

    def at(self, address: str) -> AwsKeys:
        """Return the keys that `address` gives."""
        with self._lock:
            keys = self._keys
            if keys is None or self._address != address or _is_ending(keys):
                keys = self._keys = _ask(address)
                self._address = address
            return keys


_given = _Given()


def _is_ending(keys: AwsKeys) -> bool:
    return keys.expires is not None and dt.datetime.now(dt.UTC) > keys.expires - RENEW_BEFORE


def _ask(address: str) -> AwsKeys:
    headers = {}
    file = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    secret = Path(file).read_text().strip() if file else os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if secret:
        headers["Authorization"] = secret
    try:
        request = urllib.request.Request(address, headers=headers)  # noqa: S310 - AWS's own variable
        with urllib.request.urlopen(request, timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310
            said = json.load(answer)
        expires = dt.datetime.fromisoformat(said["Expiration"]) if said.get("Expiration") else None
        return AwsKeys(said["AccessKeyId"], said["SecretAccessKey"], said.get("Token", ""), expires)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"AWS credentials cannot be had from {address}: {error!r}") from error
