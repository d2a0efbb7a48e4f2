"""Real Redis servers of every kind: a node of a cluster, with TLS, a replica, a sentinel."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis

from sidelamb.link import Link
from sidelamb_local import launch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def until(what: Callable[[], Any], within_s: float = 30.0) -> Any:
    """Return the first true answer of `what`; a server that does not answer is not true."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            answer = what()
        except redis.RedisError:
            answer = None
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {within_s} s in vain"
        time.sleep(0.02)


class Server:
    """One `redis-server` process; `options` are its command line's, without the dashes."""

    def __init__(self, folder: Path, *, sentinel: str = "", **options: str | int) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip("redis-server is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        self._binary, self._folder, self._sentinel = binary, folder, sentinel
        self.port = free_ports(1)[0]
        self._options: dict[str, Any] = {"port": self.port, "bind": HOST, "save": "", "dir": folder} | options
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://{HOST}:{self.port}/0"

    def start(self, *, wait: bool = True) -> Self:
        """Start it, with its data if it kept any, and wait until it answers."""
        argv = [self._binary]
        if self._sentinel:
            file = self._folder / "sentinel.conf"
            file.write_text(self._sentinel)
            argv += [str(file), "--sentinel"]
        for name, value in self._options.items():
            argv += [f"--{name.replace('_', '-')}", str(value)]
        # The kernel's tie is to the starting thread, and only the main one lives as long as the server should.
        argv = launch.tied(*argv) if threading.current_thread() is threading.main_thread() else argv
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        if wait:
            until(self.answers, 15)
        return self

    def start_as_replica_of(self, other: Server) -> None:
        """Come back after a failover. A sentinel would make it a replica too, after some ten seconds."""
        self._options["replicaof"] = f"{HOST} {other.port}"
        self.start()

    def answers(self) -> bool:
        """Whether it serves the port, whatever it says."""
        port = self._options.get("tls_port", self.port)
        try:
            with socket.create_connection((HOST, port), timeout=1):
                return True
        except OSError:
            return False

    def client(self, **kwargs: Any) -> redis.Redis:
        """A plain client."""
        return redis.Redis(host=HOST, port=self.port, **kwargs)

    def say(self, *command: Any) -> Any:
        """Send one command."""
        with self.client() as client:
            return client.execute_command(*command)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(10)


class Cluster:
    """Nodes in cluster mode, with all slots among the first `primaries`; the others are replicas of the first."""

    def __init__(self, folder: Path, primaries: int, replicas: int = 0, **options: str | int) -> None:
        self._primaries = primaries
        self.nodes = [
            Server(
                folder / str(n),
                cluster_enabled="yes",
                cluster_port=free_ports(1)[0],
                cluster_node_timeout=1_500,
                repl_diskless_sync_delay=0,
                **options,
            )
            for n in range(primaries + replicas)
        ]

    @property
    def url(self) -> str:
        """The last primary's, for it is the one that the tests' keys are least likely at."""
        return self.nodes[self._primaries - 1].url

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        for node in self.nodes:
            node.start()
        each = 16384 // self._primaries
        for n, node in enumerate(self.nodes[: self._primaries]):
            last = 16383 if n == self._primaries - 1 else (n + 1) * each - 1
            node.say("CLUSTER", "ADDSLOTSRANGE", n * each, last)
            node.say("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        first = self.nodes[0]
        for node in self.nodes[1:]:
            bus = node._options["cluster_port"]
            first.say("CLUSTER", "MEET", HOST, node.port, bus)
        everyone = len(self.nodes)
        until(lambda: all(self._knows(node, everyone) for node in self.nodes))
        me = first.say("CLUSTER", "MYID")
        for replica in self.nodes[self._primaries :]:
            until(lambda r=replica: r.say("CLUSTER", "REPLICATE", me))
            until(lambda r=replica: r.client().info("replication")["master_link_status"] == "up")
        until(lambda: all(self._is_ok(node) for node in self.nodes))

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()

    def clear(self) -> None:
        """Empty all primaries."""
        for node in self.nodes[: self._primaries]:
            with node.client() as client:
                client.flushall()
                client.script_flush()

    def owner(self, key: str) -> Server:
        """The node that has a key now."""
        with redis.RedisCluster.from_url(self.url) as client:
            place = client.get_node_from_key(key)
        return next(node for node in self.nodes if node.port == place.port)

    @staticmethod
    def _knows(node: Server, count: int) -> bool:
        with node.client() as client:
            info = client.execute_command("CLUSTER INFO")
        text = info if isinstance(info, dict) else {}
        return int(text.get("cluster_known_nodes", 0)) == count

    @staticmethod
    def _is_ok(node: Server) -> bool:
        with node.client() as client:
            return client.execute_command("CLUSTER INFO").get("cluster_state") == "ok"


class Watched:
    """A primary, a replica, and a sentinel that fails over to it."""

    def __init__(self, folder: Path, **options: str | int) -> None:
        shared: dict[str, Any] = {"appendonly": "yes", "repl_diskless_sync_delay": 0, **options}
        self.primary = Server(folder / "primary", **shared)
        self.replica = Server(folder / "replica", replicaof=f"{HOST} {self.primary.port}", **shared)
        self.sentinel = Server(
            folder / "sentinel",
            sentinel=(
                f"sentinel monitor mymaster {HOST} {self.primary.port} 1\n"
                "sentinel down-after-milliseconds mymaster 500\n"
                "sentinel failover-timeout mymaster 3000\n"
            ),
        )
        self.url = f"redis+sentinel://{HOST}:{self.sentinel.port}/mymaster"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        self.primary.start()
        self.replica.start()
        until(lambda: self.replica.client().info("replication")["master_link_status"] == "up")
        self.sentinel.start()
        until(lambda: self._seen()["num-slaves"] == "1")
        until(self._sees_replica)

    def __exit__(self, *_: object) -> None:
        for server in (self.sentinel, self.replica, self.primary):
            server.kill()

    def fail_over(self) -> None:
        """Swap the roles in good order; returns when both have changed."""
        self.sentinel.client().execute_command("SENTINEL", "FAILOVER", "mymaster")
        until(lambda: self.replica.client().info("replication")["role"] == "master")
        with self.primary.client() as old:  # as the sentinel does, but some ten seconds later
            pipe = old.pipeline()
            pipe.execute_command("REPLICAOF", HOST, self.replica.port)
            pipe.client_kill_filter(_type="normal", skipme=True)
            pipe.execute()
        until(lambda: self._seen()["port"] == str(self.replica.port))
        until(lambda: self.primary.client().info("replication")["role"] == "slave")

    def _seen(self) -> dict[str, str]:
        return self._ask("MASTER")

    def _sees_replica(self) -> bool:
        """Whether the sentinel would choose the replica."""
        replica = self._ask("REPLICAS")
        return replica["flags"] == "slave" and replica["master-link-status"] == "ok"

    def _ask(self, about: str) -> dict[str, str]:
        """What the sentinel says of the primary, or of its one replica, as it says it."""
        link = Link(self.sentinel.url)
        words = link.command("SENTINEL", about, "mymaster")
        link.close()
        words = words[0] if isinstance(words[0], list) else words
        texts = [word.decode() for word in words]
        return dict(zip(texts[::2], texts[1::2], strict=True))
