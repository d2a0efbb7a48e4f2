"""Which tests begin first: those that take long, dealt out over the processes, so that none comes at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

LONG = (
    "tests/deploy/test_smoke.py",
    "tests/deploy/test_emulator.py",
    "tests/deploy/test_init_from_wheel.py",
    "tests/faults",
    "tests/system/test_way_of_a_job.py::test_with_the_poller_stopped",
)
"""Where tests of half a minute and more are, longest first."""


def dealt(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """Return the tests in the order in which as many processes as these take equal stretches of it.

    Each stretch begins with its share of the long ones; the others stay beside those of their file, which share
    what a file sets up.
    """
    found = [(_rank(item.nodeid), item) for item in items]
    long = [item for rank, item in sorted(found, key=lambda one: one[0]) if item and rank < len(LONG)]
    others = [item for rank, item in found if rank == len(LONG)]
    order: list[pytest.Item] = []
    for n in range(processes):
        mine = long[n::processes]
        until = (n + 1) * len(items) // processes
        rest = until - len(order) - len(mine)
        order += mine + others[:rest]
        others = others[rest:]
    return order + others


def _rank(nodeid: str) -> int:
    return next((n for n, prefix in enumerate(LONG) if nodeid.startswith(prefix)), len(LONG))
