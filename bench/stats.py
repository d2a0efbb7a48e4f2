"""Percentiles, ratios, and how sure they are. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["interval", "percentile", "ratios"]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of `values` lie: the nearest rank, no value invented.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values, no percentile")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours / theirs, round by round: what a round's weather does to both cancels out."""
    return [a / b for a, b in zip(ours, theirs, strict=False) if b]


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval that holds the median with at least `confidence`, if `values` can give one, else all.

    It is the sign test turned round: no assumption about how values are spread. Five give 93.75 %, six 96.9 %.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values, no interval")
    ranked, n = sorted(values), len(values)
    cut = 0
    while 1 - 2 * _tail(n, cut + 1) >= confidence and cut + 1 < n - 1 - cut:
        cut += 1
    return ranked[cut], ranked[n - 1 - cut]


def _tail(n: int, k: int) -> float:
    """Return the chance of at most `k` heads among `n` tosses."""
    return sum(math.comb(n, i) for i in range(k + 1)) / float(2**n)
