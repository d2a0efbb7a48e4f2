"""Counts and times of job classes, as Sidekiq's Metrics page reads them.

A worker tallies the attempts of one invocation and puts the tally into its answer; the poller adds the answers
up and writes them with its heartbeat, as a Sidekiq process does. So they cost nothing per job, and what a
crash loses is ten seconds of figures.

Both key families are written, Sidekiq 8's and 7's (and 6.5's), because neither page shows the other's. Their
histograms live 8 hours; one of ours beside them, of ten minutes, lives as long as the counts: 3 days.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import bisect
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["BUCKETS_MS", "Tally", "hash_keys", "histogram_key", "histogram_keys", "histograms"]

BUCKETS_MS = (
    *(20, 30, 45, 65, 100, 150, 225, 335, 500, 750, 1_100, 1_700, 2_500, 3_800, 5_750, 8_500, 13_000, 20_000),
    *(30_000, 45_000, 65_000, 100_000, 150_000, 225_000, 335_000),
)
"""Upper limits of Sidekiq's histogram; the 26th bucket has none."""

_8_HOURS_S = 8 * 3_600
_3_DAYS_S = 3 * 86_400
_16_BITS, _32_BITS = 16, 32
"""A class with a thousand jobs a second fills a counter of 16 bits in a minute, one of 32 bits in fifty days."""


class Tally:
    """Attempts by class: how many, how many failed, milliseconds of those that did not, and their histogram."""

    def __init__(self) -> None:
        self._classes: dict[str, list[Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._classes)

    def add(self, name: str, ms: float, *, failed: bool) -> None:
        """Note one attempt. A failed one counts without its time, as in Sidekiq."""
        if "|" in name:
            return  # it is the sign between class and figure
        entry = self._classes.get(name) or self._classes.setdefault(name, [0, 0, 0.0, {}])
        entry[0] += 1
        if failed:
            entry[1] += 1
            return
        entry[2] += ms
        bucket = bisect.bisect_right(BUCKETS_MS, ms)
        entry[3][bucket] = entry[3].get(bucket, 0) + 1

    def merge(self, wire: Mapping[str, Any]) -> None:
        """Add what `to_wire` of another tally made; what is not of that form is passed over."""
        try:
            for name, (processed, failed, ms, histogram) in wire.items():
                counts = {int(bucket): int(n) for bucket, n in histogram}
                self._merge(str(name), int(processed), int(failed), float(ms), counts)
        except (TypeError, ValueError, AttributeError):
            return

    def _merge(self, name: str, processed: int, failed: int, ms: float, counts: Mapping[int, int]) -> None:
        entry = self._classes.setdefault(name, [0, 0, 0.0, {}])
        entry[0] += processed
        entry[1] += failed
        entry[2] += ms
        for bucket, n in counts.items():
            entry[3][bucket] = entry[3].get(bucket, 0) + n

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON: class → [processed, failed, ms, [[bucket, n], …]]."""
        return {
            name: [p, f, round(ms, 3), list(map(list, h.items()))] for name, (p, f, ms, h) in self._classes.items()
        }

    def taken(self) -> Tally:
        """Return what was tallied so far, and start anew."""
        out = Tally()
        out._classes, self._classes = self._classes, {}
        return out

    def amounts(self) -> dict[str, int]:
        """Return the fields of a metrics hash, `<class>|p`, `<class>|f`, `<class>|ms`; zeros are left out."""
        fields: dict[str, int] = {}
        for name, (processed, failed, ms, _) in self._classes.items():
            for sign, amount in (("p", processed), ("f", failed), ("ms", round(ms))):
                if amount:
                    fields[f"{name}|{sign}"] = amount
        return fields

    def histograms(self) -> Iterator[tuple[str, dict[int, int]]]:
        """Give each class that has times with its bucket counts."""
        for name, entry in self._classes.items():
            if entry[3]:
                yield name, entry[3]


def hash_keys(now: float) -> dict[str, int]:
    """Return the hashes of the minute of epoch second `now`, with seconds to live: 8's two, 7's one."""
    t = time.gmtime(now)
    day8, day7 = time.strftime("%y%m%d", t), time.strftime("%Y%m%d", t)
    minute = f"j|{day8}|{t.tm_hour}:{t.tm_min:02d}"
    return {minute: _8_HOURS_S, minute[:-1]: _3_DAYS_S, f"j|{day7}|{t.tm_hour}:{t.tm_min}": _8_HOURS_S}


def histogram_keys(name: str, now: float) -> tuple[str, str]:
    """Return a class's histograms of the minute of epoch second `now`: 8's and 7's."""
    t = time.gmtime(now)
    return (
        f"h|{name}-{t.tm_mday}-{t.tm_hour}:{t.tm_min}",
        f"{name}-{t.tm_mday:02d}-{t.tm_hour:02d}:{t.tm_min}",
    )


def histogram_key(name: str, now: float) -> str:
    """Return our histogram of a class, of the ten minutes of epoch second `now`."""
    t = time.gmtime(now)
    return f"sidelamb:histogram:{name}-{t.tm_mday}-{t.tm_hour}:{t.tm_min // 10 * 10}"


def histograms(tally: Tally, now: float) -> dict[str, tuple[int, int, Mapping[int, int]]]:
    """Return all histograms to add to at epoch second `now`: key → seconds to live, bits of a counter, counts."""
    found: dict[str, tuple[int, int, Mapping[int, int]]] = {}
    for name, counts in tally.histograms():
        found |= dict.fromkeys(histogram_keys(name, now), (_8_HOURS_S, _16_BITS, counts))
        found[histogram_key(name, now)] = (_3_DAYS_S, _32_BITS, counts)
    return found
