"""Waiting, on this thread, for what cannot be awaited."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SOONEST_S, SELDOM_S = 0.002, 0.02
"""Between two looks: what comes at once costs a test nothing, and what takes long costs no CPU."""


def until(says: Callable[[], Any], within_s: float = 10.0) -> Any:
    """Return the first true answer; fail if none comes in time."""
    end, pause = time.monotonic() + within_s, SOONEST_S
    while not (said := says()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(pause)
        pause = min(pause * 1.5, SELDOM_S)
    return said
