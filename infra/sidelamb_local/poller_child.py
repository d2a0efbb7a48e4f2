"""The poller as the stack sees it: a child that is stopped politely, killed, started again.

It is the real poller with the real settings, which are written into a file for it, so that what it serves can be
read there. Supervised, it comes back when it ends by itself, as ECS would have it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from sidelamb.errors import RedisError
from sidelamb.keys import Keys
from sidelamb.link import Link
from sidelamb_local.child import Child, how_it_ended
from sidelamb_local.environment import region
from sidelamb_local.errors import LocalStackError
from sidelamb_local.poller_toml import to_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sidelamb_handlers.config import Config
    from sidelamb_local.guard import Guard

START_LIMIT_S = 20.0
LOOK_EVERY_S = 0.02
# On top of the time that the poller gives to what is in flight.
STOP_MARGIN_S = 3.0
RESTART_FIRST_S = 0.5
RESTART_MOST_S = 10.0
# After so long a life the next death is not one of a series.
SETTLED_S = 60.0
EXIT_USAGE = 2

# Settings of this shell that would lead it elsewhere.
LEADS_AWAY = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "REDIS_URL")


class PollerChild:
    """A poller, running or not."""

    def __init__(
        self,
        file: Path,
        *,
        guard: Guard,
        env: Mapping[str, str],
        on_line: Callable[[str], None],
        on_trouble: Callable[[str], None],
        supervise: bool,
    ) -> None:
        """Nothing runs before `restart`.

        Args:
            file: Where its settings are written; it runs in that folder.
            guard: Ends it if we are killed.
            env: All of its environment (see `environment_of`).
            on_line: Called with each line of its log.
            on_trouble: Called with a line about it, for a person.
            supervise: Start it again when it ends by itself, unless its settings are wrong.
        """
        self._file = file
        self._guard, self._env = guard, env
        self._on_line, self._on_trouble = on_line, on_trouble
        self._supervise = supervise
        self._child: Child | None = None
        self._config: Config | None = None
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._last_line = ""
        self._deaths = 0
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        child = self._child
        return child.pid if child is not None and not child.ended else None

    def restart(self, config: Config, redis_url: str) -> None:
        """Stop it politely if it runs, and start it with `config`; returns when it takes jobs.

        Raises:
            LocalStackError: It did not start; says its last words.
        """
        with self._lock:
            if self._stopping.is_set():
                return
            self._end()
            self._config = config
            self._file.write_text(to_toml(config))
            child = self._spawn()
        self._await_heartbeat(child, Keys(config.namespace).processes, redis_url)

    def stop(self) -> None:
        """SIGTERM: it waits a while for what is in flight and takes itself off Redis's list of processes."""
        self._stopping.set()
        with self._lock:
            self._end()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        child = self._child
        if child is not None:
            child.kill()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None and self._config is not None:
            child.stop(self._config.stop_timeout + STOP_MARGIN_S)

    def _spawn(self) -> Child:
        self._started_at = time.monotonic()
        self._child = Child(
            [sys.executable, "-P", "-m", "sidelamb_handlers.poller", "--config", str(self._file)],
            guard=self._guard,
            cwd=self._file.parent,
            env=self._env,
            on_line=self._heard,
            on_end=self._ended,
        )
        return self._child

    def _heard(self, line: str) -> None:
        self._last_line = line
        self._on_line(line)

    def _await_heartbeat(self, child: Child, processes: bytes, redis_url: str) -> None:
        """Wait until it is in Redis's list of processes: then it takes jobs."""
        until = time.monotonic() + START_LIMIT_S
        sign = f":{child.pid}:".encode()
        with contextlib.closing(Link(redis_url)) as link:
            while time.monotonic() < until:
                has_ended = child.ended  # looked at first: a stop says that it is one before it ends a child
                if self._stopping.is_set():
                    return
                if has_ended:
                    child.kill()  # its last line has been read after that
                    raise LocalStackError(
                        f"the poller did not start: {self._last_line.removeprefix('sidelamb: ')}"
                    )
                try:
                    if any(sign in identity for identity in link.command(b"SMEMBERS", processes)):
                        return
                except RedisError as error:
                    raise LocalStackError(str(error)) from error
                time.sleep(LOOK_EVERY_S)
        raise LocalStackError(f"the poller did not start in {START_LIMIT_S:g} s: {self._last_line}")

    def _ended(self, child: Child) -> None:
        """Say so, and start another one, if that was not our doing."""
        if self._stopping.is_set() or self._child is not child:
            return
        again = self._supervise and child.returncode != EXIT_USAGE
        self._on_trouble(f"the poller has ended ({how_it_ended(child)}){'; starting it again' if again else ''}")
        if not again or self._stopping.wait(self._pause()):
            return
        with self._lock:
            if not self._stopping.is_set() and self._child is child:
                self._spawn()

    def _pause(self) -> float:
        self._deaths = 0 if time.monotonic() - self._started_at > SETTLED_S else self._deaths + 1
        return min(RESTART_MOST_S, RESTART_FIRST_S * float(1 << min(self._deaths, 10)) / 2)


def environment_of(endpoint_url: str, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a local poller: this shell's, without what would lead it to AWS, and `given`.

    Args:
        endpoint_url: The local Lambda service.
        given: What wins.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in LEADS_AWAY and not name.startswith("SIDELAMB_")
    }
    ours = {
        "AWS_ENDPOINT_URL_LAMBDA": endpoint_url,
        "AWS_REGION": region(),
        "AWS_DEFAULT_REGION": region(),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
    }
    return kept | ours | dict(given)
