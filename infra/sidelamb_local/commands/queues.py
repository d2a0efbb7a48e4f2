"""`sidelamb queues`: what waits where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb_local.commands.options import JsonOption, PageOption, RedisOption, SizeOption, connect

if TYPE_CHECKING:
    from sidelamb.api import QueueStats


def queues(
    page: PageOption = 1,
    size: SizeOption = 100,
    as_json: JsonOption = False,
    redis: RedisOption = "",
) -> None:
    """List the queues, the longest first: how many jobs wait, and how long the next one has.

    sidelamb queues
    sidelamb queues --json --page 0
    """
    from sidelamb.api import Stats
    from sidelamb_local.listing import Listing

    every = Stats(connect(redis)).queues()
    Listing(
        "queues",
        lambda: len(every),
        lambda number, size: every[number * size : (number + 1) * size],
        lambda: every,
        lambda one: one._asdict(),
        ("queue", "waiting", "oldest", ""),
        _row,
        ("waiting", "oldest"),
    ).show(page, size, as_json=as_json)


def _row(one: QueueStats) -> list[str]:
    from sidelamb_local.view import duration

    waited = duration(one.latency_s * 1000) if one.size else ""
    foreign = f"is no list: another program uses its key {one.foreign_key}; rename or delete it"
    return [one.name, f"{one.size:,}", waited, foreign if one.foreign_key else "paused" * one.is_paused]
