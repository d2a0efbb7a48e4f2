"""Logging in to ElastiCache by IAM: the password is a signed URL, made anew for each connection.

The signature (AWS's version 4, of a GET that is never sent) is made here, so that neither producers nor
workers import botocore. The keys are those that this process finds (`sidelamb.awskeys`). Where there are none,
pass a function that returns them, and the client:

    login = ElastiCacheIam("app", "my-cache", credentials=my_function)
    configure(redis=redis.Redis(host=…, ssl=True, credential_provider=login))
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from redis.credentials import CredentialProvider

from sidelamb.awskeys import AwsKeys, find_keys, signature
from sidelamb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AwsKeys", "ElastiCacheIam", "find_keys", "token"]

VALID_S = 900
"""ElastiCache takes a token for a quarter of an hour."""
_NAME = re.compile(r"[a-z][a-z0-9-]*\Z")


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
    return f"{cache}/?{written}&X-Amz-Signature={signature(request, stamp, scope, keys)}"
