"""Each signature is the one that botocore makes."""

from __future__ import annotations

import datetime as dt
from unittest import mock

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from sidelamb_handlers.poller.signer import Signer

NOW = dt.datetime(2026, 11, 26, 3, 4, 5, tzinfo=dt.UTC)
PATH = "/2015-03-31/functions/{}/invocations"
KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "secret/+=", None)


def botocores(url: str, body: bytes, keys: ReadOnlyCredentials) -> str:
    request = AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
    with mock.patch.object(auth, "get_current_datetime", return_value=NOW):
        auth.SigV4Auth(keys, "lambda", "eu-west-1").add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize(
    "endpoint", ["https://lambda.eu-west-1.amazonaws.com", "http://127.0.0.1:4566", "https://h:443"]
)
@pytest.mark.parametrize(
    "function", ["shop-worker", "shop-worker%3Alive", "arn%3Aaws%3Alambda%3Aeu%3A1%3Afunction%3Aa_b"]
)
@pytest.mark.parametrize("body", [b"{}", b'{"jobs":[{"x":"\xc3\xa9"}]}', b"x" * 100_000])
@pytest.mark.parametrize("keys", [KEYS, KEYS._replace(token="to/ken==")])
def test_it_is_botocores(endpoint, function, body, keys):
    path = PATH.format(function)
    headers = Signer(endpoint, "eu-west-1").headers(path, body, keys, NOW.timestamp())
    assert headers["authorization"] == botocores(endpoint + path, body, keys)
    assert headers["x-amz-date"] == "20261126T030405Z"
    assert headers.get("x-amz-security-token") == keys.token
