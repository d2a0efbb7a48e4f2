"""A real Ruby Sidekiq beside us: its client, its worker, its Web UI."""

from __future__ import annotations

import http.cookiejar
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.conftest import System, system

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["system"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder where there is no Ruby Sidekiq."""
    if shutil.which("ruby") and shutil.which("sidekiq") and shutil.which("puma"):
        return
    skip = pytest.mark.skip(reason="needs Debian's ruby-sidekiq and puma")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(skip)


class Ruby:
    """Runs Ruby against a Redis."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.environ = {**os.environ, "REDIS_URL": redis_url, "RUBY_LEDGER": str(folder / "ruby-ledger")}
        self.ledger = folder / "ruby-ledger"
        self._started: list[subprocess.Popen[bytes]] = []

    def run(self, code: str) -> str:
        """Run Ruby code with Sidekiq's client loaded; return what it printed."""
        done = subprocess.run(
            ["ruby", "-r", str(HERE / "jobs.rb"), "-e", code],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a long-running program; it ends with the test."""
        made = subprocess.Popen(command, env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._started.append(made)
        return made

    def worker(self, *queues: str) -> subprocess.Popen[bytes]:
        """Start a Sidekiq worker (with its scheduler) for some queues."""
        flags = [word for queue in queues for word in ("-q", queue)]
        return self.start("sidekiq", "-r", str(HERE / "jobs.rb"), "-c", "2", *flags)

    def stop(self) -> None:
        """End what was started."""
        for each in self._started:
            each.send_signal(signal.SIGTERM)
        for each in self._started:
            try:
                each.wait(12)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()


class WebUI:
    """A browser without a screen: cookies, and the token of Sidekiq's forms."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._open = urllib.request.build_opener(jar).open

    def get(self, path: str) -> str:
        """Return a page; it must be a 200."""
        with self._open(self._base + path, timeout=10) as answer:
            assert answer.status == 200
            return str(answer.read().decode())

    def post(self, page: str, action: str, **fields: str | list[str]) -> None:
        """Press a button: a form of `page` sent to `action`."""
        token = re.search(r'name=.authenticity_token. value=.([^"\'>]+)', self.get(page))
        assert token, f"{page} has no form"
        pairs = [("authenticity_token", token[1])]
        for name, value in fields.items():
            name_ = name.replace("__", "[]")
            pairs += [(name_, v) for v in (value if isinstance(value, list) else [value])]
        body = urllib.parse.urlencode(pairs).encode()
        with self._open(self._base + action, data=body, timeout=10) as answer:
            assert answer.status == 200  # after the redirect


@pytest.fixture
def ruby(system: System, tmp_path: Path) -> Iterator[Ruby]:
    """Ruby on the same Redis as a running Sidelamb."""
    made = Ruby(system.server.url, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def web(ruby: Ruby) -> WebUI:
    """Sidekiq's Web UI on the same database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ruby.start("puma", "-b", f"tcp://127.0.0.1:{port}", "-t", "1:2", str(HERE / "web.ru"))
    ui = WebUI(port)
    deadline = time.monotonic() + 20
    while True:
        try:
            ui.get("/stats")
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, "puma did not start"
            time.sleep(0.05)
        else:
            return ui
