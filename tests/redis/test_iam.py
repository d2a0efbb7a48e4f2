"""Logging in to ElastiCache by IAM: the token is what AWS's own signer makes, and no login gets too old."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.credentials import Credentials
from botocore.model import ServiceId
from botocore.session import Session
from botocore.signers import RequestSigner

from sidelamb import Client, ConfigError, awskeys, spares
from sidelamb.iam import AwsKeys, ElastiCacheIam, token
from sidelamb.target import target_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.redis.servers import Server

NOW = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
PLAIN = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
OF_A_ROLE = PLAIN._replace(session_token="IQoJb3JpZ2luX2VjE//+=/ab==")


def botocores(monkeypatch: pytest.MonkeyPatch, keys: AwsKeys, user: str, cache: str, *, serverless: bool) -> str:
    """What AWS documents: a URL presigned by botocore's signer, without its scheme."""
    import botocore.auth
    import botocore.compat

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None))
    session = Session()
    signer = RequestSigner(
        ServiceId("elasticache"),
        "eu-west-1",
        "elasticache",
        "v4",
        Credentials(keys.access_key, keys.secret_key, keys.session_token or None),
        session.get_component("event_emitter"),
    )
    query = {"Action": "connect", "User": user} | ({"ResourceType": "ServerlessCache"} if serverless else {})
    url = f"http://{cache}/?" + "&".join(f"{k}={v}" for k, v in query.items())
    request = {"method": "GET", "url": url, "body": {}, "headers": {}, "context": {}}
    signed: str = signer.generate_presigned_url(
        request, operation_name="connect", expires_in=900, region_name="eu-west-1"
    )
    return signed.removeprefix("http://")


def parts(url: str) -> tuple[str, list[str]]:
    host, _, query = url.partition("/?")
    return host, sorted(query.split("&"))


class TestTheToken:
    @pytest.mark.parametrize("keys", [PLAIN, OF_A_ROLE], ids=["user", "role"])
    @pytest.mark.parametrize("serverless", [False, True], ids=["cluster", "serverless"])
    def test_is_what_botocore_signs(
        self, monkeypatch: pytest.MonkeyPatch, keys: AwsKeys, serverless: bool
    ) -> None:
        expected = botocores(monkeypatch, keys, "app-user", "my-cache", serverless=serverless)
        ours = token("app-user", "my-cache", "eu-west-1", keys, NOW, serverless=serverless)
        assert parts(ours) == parts(expected)

    def test_is_made_without_botocore(self) -> None:
        import subprocess
        import sys

        code = (
            "import sys, sidelamb.iam as i, datetime as d;"
            "i.token('u', 'c', 'r', i.AwsKeys('a', 'b'), d.datetime.now(d.UTC));"
            "assert not any(m.startswith(('botocore', 'boto3')) for m in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestLogins:
    @pytest.fixture
    def url(self, tls: Server, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """A server whose user `app` takes any password, as a stand-in for ElastiCache's check of the token."""
        for name, value in zip(("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"), PLAIN, strict=False):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        ca = certificates / "ca.crt"
        import redis

        with redis.Redis(port=tls.port, ssl=True, ssl_ca_certs=str(ca)) as admin:
            admin.acl_setuser("app", enabled=True, nopass=True, keys=["*"], categories=["+@all"], reset=True)
            admin.acl_setuser("default", enabled=False)
        return f"rediss://app@127.0.0.1:{tls.port}/0?ssl_ca_certs={ca}&iam=my-cache"

    async def test_jobs_get_through(self, url: str) -> None:
        client = Client(url)
        assert client.enqueue("work", 1)
        assert await client.aenqueue("work", 2)
        await client.aclose()

    async def test_a_connection_is_opened_anew_before_twelve_hours(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert spares.OLD_AFTER_S < 12 * 3_600
        logins: list[Any] = []
        real = ElastiCacheIam.get_credentials
        monkeypatch.setattr(ElastiCacheIam, "get_credentials", lambda self: logins.append(1) or real(self))
        client = Client(url)
        for _ in range(3):
            client.enqueue("work", 1)
            await client.aenqueue("work", 1)
        assert len(logins) == 2
        monkeypatch.setattr(spares, "OLD_AFTER_S", 0.0)
        client.enqueue("work", 1)
        await client.aenqueue("work", 1)
        assert len(logins) == 4
        await client.aclose()


class TestKeys:
    @pytest.fixture
    def container(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
        """The address where ECS gives credentials, and what was asked there."""
        seen: dict[str, Any] = {"asked": 0, "expires": "2036-01-01T00:00:00Z"}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen["asked"] += 1
                seen["secret"] = self.headers["Authorization"]
                said = {"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": seen["expires"]}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            monkeypatch.delenv(name, raising=False)
        address = f"http://127.0.0.1:{server.server_port}/creds"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
        monkeypatch.setattr(awskeys, "_given", awskeys._Given())
        yield seen
        server.shutdown()
        thread.join()
        server.server_close()

    def test_of_a_container_are_asked_for_once_while_they_last(
        self, container: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "secret").write_text("pod-identity\n")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "secret"))
        assert [awskeys.find_keys()[:3] for _ in range(3)] == [("A", "S", "T")] * 3
        assert (container["asked"], container["secret"]) == (1, "pod-identity")

    def test_that_expire_soon_are_asked_for_again(self, container: dict[str, Any]) -> None:
        container["expires"] = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)).isoformat()
        awskeys.find_keys()
        awskeys.find_keys()
        assert container["asked"] == 2

    def test_of_the_environment_come_first(
        self, container: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "E")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "F")
        assert awskeys.find_keys()[:2] == ("E", "F")
        assert container["asked"] == 0

    def test_that_are_nowhere_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("ACCESS_KEY_ID", "CONTAINER_CREDENTIALS_FULL_URI", "CONTAINER_CREDENTIALS_RELATIVE_URI"):
            monkeypatch.delenv(f"AWS_{name}", raising=False)
        with pytest.raises(ConfigError, match="needs AWS credentials"):
            awskeys.find_keys()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://app@a?iam=my-cache&iam_region=r", "rediss://"),
        ("rediss://a?iam=my-cache&iam_region=r", "user's name"),
        ("rediss://app@a?iam=My.Cache&iam_region=r", "lower case"),
    ],
)
def test_urls_that_cannot_be_are_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        target_of(url)
