"""What waits where, and who is there: looked at once a minute by the scheduler, and by a person who asks.

Everything is counted by Redis; a handful of round trips, however much there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidelamb.api.processes import Processes
from sidelamb.api.stats import Stats
from sidelamb_handlers.emf import BY_QUEUE, BY_STACK, emf_line

if TYPE_CHECKING:
    from sidelamb.api.processes import Process
    from sidelamb.api.stats import QueueStats, Summary
    from sidelamb.client import Client

__all__ = ["Seen", "lines", "lost_line", "seen"]

MOST_QUEUES = 20
"""Queues that have metrics of their own at a time, the longest ones: each is billed."""

STUCK_S = 60.0
"""A lease is stuck if nobody has reaped it so long after its deadline."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look."""

    summary: Summary
    queues: list[QueueStats]
    """The longest first."""
    pollers: list[Process]
    """Ours alone; Ruby's processes may be on the same Redis."""
    stuck: int
    """Leases that nobody reaps."""

    @property
    def oldest_s(self) -> float:
        """Seconds that the job next to run has waited, of the queue where that is longest; paused ones wait."""
        return max((queue.latency_s for queue in self.queues if not queue.is_paused), default=0.0)


def seen(client: Client) -> Seen:
    """Look once.

    Raises:
        RedisError: Redis is away.
    """
    stats = Stats(client)
    # Counted, not read: what keeps a lease from being reaped may be that it cannot be read.
    stuck = client.link.command(b"ZCOUNT", client.store.keys.leases, b"-inf", client.now() - STUCK_S)
    return Seen(
        summary=stats.summary(),
        queues=stats.queues(),
        pollers=[process for process in Processes(client) if process.info.get("tag") == "sidelamb"],
        stuck=int(stuck),
    )


def lines(stack: str, now: float, look: Seen) -> list[str]:
    """Return one line for the stack, and one for each queue in which something waits."""
    of_stack: dict[str, float | list[float]] = {
        "ScheduleSize": look.summary.scheduled,
        "RetrySize": look.summary.retrying,
        "DeadSize": look.summary.dead,
        "OldestJobAge": round(look.oldest_s, 1),
        "Pollers": len(look.pollers),
        **({"StuckLeases": look.stuck} if look.stuck else {}),
    }
    first = emf_line(now, {"Stack": stack}, {BY_STACK: of_stack})
    waiting = [queue for queue in look.queues if queue.size][:MOST_QUEUES]
    return [first, *(_queue_line(stack, now, queue) for queue in waiting)]


def lost_line(stack: str, now: float, leases: int) -> str:
    """Return the line about leases whose end nobody heard of."""
    return emf_line(now, {"Stack": stack}, {BY_STACK: {"LostLeases": leases}})


def _queue_line(stack: str, now: float, queue: QueueStats) -> str:
    figures: dict[str, float | list[float]] = {
        "QueueDepth": queue.size,
        "OldestJobAge": round(queue.latency_s, 1),
    }
    return emf_line(now, {"Stack": stack, "Queue": queue.name}, {BY_QUEUE: figures})
