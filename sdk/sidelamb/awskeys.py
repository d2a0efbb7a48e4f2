"""The keys of AWS that this process has, and what they sign, without botocore.

They come from the environment, as in Lambda, or from the address that ECS, EKS Pod Identity and SnapStart name
there. Profiles, SSO and EC2's instance roles are botocore's trade.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import hmac
import json
import os
import threading
import urllib.request
from pathlib import Path
from typing import NamedTuple

from sidelamb.errors import ConfigError

__all__ = ["AwsKeys", "find_keys", "signature"]

ASK_TIMEOUT_S = 2.0
RENEW_BEFORE = dt.timedelta(minutes=5)

_CONTAINER = "http://169.254.170.2"


class AwsKeys(NamedTuple):
    """Credentials of AWS."""

    access_key: str
    secret_key: str
    session_token: str = ""
    expires: dt.datetime | None = None


def signature(request: str, stamp: str, scope: str, keys: AwsKeys) -> str:
    """Return AWS's signature, version 4, of a canonical request.

    Args:
        request: the canonical request.
        stamp: its time, like 20260304T050607Z.
        scope: date, region, service and aws4_request, with slashes between.
        keys: whose.
    """
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.digest(_day_key(keys.secret_key, scope), to_sign.encode(), "sha256").hex()


@functools.lru_cache(8)
def _day_key(secret: str, scope: str) -> bytes:
    """Return what signs all of a scope; it is good for a day."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


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
            "a login by IAM, or a Redis URL that is kept in a secret, needs AWS credentials: none are in the "
            "environment, and no container gives any; docs/redis.md says what to do then"
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
