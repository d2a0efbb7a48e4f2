"""A periodic job for people and for programs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidelamb_local.listing import clock
from sidelamb_local.plain import iso, json_text
from sidelamb_local.view import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidelamb.api import Periodic, Ticked

__all__ = ["COLUMNS", "TICKED", "as_json", "for_people", "row", "ticked_row", "with_history"]

COLUMNS = ("name", "cron", "tz", "next", "last", "job", "")
TICKED = ("tick", "enqueued", "late", "jid", "")


def as_json(one: Periodic) -> dict[str, Any]:
    """Return it for a program. The fields stand in docs/command-line.md."""
    return {
        "name": one.name,
        "job": one.job,
        "cron": one.cron,
        "tz": one.tz,
        "missed": one.missed,
        "queue": one.queue,
        "args": one.args,
        "kwargs": one.kwargs,
        "declared_by": one.declared_by,
        "is_paused": one.is_paused,
        "next_at": iso(one.next_at),
        "last": _ticked(one.last) if one.last else None,
    }


def with_history(one: Periodic, history: Sequence[Ticked]) -> dict[str, Any]:
    """Return it with what it has enqueued."""
    return {**as_json(one), "history": [_ticked(each) for each in history]}


def for_people(one: Periodic) -> dict[str, str]:
    """Return what a person reads, by its name; what is not there is left out."""
    fields = {
        "name": one.name,
        "job": one.job,
        "cron": f"{one.cron}  {one.tz}",
        "next": "paused" if one.is_paused else clock(one.next_at),
        "queue": one.queue,
        "args": json_text(one.args) if one.args else "",
        "kwargs": json_text(one.kwargs) if one.kwargs else "",
        "missed": one.missed,
        "declared by": one.declared_by,
    }
    return {name: value for name, value in fields.items() if value}


def row(one: Periodic) -> list[Any]:
    """Return it as a row of `COLUMNS`."""
    last = clock(one.last.enqueued_at) if one.last else ""
    return [one.name, one.cron, one.tz, clock(one.next_at), last, one.job, "paused" if one.is_paused else ""]


def ticked_row(one: Ticked) -> list[Any]:
    """Return a job that was enqueued as a row of `TICKED`."""
    late = "" if one.late_s is None else duration(one.late_s * 1000)
    out = f"kept out by {one.kept_out_by}" if one.kept_out_by else ""
    return [clock(one.tick) or "by hand", clock(one.enqueued_at), late, one.jid, out]


def _ticked(one: Ticked) -> dict[str, Any]:
    return {
        "jid": one.jid,
        "tick": iso(one.tick),
        "enqueued_at": iso(one.enqueued_at),
        "late_s": one.late_s,
        "kept_out_by": one.kept_out_by,
    }
