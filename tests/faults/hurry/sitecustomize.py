"""Loaded by every process of the system under fire: short leases, and a mutant if one is asked for.

Leases of half a minute would make a suite of faults take an hour.
"""

from __future__ import annotations

import os

if os.environ.get("FAULTS_HURRY"):
    from sidelamb_handlers.poller import flight

    flight.START_WINDOW_S = 4.0
    flight.MARGIN_S = 2.0

if os.environ.get("FAULTS_MUTANT"):
    import mutants

    mutants.put_in(os.environ["FAULTS_MUTANT"])
