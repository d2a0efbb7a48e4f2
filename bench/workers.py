"""The workers of a system, running: those of a peer as it starts them, or Sidelamb's whole stack."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from bench.commands import Start
from bench.meter import cpu_s, memory_mb, own_cpu_s, tree
from bench.peers import APPS
from sidelamb_local.stack import Stack

if TYPE_CHECKING:
    from bench.peers import Peer

__all__ = ["Workers", "start"]

STOP_LIMIT_S = 5.0
TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: bench-worker
      Runtime: python3.13
      CodeUri: {code}
      Handler: sidelamb_handlers.worker.handler
      Timeout: 60
      MemorySize: 1769
      Environment: {{Variables: {{SIDELAMB_JOBS: on_sidelamb, POWERTOOLS_LOG_LEVEL: {level}}}}}
  Scheduler:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: bench-scheduler
      Runtime: python3.13
      CodeUri: {code}
      Handler: sidelamb_handlers.scheduler.handler
      Timeout: 60
      MemorySize: 512
"""
SETTINGS = """\
scheduler = "bench-scheduler"
[capsules.default]
function = "bench-worker"
in_flight = {in_flight}
threads = {threads}
timeout = 60
"""


class Workers(Protocol):
    """What a session needs of them."""

    def freeze(self) -> None:
        """Stop what takes jobs, so that a queue can be filled."""

    def thaw(self) -> None:
        """Let it go on."""

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds used so far, by part."""

    def memory(self) -> dict[str, float]:
        """Return the memory in MB now, by part."""

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(self, *_: object) -> None:
        """Stop."""


def start(peer: Peer, folder: Path, url: str, *, processes: int, at_once: int, log: bool) -> Workers:
    """Return workers, not yet running.

    Args:
        peer: of which system.
        folder: for their files; has the marks.
        url: of Redis.
        processes: how many.
        at_once: jobs at once in each.
        log: a line a job.
    """
    env = {"BENCH_MARKS": str(folder), "REDIS_URL": url, "BENCH_AT_ONCE": str(at_once)}
    if log:
        env["BENCH_LOG"] = "1"
    if peer.workers is None:
        return Ours(folder, url, env, in_flight=processes, threads=at_once, log=log)
    command = peer.workers(Start(peer.bin, processes, at_once, log))
    return Theirs(command, 1 if peer.own_processes else processes, folder, env)


class Theirs:
    """A peer's."""

    def __init__(self, command: list[str], times: int, folder: Path, env: dict[str, str]) -> None:
        self._command, self._times, self._folder, self._env = command, times, folder, env
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def _pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def __enter__(self) -> Self:
        env = {**os.environ, **self._env, "PYTHONPATH": str(APPS), "PYTHONUNBUFFERED": "1"}
        for n in range(self._times):
            command = [word.replace("{n}", str(n)) for word in self._command]
            with (self._folder / "log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        command,
                        cwd=APPS,
                        env=env,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        return self

    def __exit__(self, *_: object) -> None:
        pids = tree(self._pids)
        for process in self._processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for pid in [*pids, *tree(self._pids)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            process.wait(STOP_LIMIT_S)

    def freeze(self) -> None:
        self._tell(signal.SIGSTOP)

    def thaw(self) -> None:
        self._tell(signal.SIGCONT)

    def _tell(self, what: signal.Signals) -> None:
        for pid in tree(self._pids):
            with suppress(ProcessLookupError):  # rq has a process for each job
                os.kill(pid, what)

    def cpu(self) -> dict[str, float]:
        return {"worker": cpu_s(self._pids)}

    def memory(self) -> dict[str, float]:
        return {"worker": memory_mb(self._pids)}


class Ours:
    """Sidelamb's: poller, local Lambda service, sandboxes."""

    def __init__(
        self, folder: Path, url: str, env: dict[str, str], *, in_flight: int, threads: int, log: bool
    ) -> None:
        app = folder / "app"
        app.mkdir()
        level = "INFO" if log else "WARNING"
        (app / "template.yaml").write_text(TEMPLATE.format(code=APPS, level=level))
        (app / "sidelamb.toml").write_text(SETTINGS.format(in_flight=in_flight, threads=threads))
        self._stack = Stack(app, redis_url=url, concurrency=in_flight, env=env)

    def __enter__(self) -> Self:
        self._stack.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self._stack.stop()

    def end_sandboxes(self) -> None:
        """End them all: the next invocation is a cold start."""
        for pid in tree([self._service]):
            if pid != self._service and b"sidelamb_local.guard" not in _command(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @property
    def _poller(self) -> int:
        return self._stack.poller_pid or 0

    @property
    def _service(self) -> int:
        return self._stack.service_pid or 0

    def freeze(self) -> None:
        if self._poller:
            os.kill(self._poller, signal.SIGSTOP)

    def thaw(self) -> None:
        if self._poller:
            os.kill(self._poller, signal.SIGCONT)

    def cpu(self) -> dict[str, float]:
        service = own_cpu_s(self._service)
        worker = cpu_s([self._service]) - service
        return {"poller": cpu_s([self._poller]), "service": service, "worker": worker}

    def memory(self) -> dict[str, float]:
        service = memory_mb([self._service], alone=True)
        return {
            "poller": memory_mb([self._poller]),
            "service": service,
            "worker": memory_mb([self._service]) - service,
        }


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
