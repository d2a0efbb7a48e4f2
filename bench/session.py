"""One system, freshly started on a fresh Redis, warm, with an app that enqueues: what a workload runs in."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench.apps.marks import Marks
from bench.meter import cpu_s
from bench.peers import APPS, OURS
from bench.proxy import Proxy
from bench.redis_process import RedisProcess
from bench.workers import start

if TYPE_CHECKING:
    from bench.peers import Peer

__all__ = ["Session", "await_marks"]

BOOT_LIMIT_S = 60.0
LOOK_EVERY_S = 0.002
SETTLED_S = 0.1
"""After the last job has run, what it leaves to do (acknowledge, settle, count) is done in this time."""


class Session:
    """Use it as a context manager.

    Args:
        peer: which system.
        processes: workers, or sandboxes.
        at_once: jobs at once in each; default the peer's best for jobs that do nothing.
        log: a line a job.
        delay_s: added to each round trip to Redis; 0 only counts them, None has no proxy.
    """

    def __init__(
        self,
        peer: Peer,
        *,
        processes: int = 2,
        at_once: int | None = None,
        log: bool = False,
        delay_s: float | None = None,
    ) -> None:
        self.peer, self.processes = peer, processes
        self.at_once = at_once or peer.threads
        self._log, self._delay_s = log, delay_s
        self._stack = ExitStack()
        self.proxy: Proxy | None = None
        self.has_bulk = False

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        enter = self._stack.enter_context
        self.folder = Path(enter(tempfile.TemporaryDirectory(prefix="bench-")))
        self.redis = enter(RedisProcess(str(self.folder)))
        port = self.redis.port
        if self._delay_s is not None:
            self.proxy = enter(Proxy(port, self._delay_s))
            port = self.proxy.port
        self.url = f"redis://127.0.0.1:{port}/0"
        self.marks = Marks.make(self.folder)
        self.workers = start(
            self.peer, self.folder, self.url, processes=self._own_processes(), at_once=self._own(), log=self._log
        )
        enter(self.workers)
        env = {"BENCH_MARKS": str(self.folder), "REDIS_URL": self.url, "PYTHONPATH": str(APPS)}
        self._client = subprocess.Popen(
            self.peer.client,
            env={**os.environ, **env},
            cwd=APPS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._stack.callback(self._end_client)
        self.has_bulk = bool(self._heard()["bulk"])
        self._boot()

    def _own_processes(self) -> int:
        return self.processes * self.at_once if self.peer.is_one else self.processes

    def _own(self) -> int:
        return 1 if self.peer.is_one else self.at_once

    def _boot(self) -> None:
        """Wait until a job has run, and then until all workers have."""
        self.ask(do="single", job="noop", count=1)
        self.drained(1, BOOT_LIMIT_S)
        self.marks.clear()
        warm = 2_000 if self.peer.name == OURS else max(10, self.peer.jobs // 20)
        self.fill("noop", warm)
        self.workers.thaw()
        self.drained(warm, BOOT_LIMIT_S)
        time.sleep(SETTLED_S)
        self.marks.clear()

    def ask(self, **command: Any) -> dict[str, Any]:
        """Have the app do something; return its figures."""
        if self._client.stdin is not None:
            self._client.stdin.write(json.dumps(command) + "\n")
        return self._heard()

    def fill(self, job: str, count: int, *more: Any, bulk: bool = True) -> dict[str, Any]:
        """Freeze the workers and put so many jobs on the queue, one call each or by the best way there is."""
        self.workers.freeze()
        do = "bulk" if bulk and self.has_bulk else "single"
        return self.ask(do=do, job=job, count=count, more=list(more))

    def drained(self, count: int, within_s: float) -> float:
        """Wait until so many jobs have run; return when that was, by `time.perf_counter`."""
        return await_marks(self.marks, count, within_s, self._last_words)

    def cpu(self) -> dict[str, float]:
        """Return CPU seconds so far, by part."""
        return {**self.workers.cpu(), "redis": cpu_s([self.redis.pid])}

    def _heard(self) -> dict[str, Any]:
        line = self._client.stdout.readline() if self._client.stdout else ""
        if not line:
            raise SystemExit(f"bench: the client of {self.peer.name} has ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def _last_words(self) -> str:
        log = self.folder / "log"
        text = log.read_text(errors="replace")[-2_000:] if log.exists() else ""
        return f"{self.peer.name}: {text}"

    def _end_client(self) -> None:
        self._client.terminate()
        self._client.communicate()


def await_marks(marks: Marks, count: int, within_s: float, words: Any = str) -> float:
    """Wait until the first `count` jobs have run; return when that was, by `time.perf_counter`.

    Raises:
        SystemExit: they did not; says how many, and `words()`.
    """
    until = time.perf_counter() + within_s
    while True:
        found = marks.done.find(b"\0", 0, count)
        now = time.perf_counter()
        if found < 0:
            return now
        if now > until:
            raise SystemExit(f"bench: {marks.count(count):,} of {count:,} jobs ran in {within_s:g} s; {words()}")
        time.sleep(LOOK_EVERY_S)
