"""Who is measured, and with which settings.

Each peer has a virtual environment of its own under build/bench/, with the newest versions from PyPI; Sidekiq
is Debian's. The settings are the best of those that its manual names: more fetched ahead, hiredis and uvloop
where they can be used, no results kept.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import commands

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.commands import Start

__all__ = ["APPS", "OURS", "PEERS", "Peer", "prepare"]

ROOT = Path(__file__).resolve().parent.parent
APPS = Path(__file__).resolve().parent / "apps"
VENVS = ROOT / "build" / "bench"
OURS = "sidelamb"


@dataclass(frozen=True)
class Peer:
    """One system.

    Attributes:
        name: as tables show it.
        module: its app's, under bench/apps.
        packages: what pip installs.
        workers: the command of its workers; None: Sidelamb's own stack.
        jobs: how many no-op jobs it drains in a run: a second's worth, or two.
        own_processes: its command starts so many processes itself; else it is started so often.
        is_one: there is only one job at a time in a process.
        threads: jobs at once in a process, when they do nothing: what drains fastest.
        has_later: its client can enqueue for a given time.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    workers: Callable[[Start], list[str]] | None
    jobs: int
    own_processes: bool = True
    is_one: bool = False
    threads: int = 50
    has_later: bool = False

    @property
    def venv(self) -> Path:
        """Its environment: all of one module share one."""
        return VENVS / self.module.removeprefix("on_")

    @property
    def bin(self) -> Path:
        """Its programs."""
        return Path(sys.executable).parent if not self.packages else self.venv / "bin"

    @property
    def client(self) -> list[str]:
        """The command of its client."""
        if self.module == "sidekiq":
            return ["ruby", str(APPS / "sidekiq" / "client.rb")]
        return [str(self.bin / "python"), str(APPS / "client.py"), self.module]


_EVERY = [
    Peer(OURS, "on_sidelamb", (), None, jobs=20_000, threads=1, has_later=True),
    Peer("sidekiq", "sidekiq", (), commands.sidekiq, jobs=20_000, own_processes=False, threads=10, has_later=True),
    Peer("rq", "on_rq", ("rq", "hiredis"), commands.rq, jobs=200, is_one=True, threads=1),
    Peer(
        "celery-threads",
        "on_celery",
        ("celery[redis]", "hiredis"),
        commands.celery("threads"),
        2_500,
        own_processes=False,
    ),
    Peer(
        "celery-prefork",
        "on_celery",
        ("celery[redis]", "hiredis"),
        commands.celery("prefork"),
        2_500,
        own_processes=False,
        threads=1,
    ),
    Peer("dramatiq", "on_dramatiq", ("dramatiq[redis]", "hiredis"), commands.dramatiq, 8_000, has_later=True),
    Peer("huey", "on_huey", ("huey", "redis", "hiredis"), commands.huey, 8_000, own_processes=False),
    Peer("arq", "on_arq", ("arq", "uvloop"), commands.arq, 3_000, own_processes=False, has_later=True),
    Peer("taskiq", "on_taskiq", ("taskiq", "taskiq-redis", "hiredis", "uvloop"), commands.taskiq, 6_000),
    Peer("saq", "on_saq", ("saq[redis]", "hiredis", "uvloop", "typing_extensions"), commands.saq, 4_000),
    Peer("streaq", "on_streaq", ("streaq", "uvloop"), commands.streaq, 2_000),
]
PEERS = {peer.name: peer for peer in _EVERY}


def prepare(peer: Peer) -> dict[str, str]:
    """Make the peer's environment if there is none; return the versions in it.

    Raises:
        SystemExit: pip failed, or Sidekiq is not installed; says what to do.
    """
    if peer.module == "sidekiq":
        return _of_debian()
    if not peer.packages:
        return {
            name: importlib.metadata.version(name) for name in ("sidelamb", "redis", "aiohttp", "awslambdaric")
        }
    marker = peer.venv / ".installed"
    if not marker.exists() or marker.read_text() != " ".join(peer.packages):
        venv.create(peer.venv, clear=True, symlinks=True, with_pip=True)
        pip = [str(peer.bin / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "install", "--upgrade", *peer.packages], check=False).returncode:
            raise SystemExit(f"bench: pip could not install {' '.join(peer.packages)}; leave it out with --peers")
        marker.write_text(" ".join(peer.packages))
    said = subprocess.run(
        [str(peer.bin / "python"), "-m", "pip", "freeze", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installed = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", said))
    wanted = [re.split(r"[\[<>=]", package)[0] for package in peer.packages]
    return {name: installed[name] for name in [*wanted, "redis", "coredis"] if name in installed}


def _of_debian() -> dict[str, str]:
    if not shutil.which("sidekiq"):
        raise SystemExit("bench: there is no sidekiq; apt-get install ruby-sidekiq, or leave it out with --peers")
    ruby = subprocess.run(["ruby", "-e", "print RUBY_VERSION"], capture_output=True, text=True, check=True).stdout
    said = subprocess.run(["sidekiq", "-V"], capture_output=True, text=True, check=True).stdout
    return {"sidekiq": said.split()[-1], "ruby": ruby}
