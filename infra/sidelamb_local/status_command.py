"""`sidelamb status`: what the dashboard shows, from Redis, at this moment."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sidelamb_local.plain import plain
from sidelamb_local.view import duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sidelamb_handlers.gauges import Seen

__all__ = ["as_json", "as_text", "worries"]

OLD_S = 600.0
"""A job that has waited so long is worth a line; the alarm has its own setting."""


def worries(seen: Seen) -> list[str]:
    """Return what a person should look at, a line each."""
    found = []
    if not seen.pollers:
        found.append("no poller: nothing is run until one starts")
    elif all(poller.is_quiet for poller in seen.pollers):
        found.append("every poller is quiet: restart them")
    paused = [queue.name for queue in seen.queues if queue.is_paused]
    if paused:
        found.append(f"paused: {', '.join(paused)}")
    found += [
        f"the queue {queue.name} is no list: another program uses its key {queue.foreign_key}; rename or delete it"
        for queue in seen.queues
        if queue.foreign_key
    ]
    if seen.oldest_s > OLD_S:
        found.append(f"the oldest job has waited {duration(seen.oldest_s * 1000)}")
    if seen.stuck:
        found.append(f"leases long past their deadline: {seen.stuck}; the scheduler does not run")
    return found


def as_text(seen: Seen) -> RenderableType:
    """Return it for a terminal."""
    pollers, queues, sets = Table(box=None), Table(box=None), Table(box=None)
    for name in ("poller", "in flight", "since", "beat"):
        pollers.add_column(name, justify="left" if name == "poller" else "right")
    for poller in seen.pollers:
        name = f"{poller.identity.rpartition(':')[0]}{' (quiet)' if poller.is_quiet else ''}"
        busy = f"{poller.busy} of {poller.concurrency}"
        pollers.add_row(Text(plain(name)), busy, _time(poller.started_at), _time(poller.beat_at))
    for name in ("queue", "waiting", "oldest", ""):
        queues.add_column(name, justify="left" if name in {"queue", ""} else "right")
    for queue in seen.queues:
        waited = duration(queue.latency_s * 1000) if queue.size else ""
        queues.add_row(Text(plain(queue.name)), f"{queue.size:,}", waited, "paused" if queue.is_paused else "")
    numbers = asdict(seen.summary)
    for name in numbers:
        sets.add_column(name, justify="right")
    sets.add_row(*(f"{number:,}" for number in numbers.values()))
    lines = [Text(f"! {plain(line, 500)}", "yellow") for line in worries(seen)]
    return Group(*lines, pollers, Text(), queues, Text(), sets)


def as_json(seen: Seen) -> dict[str, Any]:
    """Return it for a program; times in seconds, moments as ISO-8601."""
    return {
        "worries": worries(seen),
        "pollers": [
            {
                "identity": poller.identity,
                "in_flight": poller.busy,
                "concurrency": poller.concurrency,
                "is_quiet": poller.is_quiet,
                "beat_at": poller.beat_at.isoformat() if poller.beat_at else None,
            }
            for poller in seen.pollers
        ],
        "queues": [queue._asdict() for queue in seen.queues],
        "stuck_leases": seen.stuck,
        **asdict(seen.summary),
    }


def _time(moment: Any) -> str:
    return f"{moment.astimezone():%m-%d %H:%M:%S}" if moment else ""
