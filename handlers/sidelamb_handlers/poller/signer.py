"""Signs invocations, by Signature Version 4.

botocore's signer takes any request of any service apart, which is most of what an invocation would cost; a test
holds each signature to its.

Pure: the clock is an argument.
"""

from __future__ import annotations

import functools
import hashlib
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from sidelamb.awskeys import AwsKeys, signature

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

__all__ = ["Signer"]


class Signer:
    """Signs POSTs of JSON to one endpoint.

    Args:
        endpoint: its address.
        region: of AWS.
    """

    def __init__(self, endpoint: str, region: str) -> None:
        parts = urlsplit(endpoint)
        usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
        self._host = parts.netloc.removesuffix(usual)
        self._region = region

    def headers(self, path: str, body: bytes, keys: ReadOnlyCredentials, now: float) -> dict[str, str]:
        """Return the headers of a request at epoch s `now`; `path` is quoted as it is sent."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        signed = {"content-type": "application/json", "host": self._host, "x-amz-date": stamp}
        if keys.token:
            signed["x-amz-security-token"] = keys.token
        names, lines = ";".join(signed), "".join([f"{name}:{value}\n" for name, value in signed.items()])
        asked = f"POST\n{_quoted_again(path)}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{stamp[:8]}/{self._region}/lambda/aws4_request"
        proof = signature(asked, stamp, scope, AwsKeys(keys.access_key, keys.secret_key))
        who = f"Credential={keys.access_key}/{scope}"
        return signed | {"authorization": f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={proof}"}


@functools.lru_cache(256)
def _quoted_again(path: str) -> str:
    """What was quoted to be sent is quoted once more to be signed."""
    return quote(path, safe="/-_.~")
