"""Loaded by every process of the system under fire: short leases, a note of each outcome that Redis has
acknowledged, and a mutant if one is asked for.

Leases of half a minute would make a suite of faults take an hour.
"""

from __future__ import annotations

import os

if os.environ.get("FAULTS_HURRY"):
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

if os.environ.get("FAULTS_MUTANT"):
    import mutants

    mutants.put_in(os.environ["FAULTS_MUTANT"])
