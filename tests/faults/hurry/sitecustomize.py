"""Loaded by every process of the system under fire: short leases.

Leases of half a minute would make a suite of faults take an hour.
"""

from __future__ import annotations

import os

if os.environ.get("FAULTS_HURRY"):
    from sidelamb_handlers.poller import flight

    flight.START_WINDOW_S = 4.0
    flight.MARGIN_S = 2.0
