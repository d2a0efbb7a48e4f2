"""How each peer's workers are started: its own command, with the settings that its manual names for speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Start", "arq", "celery", "dramatiq", "huey", "rq", "saq", "sidekiq", "streaq", "taskiq"]


@dataclass(frozen=True, slots=True)
class Start:
    """What is wanted.

    Attributes:
        programs: the folder of the peer's programs.
        processes: how many.
        at_once: jobs at once in each.
        log: a line a job.
    """

    programs: Path
    processes: int
    at_once: int
    log: bool

    @property
    def level(self) -> str:
        """Of logging."""
        return "INFO" if self.log else "WARNING"

    def program(self, name: str) -> str:
        """Return a program's path."""
        return str(self.programs / name)


def rq(s: Start) -> list[str]:
    """A process forks for each job; the pool starts them all."""
    return [s.program("rq"), "worker-pool", "-n", str(s.processes), "--logging-level", s.level, "default"]


def celery(pool: str) -> Callable[[Start], list[str]]:
    """Threads or processes ("prefork"); without what workers tell each other."""

    def command(s: Start) -> list[str]:
        words = [s.program("celery"), "-A", "on_celery", "worker", "-P", pool, "-c", str(s.at_once), "-l", s.level]
        return [*words, "--without-gossip", "--without-mingle", "--without-heartbeat", "-n", "{n}@bench"]

    return command


def dramatiq(s: Start) -> list[str]:
    """It logs a line a job only at DEBUG."""
    words = [s.program("dramatiq"), "on_dramatiq", "-p", str(s.processes), "-t", str(s.at_once)]
    return [*words, "-v"] if s.log else [*words, "--skip-logging"]


def huey(s: Start) -> list[str]:
    """Threads, without periodic tasks."""
    words = [s.program("huey_consumer"), "on_huey.huey", "-w", str(s.at_once), "-k", "thread", "-n"]
    return words if s.log else [*words, "-q"]


def arq(s: Start) -> list[str]:
    """One process; jobs at once are in its settings."""
    words = [s.program("arq"), "on_arq.WorkerSettings"]
    return words if s.log else [*words, "--custom-log-dict", "on_arq.QUIET"]


def taskiq(s: Start) -> list[str]:
    """As many fetched ahead as run."""
    words = [s.program("taskiq"), "worker", "on_taskiq:broker", "--workers", str(s.processes)]
    ahead = ["--max-async-tasks", str(s.at_once), "--max-prefetch", str(s.at_once)]
    return [*words, *ahead, "--log-level", s.level]


def saq(s: Start) -> list[str]:
    """Jobs at once are in its settings."""
    return [s.program("saq"), "on_saq.settings", "--workers", str(s.processes), *(["-v"] if s.log else [])]


def streaq(s: Start) -> list[str]:
    """Jobs at once and what it logs are in its app."""
    return [s.program("streaq"), "run", "on_streaq:worker", "--workers", str(s.processes)]


def sidekiq(s: Start) -> list[str]:
    """What it logs is in its app."""
    return ["sidekiq", "-r", "./sidekiq/jobs.rb", "-c", str(s.at_once)]
