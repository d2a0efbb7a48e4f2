"""The fixtures that `pip install sidelamb` gives to pytest.

Imported at each start of pytest, so what they need is imported when they are used.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb.testing.recorded import Jobs


@pytest.fixture
def sidelamb_fake() -> Iterator[Jobs]:
    """Jobs are recorded and not stored."""
    from sidelamb.testing.faking import fake  # noqa: PLC0415

    with fake() as jobs:
        yield jobs


@pytest.fixture
def sidelamb_inline() -> Iterator[Jobs]:
    """Jobs run where they are enqueued."""
    from sidelamb.testing.inlining import inline  # noqa: PLC0415

    with inline() as jobs:
        yield jobs


@pytest.fixture(scope="session")
def sidelamb_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of the test run's own, from the `redis-server` or `valkey-server` on the path; its URL."""
    command = shutil.which("redis-server") or shutil.which("valkey-server")
    if command is None:
        pytest.skip("sidelamb_redis needs redis-server or valkey-server on the path")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = str(tmp_path_factory.mktemp("sidelamb-redis"))
    words = [command, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)  # noqa: S603 - found on the path
    try:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def sidelamb_redis(sidelamb_redis_server: str) -> Iterator[str]:
    """This process enqueues into a real, empty Redis; its URL."""
    from sidelamb import settings  # noqa: PLC0415
    from sidelamb.link import Link  # noqa: PLC0415

    link = Link(sidelamb_redis_server)
    link.command("FLUSHALL")
    link.close()
    state = settings._State  # noqa: SLF001 - what `configure` cannot do is to put everything back
    before = state.settings, state.client
    settings.configure(redis=sidelamb_redis_server)
    yield sidelamb_redis_server
    state.settings, state.client = before


def _wait_for(port: int, within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
