"""A Redis URL in AWS Secrets Manager: asked for once, with AWS's own signature, and never told in an error."""

from __future__ import annotations

import base64
import datetime as dt
import http.server
import json
import secrets
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sidelamb import Client, ConfigError, secret, settings
from sidelamb.awskeys import AwsKeys
from sidelamb.seal import opened, seal
from sidelamb.target import target_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/redis-AbCdEf"
NOW = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
PLAIN = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
OF_A_ROLE = PLAIN._replace(session_token="IQoJb3JpZ2luX2VjE//+=/ab==")
PASSWORD = "hunter2"


class Manager:
    """Secrets Manager's side: the answers that it gives, one a request, and what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        manager = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                manager.asked.append(({n.lower(): v for n, v in self.headers.items()}, json.loads(body)))
                status, said = manager.answers.pop(0)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(said.encode() if isinstance(said, str) else json.dumps(said).encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def holds(self, text: str) -> None:
        self.answers.append((200, {"ARN": ARN, "SecretString": text}))

    def refuses(self, kind: str, why: str, status: int = 400) -> None:
        self.answers.append((status, {"__type": f"com.amazonaws#{kind}", "message": why}))


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    secret.text_in.cache_clear()
    yield
    secret.text_in.cache_clear()


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    made = Manager()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", made.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", OF_A_ROLE.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", OF_A_ROLE.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", OF_A_ROLE.session_token)
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def refused() -> str:
    """The one line of an error."""
    with pytest.raises(ConfigError) as caught:
        target_of(ARN)
    said = str(caught.value)
    assert "\n" not in said
    assert PASSWORD not in said
    return said


# --- the request ---


@pytest.mark.parametrize("keys", [PLAIN, OF_A_ROLE], ids=["user", "role"])
def test_the_signature_is_botocores(monkeypatch: pytest.MonkeyPatch, keys: AwsKeys) -> None:
    import botocore.auth

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None))
    endpoint, body = "https://secretsmanager.eu-west-1.amazonaws.com", json.dumps({"SecretId": ARN}).encode()
    ours = secret.signed(endpoint, body, "eu-west-1", keys, NOW)
    unsigned = {name: ours[name] for name in ("content-type", "x-amz-target")}
    theirs = AWSRequest("POST", endpoint + "/", headers=unsigned, data=body)
    who = Credentials(keys.access_key, keys.secret_key, keys.session_token or None)
    SigV4Auth(who, "secretsmanager", "eu-west-1").add_auth(theirs)
    assert ours["authorization"] == theirs.headers["Authorization"]
    assert ours["x-amz-date"] == theirs.headers["X-Amz-Date"]


def test_it_asks_for_exactly_this_secret_and_once_a_process(manager: Manager) -> None:
    manager.holds(f"rediss://app:{PASSWORD}@cache.example:6380/0")
    assert [str(target_of(ARN)) for _ in range(3)] == ["cache.example:6380"] * 3
    ((headers, body),) = manager.asked
    assert body == {"SecretId": ARN}
    assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert headers["x-amz-security-token"] == OF_A_ROLE.session_token
    assert "/eu-west-1/secretsmanager/aws4_request" in headers["authorization"]


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-west-1", "secretsmanager.eu-west-1.amazonaws.com"),
        ("aws-us-gov", "us-gov-west-1", "secretsmanager.us-gov-west-1.amazonaws.com"),
        ("aws-cn", "cn-north-1", "secretsmanager.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_it_is_asked_for_where_its_arn_says(
    partition: str, region: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    assert secret._endpoint(partition, region) == f"https://{host}"


def test_jobs_get_through(manager: Manager, redis_url: str) -> None:
    manager.holds(redis_url + "\n")
    client = Client(ARN)
    assert client.enqueue("work", 1)
    client.close()


def test_keys_of_encryption_may_be_in_a_secret_too(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    key = secrets.token_bytes(32)
    manager.holds(f"k1:{base64.b64encode(key).decode()}\n")
    monkeypatch.setattr(settings._State, "settings", settings.Settings())
    monkeypatch.setenv("SIDELAMB_KEYS", ARN)
    sealed = {"class": "pay", "jid": "1", "args": ["4111"]}
    seal(sealed)
    assert "4111" not in str(sealed)
    assert opened(sealed) == (["4111"], {})
    assert len(manager.asked) == 1


def test_a_key_that_is_not_known_has_the_secret_read_once_more_and_not_at_each_job(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    monkeypatch.setattr(settings._State, "settings", settings.Settings())
    monkeypatch.setattr("sidelamb.seal._Secret.again_at", 0.0)
    monkeypatch.setenv("SIDELAMB_KEYS", f"k2:{new}")
    sealed = {"class": "pay", "jid": "1", "args": ["4111"]}
    seal(sealed)
    monkeypatch.setenv("SIDELAMB_KEYS", ARN)
    manager.holds(f"k1:{old}")
    manager.holds(f"k2:{new},k1:{old}")
    assert opened(sealed) == (["4111"], {})
    with pytest.raises(ConfigError, match="the key 'k3', which is not here"):
        opened({**sealed, "sealed": "k3"})
    assert len(manager.asked) == 2


def test_a_key_without_an_id_is_not_told(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    manager.holds(key)
    monkeypatch.setattr(settings._State, "settings", settings.Settings())
    monkeypatch.setenv("SIDELAMB_KEYS", ARN)
    with pytest.raises(ConfigError, match="a key has no id") as caught:
        seal({"class": "pay", "jid": "1", "args": ["4111"]})
    assert ARN in str(caught.value)
    assert key[:20] not in str(caught.value)


def test_no_botocore_is_loaded_for_it() -> None:
    code = (
        "import sys, datetime as d, sidelamb.secret as s; from sidelamb.awskeys import AwsKeys;"
        "s.signed('https://a', b'', 'r', AwsKeys('a', 'b'), d.datetime.now(d.UTC));"
        "assert not any(m.startswith(('botocore', 'boto3')) for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- when it cannot be had ---


def test_who_may_not_read_it_is_told_what_is_missing(manager: Manager) -> None:
    manager.refuses("AccessDeniedException", "User: arn:aws:sts::1:assumed-role/w/w is not authorized")
    said = refused()
    assert "AccessDeniedException: User: arn:aws:sts::1:assumed-role/w/w is not authorized" in said
    assert "secretsmanager:GetSecretValue" in said
    assert len(manager.asked) == 1


def test_what_was_throttled_or_broken_is_tried_once_more(manager: Manager) -> None:
    manager.refuses("ThrottlingException", "Rate exceeded")
    manager.holds("redis://cache.example")
    assert str(target_of(ARN)) == "cache.example:6379"
    secret.text_in.cache_clear()
    manager.answers += [(500, "oops"), (503, "still")]
    assert "cannot be had: 503" in refused()
    assert len(manager.asked) == 4


def test_nobody_there_names_the_endpoint_and_the_way_out_of_a_vpc(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
    said = refused()
    assert "http://127.0.0.1:1 does not answer" in said
    assert "NAT gateway" in said


@pytest.mark.parametrize(
    "held", [f'{{"password": "{PASSWORD}"}}', PASSWORD, "", f"rediss://app:{PASSWORD}@cache:x", None]
)
def test_a_secret_that_holds_something_else_is_not_told(manager: Manager, held: str | None) -> None:
    manager.answers.append((200, {"SecretString": held}))
    assert "not a Redis URL" in (said := refused()) or "holds no Redis URL" in said


def test_what_could_not_be_had_is_asked_for_again(manager: Manager) -> None:
    manager.refuses("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    assert "ResourceNotFoundException" in refused()
    manager.holds("redis://cache.example")
    assert str(target_of(ARN)) == "cache.example:6379"


@pytest.mark.parametrize("said", ["arn:aws:s3:::bucket", "arn:aws:secretsmanager:eu-west-1:1:secret:a", "arn:"])
def test_an_arn_of_something_else_is_told(said: str) -> None:
    with pytest.raises(ConfigError, match="is not the ARN of a secret"):
        target_of(said)


def test_without_keys_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "CONTAINER_CREDENTIALS_FULL_URI", "CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    assert "a Redis URL that is kept in a secret, needs AWS credentials" in refused()
