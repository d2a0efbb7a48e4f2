"""Jobs for the benchmarks."""

from __future__ import annotations

import os
import time

from sidelamb import current_job, job

_file: int | None = None


@job(name="noop")
def noop(n: int) -> None:
    """Do nothing."""


@job(name="stamp")
def stamp(n: int) -> None:  # noqa: ARG001
    """Write down how long the job waited, in seconds."""
    global _file  # noqa: PLW0603 - one descriptor for a sandbox's life
    if _file is None:
        _file = os.open(os.environ["STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    waited = time.time() - (current_job().enqueued_at or 0.0)
    os.write(_file, b"%.6f\n" % waited)
