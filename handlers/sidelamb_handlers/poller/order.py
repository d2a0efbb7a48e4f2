"""In which order a capsule's queues are looked at.

Strict: as listed. Weighted: drawn anew each time; a weight is the chance to be looked at first, as in Sidekiq,
where names are repeated by weight, shuffled, and made unique.

Pure: randomness is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["queue_order"]


def queue_order(queues: Sequence[str], weights: Sequence[int], random: Callable[[], float]) -> list[str]:
    """Return `queues` in the order to look at them now.

    Args:
        queues: names.
        weights: one for each name, or empty for strict order.
        random: returns a float in [0, 1).
    """
    if not weights:
        return list(queues)
    # The largest of w uniform draws is distributed as one draw to the power of 1/w.
    drawn = {queue: random() ** (1.0 / weight) for queue, weight in zip(queues, weights, strict=True)}
    return sorted(queues, key=lambda queue: -drawn[queue])
