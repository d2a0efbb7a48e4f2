"""Fixtures: each kind of Redis once for the whole run where nothing in it breaks."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from sidelamb import settings
from tests.redis.servers import Cluster, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from elsewhere."""
    for name in ("SIDELAMB_REDIS_URL", "REDIS_URL", "SIDELAMB_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    settings.reset()
    yield
    settings.reset()


@pytest.fixture(scope="session")
def one_node_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("one"), 1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def three_nodes_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("three"), 3) as cluster:
        yield cluster


@pytest.fixture
def three_nodes(three_nodes_for_all: Cluster) -> Cluster:
    """A cluster of three nodes, empty."""
    three_nodes_for_all.clear()
    return three_nodes_for_all


@pytest.fixture(params=["one node", "three nodes"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """A cluster, empty."""
    name = {"one node": "one_node_for_all", "three nodes": "three_nodes_for_all"}[request.param]
    found: Cluster = request.getfixturevalue(name)
    found.clear()
    return found


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.crt`, and `server.crt` and `server.key` for 127.0.0.1 signed by it."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "ext").write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n"
    )
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-ca",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile ext",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(tmp_path: Path, certificates: Path) -> Iterator[Server]:
    """A server that is reached by TLS only."""
    server = Server(
        tmp_path / "tls",
        tls_cert_file=certificates / "server.crt",
        tls_key_file=certificates / "server.key",
        tls_ca_cert_file=certificates / "ca.crt",
        tls_auth_clients="no",
    )
    server._options |= {"tls_port": server.port, "port": 0}
    with server:
        yield server
