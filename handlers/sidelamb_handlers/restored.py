"""What is made anew in a sandbox that begins as a copy of a snapshot (Lambda's SnapStart).

The snapshot is taken once, when the jobs' modules have been imported. Every sandbox then has the same random
numbers ahead of it, and whatever connections were open, whose other ends are long gone. Our own random numbers
come from the system, and our connections are opened at first use; what the app did at import is put right here.
What else it keeps, it renews in `on_sandbox_start`, which is called after the restore.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["when_restored"]


def when_restored(environ: Mapping[str, str], *renew: Callable[[], None]) -> None:
    """Have random numbers seeded, and `renew` called, each time that a sandbox begins from a snapshot."""
    if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    from snapshot_restore_py import register_after_restore  # noqa: PLC0415 - part of the runtime; elsewhere not there

    for call in (random.seed, *renew):
        register_after_restore(call)
