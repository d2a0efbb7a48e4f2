"""A fresh Redis for a run: the real server, on a free loopback port, without persistence, gone afterwards."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import suppress
from typing import Any, Self

import redis

__all__ = ["RedisProcess"]

HOST = "127.0.0.1"
START_LIMIT_S = 10.0


class RedisProcess:
    """One server, running."""

    def __init__(self, folder: str) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            raise SystemExit("bench: there is no redis-server on the PATH; apt-get install redis-server")
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port: int = probe.getsockname()[1]
        words = [binary, "--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([*words, "--dir", folder], stdout=subprocess.DEVNULL)
        self.url = f"redis://{HOST}:{self.port}/0"
        self.db = redis.Redis.from_url(self.url)
        self._await()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def commands(self) -> dict[str, int]:
        """Return how often each command was called, those inside scripts included, our own INFO not."""
        stats: dict[str, Any] = self.db.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): int(each["calls"]) for name, each in stats.items()}
        return {name: count for name, count in calls.items() if name != "info"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()
        self._process.kill()
        self._process.wait()

    def _await(self) -> None:
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until:
            with suppress(redis.ConnectionError):
                self.db.ping()
                return
            time.sleep(0.01)
        raise SystemExit("bench: redis-server did not start")
