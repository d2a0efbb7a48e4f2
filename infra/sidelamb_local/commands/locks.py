"""`sidelamb locks`: the locks of unique jobs, given back by hand, or where their job is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidelamb_local.commands.group import group
from sidelamb_local.commands.options import JsonOption, PageOption, RedisOption, SizeOption, connect

if TYPE_CHECKING:
    from sidelamb.api import Lock

HELP = """
Look at the locks of unique jobs, and give back what was left behind.

    sidelamb locks list
    sidelamb locks find JID
    sidelamb locks release KEY
    sidelamb locks release-lost
"""
COLUMNS = ("job", "jid", "until", "key")


def list_(
    page: PageOption = 1, size: SizeOption = 100, as_json: JsonOption = False, redis: RedisOption = ""
) -> None:
    """List the locks, the first to end by itself first.

    sidelamb locks list
    sidelamb locks list --json --page 0 | jq .name
    """
    from sidelamb.api import Locks
    from sidelamb_local.listing import Listing

    locks = Locks(connect(redis))
    Listing("locks", locks.size, locks.page, lambda: locks, _as_json, COLUMNS, _row).show(
        page, size, as_json=as_json
    )


def find(
    jid: Annotated[str, typer.Argument(metavar="JID", help="The job's id.")],
    as_json: JsonOption = False,
    redis: RedisOption = "",
) -> None:
    """Find the lock that a job holds. Looks at all locks. None: status 1.

    sidelamb locks find b4a577edbccf1d805744efa9
    """
    from sidelamb.api import Locks
    from sidelamb_local.out import json_line, note, table

    lock = Locks(connect(redis)).find(jid)
    if lock is None:
        note(f"the job {jid!r} holds no lock")
        raise typer.Exit(1)
    if as_json:
        json_line(_as_json(lock))
    else:
        table(COLUMNS, [_row(lock)])


def release(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Keys of locks, as they are listed.")],
    redis: RedisOption = "",
) -> None:
    """Give locks back. The job that held one runs on, and so may another one now. Not held: status 1.

    sidelamb locks release jobs.sync:0f1e2d3c4b5a69788796a5b4c3d2e1f0
    """
    from sidelamb.api import Locks
    from sidelamb_local.out import line, note

    locks = Locks(connect(redis))
    released = 0
    for key in keys:
        if locks.release(key):
            released += 1
            line(f"{key} released")
        else:
            note(f"nobody holds a lock {key!r}; `sidelamb locks find JID` says which one a job holds")
    if released < len(keys):
        raise typer.Exit(1)


def release_lost(as_json: JsonOption = False, redis: RedisOption = "") -> None:
    """Give back the locks whose jobs are provably gone, as the scheduler does once a minute; prints them.

    Looks at 1,000 locks, drawn at random. Where much waits nothing can be proven, and nothing is given back.

        sidelamb locks release-lost
    """
    from sidelamb.api import Locks
    from sidelamb_local.out import json_line, note, table

    gone = Locks(connect(redis)).release_lost()
    if as_json:
        for lock in gone:
            json_line(_as_json(lock))
        return
    if gone:
        table(COLUMNS, [_row(lock) for lock in gone])
    note(f"{len(gone):,} released")


def _as_json(lock: Lock) -> dict[str, Any]:
    """Return a lock for a program. The fields stand in docs/command-line.md."""
    from sidelamb_local.plain import iso

    return {"key": lock.key, "name": lock.name, "jid": lock.jid, "until": iso(lock.until)}


def _row(lock: Lock) -> list[Any]:
    from sidelamb_local.listing import clock

    return [lock.name, lock.jid, clock(lock.until), lock.key]


locks = group(HELP)
locks.command("list")(list_)
locks.command()(find)
locks.command()(release)
locks.command("release-lost")(release_lost)
