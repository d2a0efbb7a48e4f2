"""Loaded by every process of the system under fire: short leases, short minutes, a note of each outcome that Redis
has acknowledged, and a mutant if one is asked for.

Leases of half a minute would make a suite of faults take an hour, and a fire would see two ticks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

if os.environ.get("FAULTS_HURRY"):
    from sidelamb import cron
    from sidelamb_handlers.poller import flight
    from sidelamb_handlers.settler import Settler

    flight.START_WINDOW_S = 4.0
    flight.MARGIN_S = 2.0
    flush = Settler.flush

    def noting(self: Settler, until: float) -> bool:
        import fault_jobs

        before = list(self.pending)
        try:
            return flush(self, until)
        finally:
            for field in before:
                if field not in self.pending:
                    fault_jobs.write("", "A", f"{self._lease} {field}")

    Settler.flush = noting  # type: ignore[method-assign]

    FASTER = 12
    ticks_after = cron.ticks_after

    def hurried(name: str, line: str, tz: str, at: float) -> Iterator[float]:
        """The same by a clock that is twelve times as fast: a minute is five seconds."""
        for tick in ticks_after(name, line, tz, at * FASTER):
            yield tick / FASTER

    cron.ticks_after = hurried

if os.environ.get("FAULTS_MUTANT"):
    import mutants

    mutants.put_in(os.environ["FAULTS_MUTANT"])
