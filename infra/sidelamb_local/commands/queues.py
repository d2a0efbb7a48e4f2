"""`sidelamb queues`: what waits where."""

from __future__ import annotations

from sidelamb_local.commands.options import JsonOption, PageOption, RedisOption, SizeOption, connect


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
    from sidelamb_local.out import json_line, note, table
    from sidelamb_local.view import duration

    every = Stats(connect(redis)).queues()
    shown = every[(page - 1) * size : page * size] if page else every
    if as_json:
        for one in shown:
            json_line(one._asdict())
        return
    rows = [
        (one.name, f"{one.size:,}", duration(one.latency_s * 1000) if one.size else "", "paused" * one.is_paused)
        for one in shown
    ]
    table(("queue", "waiting", "oldest", ""), rows, right=("waiting", "oldest"))
    if len(shown) < len(every):
        note(f"page {page}: {len(shown):,} of {len(every):,} queues; more: --page {page + 1}")
