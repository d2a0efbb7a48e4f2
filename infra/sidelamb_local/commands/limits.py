"""`sidelamb limits`: how much of each limit is taken and by whom, and places given back by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidelamb_local.commands.group import group
from sidelamb_local.commands.options import JsonOption, PageOption, RedisOption, SizeOption, YesOption, connect
from sidelamb_local.errors import LocalStackError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb.api import Holder, Limits, LimitState

HELP = """
Look at limits that are in use, and give back what leaked.

A NAME is as it is listed, like concurrent:api; api alone will do where only one limit is called so.

    sidelamb limits list
    sidelamb limits show concurrent:api
    sidelamb limits release concurrent:api HOLDER
    sidelamb limits reset concurrent:api
"""
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The limit's name, like concurrent:api.")]
KINDS = ("concurrent", "window", "bucket")
COLUMNS = ("name", "used", "most", "per", "free again")
SOME = 1_000
"""Limits among which a misspelt one is looked for."""


def list_(
    page: PageOption = 1, size: SizeOption = 100, as_json: JsonOption = False, redis: RedisOption = ""
) -> None:
    """List the limits of which something is taken, that which will be unused first, first.

    sidelamb limits list
    sidelamb limits list --json --page 0 | jq 'select(.free == 0) | .name'
    """
    from sidelamb.api import Limits
    from sidelamb_local.listing import Listing

    limits = Limits(connect(redis))
    Listing(
        "limits", limits.size, limits.page, lambda: limits, _as_json, COLUMNS, _row, ("used", "most", "per")
    ).show(page, size, as_json=as_json)


def show(
    name: NameArgument,
    page: PageOption = 1,
    size: SizeOption = 100,
    as_json: JsonOption = False,
    redis: RedisOption = "",
) -> None:
    """Show a limit and who has its places, the first to be free first. Nothing of it is taken: status 1.

    Nobody knows who has filled a bucket. HOLDER is what `release` takes.

        sidelamb limits show concurrent:api
        sidelamb limits show window:jobs.send/acme --json --page 0
    """
    from sidelamb.api import Limits
    from sidelamb_local.listing import clock
    from sidelamb_local.out import document, table

    if not page and not as_json:
        raise LocalStackError("--page 0, for all of them, is for --json; pages are counted from 1")
    limits = Limits(connect(redis))
    limit = _found(limits, name)
    holders = limits.holders(limit, page - 1, size) if page else list(_holders(limits, limit))
    if as_json:
        document({**_as_json(limit), "holders": [_holder(each) for each in holders]})
        return
    table(COLUMNS, [_row(limit)], right=("used", "most", "per"))
    if holders:
        table(("holder", "until"), [(each.member, clock(each.until)) for each in holders])


def release(
    name: NameArgument,
    holders: Annotated[list[str], typer.Argument(metavar="HOLDER...", help="As `show` has it; or a job's id.")],
    redis: RedisOption = "",
) -> None:
    """Give back places of a limit. Who held one runs on, and so may another one now. Not held: status 1.

    sidelamb limits release concurrent:api b4a577edbccf1d805744efa9
    """
    from sidelamb.api import Limits
    from sidelamb_local.out import line, note

    limits = Limits(connect(redis))
    limit = _found(limits, name)
    released = 0
    for holder in holders:
        if limits.release(limit, holder):
            released += 1
            line(f"{holder} released")
        else:
            note(f"{holder} holds nothing of {_name(limit)}; `sidelamb limits show` has those who do")
    if released < len(holders):
        raise typer.Exit(1)


def reset(name: NameArgument, yes: YesOption = False, redis: RedisOption = "") -> None:
    """Forget all that is taken of a limit. Asks first. Jobs that hold a place run on.

    sidelamb limits reset window:jobs.send/acme
    sidelamb limits reset concurrent:api --yes
    """
    from sidelamb.api import Limits
    from sidelamb_local.commands.asking import ask
    from sidelamb_local.out import line

    limits = Limits(connect(redis))
    limit = _found(limits, name)
    if not yes:
        ask(f"forget the {limit.used:,} that are taken of {_name(limit)}")
    limits.reset(limit)
    line(f"{_name(limit)} reset")


def _found(limits: Limits, name: str) -> LimitState:
    """Return the limit of this name.

    Raises:
        LocalStackError: several kinds have it.
        Exit: nothing is taken of one.
    """
    from itertools import islice

    from sidelamb.wording import did_you_mean
    from sidelamb_local.out import note

    whole = limits.find(name)
    found = [whole] if whole else [one for kind in KINDS if (one := limits.find(f"{kind}:{name}"))]
    if len(found) > 1:
        raise LocalStackError(f"several limits are called {name!r}; say which: {', '.join(map(_name, found))}")
    if not found:
        known = [_name(one) for one in islice(limits, SOME)]
        bare = [one.partition(":")[2] for one in known]
        note(f"nothing is taken of a limit {name!r}.{did_you_mean(name, [*known, *bare])}")
        raise typer.Exit(1)
    return found[0]


def _holders(limits: Limits, limit: LimitState) -> Iterator[Holder]:
    number = 0
    while page := limits.holders(limit, number, SOME):
        yield from page
        number += 1


def _name(limit: LimitState) -> str:
    return f"{limit.kind}:{limit.name}"


def _as_json(limit: LimitState) -> dict[str, Any]:
    """Return a limit for a program. The fields stand in docs/command-line.md."""
    from sidelamb_local.plain import iso

    return {
        "name": _name(limit),
        "kind": limit.kind,
        "most": limit.most,
        "per": limit.per,
        "used": limit.used,
        "free": limit.free,
        "until": iso(limit.until),
    }


def _holder(holder: Holder) -> dict[str, Any]:
    from sidelamb_local.plain import iso

    return {"holder": holder.member, "jid": holder.who, "until": iso(holder.until)}


def _row(limit: LimitState) -> list[Any]:
    from sidelamb_local.listing import clock

    per = "" if limit.per is None else f"{limit.per:g} s"
    return [_name(limit), f"{limit.used:,}", f"{limit.most:,}", per, clock(limit.until)]


limits = group(HELP)
limits.command("list")(list_)
for one in (show, release, reset):
    limits.command()(one)
