"""A root folder with a Python, its standard library and what these are linked to, and nothing else.

It stands for the stock image: no pip, no shell, no package, no certificate of ours. A program is run in it as a
container would: as process 1, with the environment that it is given and no other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RUNTIME = "3.13"
LEFT_OUT = shutil.ignore_patterns("site-packages", "test", "idlelib", "tkinter", "ensurepip", "config-*", "*.a")
# What Debian's slim images have beside Python, and wheels count on.
OF_THE_IMAGE = ("libgcc_s.so.1", "libstdc++.so.6")
IMAGE_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def python_of_the_runtime() -> Path:
    """Return a real python of the functions' version; this one's if there is none."""
    homes = sorted(Path.home().glob(f".pyenv/versions/{RUNTIME}*/bin"))
    found = shutil.which(f"python{RUNTIME}")
    for home in [*homes, *([Path(found).parent] if found else [])]:
        python = home / f"python{RUNTIME}"
        if not subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
            return python
    return Path(sys.executable)


def make(root: Path, python: Path) -> None:
    """Lay out the folder, for this python."""
    asked = "import sys, sysconfig; print(sys.base_prefix, sysconfig.get_path('stdlib'), sys.version_info[:2])"
    said = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    binary, library = Path(said[0]) / "bin" / f"python{said[1].rpartition('python')[2]}", Path(said[1])
    shutil.copytree(library, root / "usr/local/lib" / library.name, ignore=LEFT_OUT)
    for folder in ("usr/local/bin", "opt/sidelamb", "tmp"):
        (root / folder).mkdir(parents=True)
    shutil.copy(binary, root / "usr/local/bin" / binary.name)
    (root / "usr/local/bin/python").symlink_to(binary.name)
    linked = _linked([binary, *library.glob("lib-dynload/*.so")]) | _of_the_image()
    for path in linked:
        copy = root / path.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


@dataclass
class Contained:
    """A program that runs in a root folder, and what it has said."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def pid(self) -> int:
        """Its process id outside, where it is not 1."""
        holder = self.process.pid
        return int(Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0])

    def terminate(self) -> int:
        """Ask it to stop, as ECS does, and return its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def contained(
    root: Path, command: Sequence[str], env: Mapping[str, str], log: Path, user: int = 0
) -> Iterator[Contained]:
    """Run a command as process 1 of the root folder; it is gone afterwards."""
    new = ["--pid", "--fork", "--kill-child", f"--root={root}", f"--setuid={user}", f"--setgid={user}"]
    words = ["/usr/bin/unshare", *new, *command]
    with log.open("wb") as file:
        process = subprocess.Popen(words, env=IMAGE_ENV | dict(env), stdout=file, stderr=file, cwd="/")
    held = Contained(process, log)
    try:
        yield held
    finally:
        # Another user than its parent's is not killed with it: Linux forgets that at the change.
        with contextlib.suppress(OSError, IndexError):
            os.kill(held.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def _linked(files: Sequence[Path]) -> set[Path]:
    said = subprocess.run(["ldd", *files], capture_output=True, text=True, check=True).stdout
    words = (line.replace("=>", " ").split() for line in said.splitlines())
    return {Path(path) for line in words for path in line[:2] if path.startswith("/") and not path.endswith(":")}


def _of_the_image() -> set[Path]:
    said = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in said.splitlines() if "=>" in line]
    first: dict[str, Path] = {}
    for line in lines:
        first.setdefault(line[0], Path(line[-1]))
    return {first[name] for name in OF_THE_IMAGE if name in first}
