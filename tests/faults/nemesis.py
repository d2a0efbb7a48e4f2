"""Does harm to a running system, by a plan that its seed tells."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import redis

from sidelamb import scripts
from sidelamb.link import Link
from sidelamb.store import Store
from sidelamb_handlers.event import write_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidelamb_local.redis_server import RedisServer
    from sidelamb_local.stack import Stack
    from tests.handlers.proxy import Proxy

__all__ = ["KINDS", "Nemesis", "plan"]

KINDS = (
    "kill the poller",
    "kill sandboxes",
    "kill the scheduler",
    "restart Redis",
    "stop a sandbox",
    "stop the poller",
    "cut connections",
    "drop replies",
    "partition",
    "delay replies",
    "half-open connections",
    "fill Redis",
    "throttle",
    "repeat invocations",
    "repeat commands",
    "change the timeout",
)
UNHEARD = frozenset(
    {
        "restart Redis",
        "stop a sandbox",
        "cut connections",
        "drop replies",
        "partition",
        "delay replies",
        "half-open connections",
        "fill Redis",
    }
)
"""Faults in which an outcome may be written late, or its writing may not be acknowledged."""
LEASES = b"sidelamb:leases\r\n"
REPEATED_AFTER_S = 2.0
LEASE_S = 12.0
"""Longer than a lease of the hurried system lives."""


def plan(seed: int, faults: int, kinds: Sequence[str] = KINDS) -> list[tuple[str, float]]:
    """Return (fault, seconds until the next), each kind once before any comes twice."""
    draw = random.Random(seed)
    drawn: list[str] = []
    while len(drawn) < faults:
        drawn += draw.sample(kinds, len(kinds))
    return [(kind, draw.uniform(0.5, 2.0)) for kind in drawn[:faults]]


class Nemesis:
    """Carries out a plan.

    Args:
        stack: the system.
        server: its Redis.
        proxy: what all of it talks to Redis through.
        template: the app's template, which may be written.
        ledger: of its jobs, by which its own processes are known.
        say: told of each fault.
    """

    def __init__(
        self,
        stack: Stack,
        server: RedisServer,
        proxy: Proxy,
        template: Path,
        ledger: Path,
        say: Callable[[str], None],
    ) -> None:
        self._stack, self._server, self._proxy, self._template, self._say = stack, server, proxy, template, say
        self._ledger = ledger
        self.unheard: list[tuple[float, float]] = []
        """From when to when each fault lasted that keeps Redis from being heard, by the monotonic clock."""
        self.over: list[tuple[float, str]] = []
        """When each fault was over, and which it was."""

    def run(self, steps: list[tuple[str, float]], seed: int) -> None:
        """Do all the harm, one fault after the other; everything works again when this returns."""
        draw = random.Random(seed)
        for kind, pause in steps:
            self._say(kind)
            began = time.monotonic()
            self._do(kind, draw)
            self.over.append((time.monotonic(), kind))
            if kind in UNHEARD:
                self.unheard.append((began, self.over[-1][0]))
            time.sleep(pause)

    def _do(self, kind: str, draw: random.Random) -> None:  # noqa: PLR0912 - a case for each fault
        match kind:
            case "kill the poller":
                self._stack.kill_poller()
                time.sleep(draw.uniform(0.1, 1.5))
                self._stack.restart_poller()
            case "kill sandboxes":
                for pid in sandboxes(self._stack.worker_function, self._ledger):
                    _signal(pid, signal.SIGKILL)
            case "kill the scheduler":
                for pid in sandboxes(self._stack.scheduler_function, self._ledger):
                    _signal(pid, signal.SIGKILL)
            case "restart Redis":
                self._server.kill()
                time.sleep(draw.uniform(0.1, 2.0))
                self._server.start()
            case "stop a sandbox":
                for pid in sandboxes(self._stack.worker_function, self._ledger)[:1]:
                    _stopped(pid, LEASE_S)
            case "stop the poller":
                if self._stack.poller_pid:
                    _stopped(self._stack.poller_pid, LEASE_S)
            case "cut connections":
                self._proxy.cut()
                time.sleep(draw.uniform(0.0, 1.0))
                self._proxy.mend()
            case "drop replies":
                self._proxy.lose_replies = True
                time.sleep(draw.uniform(0.5, 3.0))
                self._proxy.lose_replies = False
            case "partition":
                self._proxy.hush()
                time.sleep(draw.uniform(0.5, 3.0))
                self._proxy.mend()
            case "delay replies":
                self._proxy.delay_s = 0.3
                time.sleep(2.0)
                self._proxy.delay_s = 0.0
            case "half-open connections":
                self._proxy.freeze()
                time.sleep(draw.uniform(0.5, 3.0))
            case "fill Redis":
                with redis.Redis.from_url(self._server.url) as db:
                    db.config_set("maxmemory", 1)
                    time.sleep(2.0)
                    db.config_set("maxmemory", 0)
            case "throttle":
                self._configure("Timeout: 4\n      ReservedConcurrentExecutions: 0", draw.uniform(1.0, 7.0))
            case "repeat invocations":
                self._repeat_invocations(3.0)
            case "repeat commands":
                self._repeat_commands(3.0)
            case "change the timeout":
                self._configure(f"Timeout: {draw.choice([2, 60])}", 3.0)

    def _configure(self, lines: str, seconds: float) -> None:
        """Give the worker function other settings for a while."""
        was = self._template.read_text()
        self._template.write_text(was.replace("Timeout: 4\n", f"{lines}\n"))
        time.sleep(seconds)
        self._template.write_text(was)

    def _repeat_invocations(self, seconds: float) -> None:
        """Send each lease's event once more, as a network may that repeats a request."""
        until = time.monotonic() + seconds
        store, link = Store(self._stack.namespace), Link(self._server.url)
        sent: set[str] = set()
        threads = []
        with contextlib.closing(link):
            while time.monotonic() < until:
                now = time.time()
                for lease in set(link.run(store.expired(now + 3_600))) - sent:
                    sent.add(lease)
                    jobs = link.run(store.lease(lease)).jobs
                    raw = write_event(
                        jobs, lease=lease, capsule="default", start_by=now + LEASE_S, deadline=now + 5 * LEASE_S
                    )
                    threads.append(threading.Thread(target=self._invoke, args=(raw,), daemon=True))
                    threads[-1].start()
                time.sleep(0.01)
        for thread in threads:
            thread.join(10)

    def _repeat_commands(self, seconds: float) -> None:
        """Send each script call on leases once more, late: they may arrive twice.

        Not `reserve`: its poller repeats it at once, and before it has done anything with the lease.
        """
        calls: list[tuple[float, bytes]] = []
        reserve = scripts.load("reserve").sha

        def heard(data: bytes) -> None:
            one = data.startswith(b"*") and data.endswith(b"\r\n") and data.count(b"EVALSHA") == 1
            if one and LEASES in data and reserve not in data:
                calls.append((time.monotonic() + REPEATED_AFTER_S, data))

        until = time.monotonic() + seconds
        address = urlsplit(self._server.url)
        self._proxy.heard = heard
        while calls or time.monotonic() < until:
            if time.monotonic() >= until:
                self._proxy.heard = None
            time.sleep(0.01)
            due = [data for at, data in calls if at <= time.monotonic()]
            del calls[: len(due)]
            for data in due:
                with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        pass
        self._proxy.heard = None

    def _invoke(self, event: bytes) -> None:
        url = f"{self._stack.endpoint_url}/2015-03-31/functions/{self._stack.worker_function}/invocations"
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(urllib.request.Request(url, event, method="POST"), timeout=5) as answer,
        ):
            answer.read()


def sandboxes(function: str, ledger: Path) -> list[int]:
    """Return the process ids of a function's sandboxes in the fire with this ledger: others may burn beside it."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with contextlib.suppress(OSError):
                environ = Path(f"/proc/{name}/environ").read_bytes()
                words = environ.split(b"\0")
                if {f"AWS_LAMBDA_FUNCTION_NAME={function}".encode(), f"LEDGER={ledger}".encode()} <= {*words}:
                    found.append(int(name))
    return sorted(found)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _stopped(pid: int, seconds: float) -> None:
    _signal(pid, signal.SIGSTOP)
    time.sleep(seconds)
    _signal(pid, signal.SIGCONT)
