"""What tests use of others, away from our own environment: made once, kept under build/."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["installed", "telemetry", "uv"]

TOOLS = Path(__file__).parent.parent / "build" / "tools"


def installed(name: str, *requirements: str, python: str | Path = sys.executable) -> Path:
    """Return the folder of an environment's programs."""

    def make(folder: Path) -> None:
        uv("venv", "--quiet", "--seed", "--clear", "--python", str(python), str(folder))
        uv("pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements)

    return _made(name, make) / "bin"


def telemetry() -> Path:
    """Return the folder of OpenTelemetry's libraries, to be put on a process's path.

    Where they are installed redis-py loads them: here that would be in each of a thousand processes.
    """
    wanted = ["opentelemetry-exporter-otlp-proto-http>=1.30", "opentelemetry-sdk>=1.30"]
    install = ["pip", "install", "--quiet", "--python", sys.executable, "--target"]
    return _made("telemetry", lambda folder: uv(*install, str(folder), *wanted))


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """Return what has this name; the first of those who ask at once makes it."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    with (TOOLS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (TOOLS / name / "whole").exists():
            make(TOOLS / name)
            (TOOLS / name / "whole").touch()
    return TOOLS / name


def uv(*words: str) -> None:
    """Run uv: pip's work in a tenth of its time. What a test has closed to pip is open to it."""
    env = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run([find_uv_bin(), *words], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
