"""What the present pace costs: the last hour's jobs, reckoned as a month of them at list prices. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sidelamb_handlers.cost import Workload, on_sidelamb
from sidelamb_handlers.prices import PRICES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidelamb_handlers.web.figures import Minute

__all__ = ["Pace", "pace"]

MEMORY_MB = 512
LEAST_S = 0.001


class Pace(NamedTuple):
    """An estimate."""

    month: float
    """Dollars a month, all in."""
    jobs: float
    """Dollars a month of that for running jobs: what falls and rises with them."""
    a_million: float
    """Dollars for a million such jobs, running alone."""
    memory_mb: int
    date: str
    region: str


def pace(hour: Sequence[Minute]) -> Pace | None:
    """Return what it costs to go on like this; None while nothing ran in the last hour."""
    processed, ms = sum(m.processed for m in hour), sum(m.ms for m in hour)
    done = processed - sum(m.failed for m in hour)
    if not processed:
        return None
    each_s = max(LEAST_S, ms / done / 1000) if done else LEAST_S
    bill = on_sidelamb(Workload(jobs=processed * 24, duration_s=each_s, memory_mb=MEMORY_MB), PRICES)
    running = bill.rows["running jobs"] + bill.rows["requests"]
    a_million = running / (processed * 24 * 365 / 12) * 1e6
    return Pace(bill.total, running, a_million, MEMORY_MB, PRICES.date, PRICES.region)
