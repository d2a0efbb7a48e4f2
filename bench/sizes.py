"""How much each workload does: enough for a figure that holds, and the whole in about 25 minutes on two cores."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "USUAL", "Sizes"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a run.

    Attributes:
        runs: rounds of each, of which the median counts.
        jobs: share of what a peer drains in a run by default.
        many: jobs of the large enqueue and the large drain, for those fast enough.
        wait: jobs that wait 100 ms.
        wait_long: jobs that wait 1 s.
        latency: samples a round.
        due: jobs to promote.
        not_due: jobs beside them that are not due.
        late: jobs whose lateness is measured.
        depths: of the queue, for growth.
        flight_s: how long the poller alone is measured.
        entries: in each set, for the API's pages.
    """

    runs: int
    jobs: float
    many: int
    wait: int
    wait_long: int
    latency: int
    due: int
    not_due: int
    late: int
    depths: tuple[int, ...]
    flight_s: float
    entries: int


USUAL = Sizes(
    runs=5,
    jobs=1.0,
    many=200_000,
    wait=1_000,
    wait_long=960,
    latency=60,
    due=100_000,
    not_due=1_000_000,
    late=200,
    depths=(10_000, 100_000, 1_000_000),
    flight_s=6.0,
    entries=1_000_000,
)
QUICK = Sizes(
    runs=2,
    jobs=0.25,
    many=50_000,
    wait=500,
    wait_long=960,
    latency=20,
    due=20_000,
    not_due=100_000,
    late=200,
    depths=(10_000, 100_000),
    flight_s=3.0,
    entries=100_000,
)
FULL = Sizes(
    runs=5,
    jobs=1.0,
    many=200_000,
    wait=2_000,
    wait_long=20_000,
    latency=60,
    due=100_000,
    not_due=1_000_000,
    late=1_000,
    depths=(10_000, 100_000, 1_000_000),
    flight_s=20.0,
    entries=1_000_000,
)
