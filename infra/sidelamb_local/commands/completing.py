"""What a shell completes: the names of sets, queues and periodic jobs, from Redis at once, or not at all.

Nothing is said when Redis is away or unknown: whoever pressed Tab is in the middle of a line.
"""

from __future__ import annotations

import os

import typer

__all__ = ["periodic_names", "queue_names", "set_names"]

WITHIN_S = 0.5
MOST = 500


def set_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the sets that begin so, queues among them."""
    if ":" in incomplete and os.environ.get("_SIDELAMB_COMPLETE") == "complete_bash":
        return []  # bash takes what is before the colon for another word, and would have it twice
    from sidelamb_local.places import SETS

    queues = [f"queue:{name}" for name in _names(ctx, "SMEMBERS", "queues")]
    return [name for name in (*SETS, *queues) if name.startswith(incomplete)]


def queue_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the queues that begin so."""
    return [name for name in _names(ctx, "SMEMBERS", "queues") if name.startswith(incomplete)]


def periodic_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the periodic jobs that begin so."""
    return [name for name in _names(ctx, "HKEYS", "periodic") if name.startswith(incomplete)]


def _names(ctx: typer.Context, command: str, of: str) -> list[str]:
    """Return names that Redis has, without those that a shell or a terminal would not take as they are."""
    try:
        from sidelamb.link import Link
        from sidelamb.names import is_queue_name
        from sidelamb_local.commands.options import connect, redis_url

        given = ctx.params.get("redis") or ""
        link = Link(redis_url(given), socket_timeout=WITHIN_S, socket_connect_timeout=WITHIN_S)
        found = link.command(command, getattr(connect(given).store.keys, of))
        link.close()
    except Exception:
        return []
    names = (name.decode(errors="replace") for name in found)
    return sorted(name for name in names if is_queue_name(name))[:MOST]
