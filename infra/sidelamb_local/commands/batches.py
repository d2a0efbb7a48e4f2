"""`sidelamb batches`: jobs that belong together, how far they are, and an end to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sidelamb_local.commands.group import group
from sidelamb_local.commands.options import JsonOption, PageOption, RedisOption, SizeOption, YesOption, connect
from sidelamb_local.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb import Batch, Batches, BatchStatus

HELP = """
Look at batches and workflows, wait for them, cancel them.

    sidelamb batches list
    sidelamb batches show BID
    sidelamb batches wait BID --timeout 600
    sidelamb batches cancel BID
"""
MOST_LINES = 500
MOST_DEAD = 20
BidArgument = Annotated[str, typer.Argument(metavar="BID", help="The batch's id.")]


def list_(
    page: PageOption = 1, size: SizeOption = 25, as_json: JsonOption = False, redis: RedisOption = ""
) -> None:
    """List the batches: those that are not over first, the newest first.

    sidelamb batches list
    sidelamb batches list --json --page 0 | jq 'select(.state == "complete") | .dead'
    """
    from sidelamb import Batches
    from sidelamb_local import batch_view
    from sidelamb_local.listing import Listing

    batches = Batches(connect(redis))
    Listing(
        "batches",
        batches.size,
        batches.page,
        lambda: _every(batches, size),
        batch_view.as_json,
        batch_view.COLUMNS,
        batch_view.row,
        batch_view.NUMBERS,
    ).show(page, size, as_json=as_json)


def show(bid: BidArgument, as_json: JsonOption = False, redis: RedisOption = "") -> None:
    """Show a batch and those in it as a tree, each with how far it is. Not there: status 1.

    sidelamb batches show 3f2a9c0d1e4b5a6978877665
    sidelamb batches show 3f2a9c0d1e4b5a6978877665 --json
    """
    from itertools import islice

    from sidelamb_local.batch_view import tree, with_children
    from sidelamb_local.out import document, line, note, say

    status = _status(_batch(bid, redis))
    if as_json:
        document(with_children(status))
        return
    lines = tree(status)
    for each in islice(lines, MOST_LINES):
        line(each)
    if left := sum(1 for _ in lines):
        note(f"{left:,} more are in it; --json shows all")
    for name in ("tags", "dead"):
        values = getattr(status, name)
        if values:
            say()
            line(f"{name}: {', '.join(values[:MOST_DEAD])}{', …' if len(values) > MOST_DEAD else ''}")


def wait(
    bid: BidArgument,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="Wait no longer. Default: no end.")
    ] = None,
    as_json: JsonOption = False,
    redis: RedisOption = "",
) -> None:
    """Wait until nothing of a batch is going to run by itself, with a bar. Status 0 if it has succeeded, else 1.

    What is dead then waits for a person. Ctrl-C ends the waiting, not the batch.

        sidelamb batches wait 3f2a9c0d1e4b5a6978877665
        sidelamb batches wait 3f2a9c0d1e4b5a6978877665 --timeout 600 && ./deploy
    """
    from sidelamb import BatchGone
    from sidelamb_local import batch_view
    from sidelamb_local.out import document, line, note

    try:
        status, is_still, goes_on = batch_view.wait(_batch(bid, redis), timeout_s)
    except BatchGone:
        _gone(bid)
    if as_json:
        document(batch_view.with_children(status))
    else:
        line(next(batch_view.tree(status)))
    if not is_still:
        note("interrupted; the batch goes on" if not goes_on else f"it has not ended in {timeout_s:g} s")
    if status.state != "succeeded":
        raise typer.Exit(1 if goes_on else EXIT_INTERRUPTED)


def cancel(bid: BidArgument, yes: YesOption = False, redis: RedisOption = "") -> None:
    """Cancel what of a batch, and of those in it, has not run. Asks first: it cannot be taken back.

    Jobs that run see it, and may end. `on_success` is not called any more.

        sidelamb batches cancel 3f2a9c0d1e4b5a6978877665
        sidelamb batches cancel 3f2a9c0d1e4b5a6978877665 --yes
    """
    from sidelamb_local.commands.asking import ask
    from sidelamb_local.out import line

    batch = _batch(bid, redis)
    status = _status(batch)
    if status.state in {"succeeded", "failed", "cancelled"}:
        line(f"{bid} was {'cancelled' if status.state == 'cancelled' else 'over'}")
        return
    if not yes:
        ask(f"cancel {status.description or bid}, {status.pending:,} of {status.total:,} pending")
    batch.cancel()
    line(f"{bid} cancelled")


def _batch(bid: str, redis: str) -> Batch:
    from sidelamb import Batch

    return Batch.of(bid, connect(redis))


def _status(batch: Batch) -> BatchStatus:
    from sidelamb import BatchGone

    try:
        return batch.status()
    except BatchGone:
        _gone(batch.bid)


def _gone(bid: str) -> NoReturn:
    from sidelamb_local.out import note

    note(f"nothing is known of batch {bid!r}: it has expired, or never was; `sidelamb batches list` has all")
    raise typer.Exit(1)


def _every(batches: Batches, size: int) -> Iterator[BatchStatus]:
    for number in range(-(-batches.size() // size)):
        yield from batches.page(number, size)


batches = group(HELP)
batches.command("list")(list_)
for one in (show, wait, cancel):
    batches.command()(one)
