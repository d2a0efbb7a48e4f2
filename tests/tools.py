"""Command lines of others that tests use, each in an environment of its own: made once, kept under build/."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

__all__ = ["installed", "uv"]

TOOLS = Path(__file__).parent.parent / "build" / "tools"


def installed(name: str, *requirements: str, python: str | Path = sys.executable) -> Path:
    """Return the folder of an environment's programs; the first of those who ask at once makes it."""
    bin_folder = TOOLS / name / "bin"
    TOOLS.mkdir(parents=True, exist_ok=True)
    with (TOOLS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (TOOLS / name / "whole").exists():
            uv("venv", "--quiet", "--seed", "--clear", "--python", str(python), str(TOOLS / name))
            uv("pip", "install", "--quiet", "--python", str(bin_folder / "python"), *requirements)
            (TOOLS / name / "whole").touch()
    return bin_folder


def uv(*words: str) -> None:
    """Run uv: pip's work in a tenth of its time. What a test has closed to pip is open to it."""
    env = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run([find_uv_bin(), *words], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
