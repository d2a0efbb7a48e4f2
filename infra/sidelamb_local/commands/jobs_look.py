"""`sidelamb jobs list`, `find` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidelamb_local.commands.jobs_options import ClassOption, ErrorOption, MatchOption, SetArgument
from sidelamb_local.commands.options import JsonOption, PageOption, RedisOption, SizeOption, connect
from sidelamb_local.errors import LocalStackError

if TYPE_CHECKING:
    from sidelamb.api import JobRecord

MANY = 2**62


def list_(
    set_: SetArgument,
    name: ClassOption = "",
    error: ErrorOption = "",
    match: MatchOption = "",
    newest: Annotated[bool, typer.Option("--newest", help="The highest time first.")] = False,
    page: PageOption = 1,
    size: SizeOption = 50,
    as_json: JsonOption = False,
    redis: RedisOption = "",
) -> None:
    """List the jobs of a set, the lowest time first; of a queue, the newest first.

    sidelamb jobs list retries --error TimeoutError
    sidelamb jobs list dead --newest --page 2
    sidelamb jobs list queue:mail --match 'a*@example.com'
    sidelamb jobs list scheduled --json --page 0 | jq .class
    """
    from sidelamb_local.out import json_line, note, table
    from sidelamb_local.places import Wanted, place_of
    from sidelamb_local.places import as_json as json_of

    first, last = _range(page, size, as_json=as_json)
    place, wanted = place_of(set_, connect(redis)), Wanted(name=name, error=error, text=match)
    found = place.some(wanted, first, last - first, newest=newest)
    if as_json:
        for record in found:
            json_line(json_of(place.name, record))
        return
    rows = list(found)
    table(COLUMNS, [_row(record) for record in rows], right=("retries",))
    total = f"{place.jobs.size():,} in {place.name}"
    if not rows:
        note(f"none on page {page}; {total}")
    else:
        more = f"; more: --page {page + 1}" if len(rows) == size else ""
        note(f"{first + 1:,} to {first + len(rows):,}{' of those that match' if wanted else ''}; {total}{more}")


def find(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="As of --match: an id, a class, an argument.")],
    name: ClassOption = "",
    error: ErrorOption = "",
    page: PageOption = 1,
    size: SizeOption = 50,
    as_json: JsonOption = False,
    redis: RedisOption = "",
) -> None:
    """Find jobs in all sets and queues. Looks at everything: seconds for a million jobs. None found: status 1.

    sidelamb jobs find b4a577edbccf1d805744efa9
    sidelamb jobs find 'a*@example.com' --json --page 0
    """
    from itertools import islice

    from sidelamb_local.out import json_line, note, table
    from sidelamb_local.places import Wanted, places
    from sidelamb_local.places import as_json as json_of

    first, last = _range(page, size, as_json=as_json)
    wanted, rows = Wanted(name=name, error=error, text=text), 0
    everywhere = (
        (place.name, record) for place in places(connect(redis)) for record in place.some(wanted, 0, MANY)
    )
    shown: list[list[Any]] = []
    for where, record in islice(everywhere, first, last):
        rows += 1
        if as_json:
            json_line(json_of(where, record))
        else:
            shown.append([where, *_row(record)])
    if not as_json:
        table(("in", *COLUMNS), shown, right=("retries",))
        more = f"; more: --page {page + 1}" if rows == size else ""
        note(f"{first + 1:,} to {first + rows:,} of those that match{more}" if rows else f"none on page {page}")
    if not rows:
        raise typer.Exit(1)


def show(
    jid: Annotated[str, typer.Argument(metavar="JID", help="The job's id.")],
    as_json: JsonOption = False,
    redis: RedisOption = "",
) -> None:
    """Show one job, wherever it is: arguments, times, the last error and its backtrace. Not there: status 1.

    sidelamb jobs show b4a577edbccf1d805744efa9
    sidelamb jobs show b4a577edbccf1d805744efa9 --json
    """
    from sidelamb_local.out import document, note, say
    from sidelamb_local.places import as_json as json_of
    from sidelamb_local.places import where_is
    from sidelamb_local.plain import plain

    found = next(where_is(jid, connect(redis)), None)
    if found is None:
        note(f"no job has the id {jid!r}: it has run, or was deleted; `sidelamb logs --jid {jid}` says more")
        raise typer.Exit(1)
    where, record = found
    fields = {**json_of(where, record), "backtrace": record.backtrace}
    if as_json:
        document(fields)
        return
    fields["args"] = _long(record)
    del fields["kwargs"], fields["encrypted"], fields["backtrace"]
    for field, value in fields.items():
        if value not in (None, "", []):
            say(f"{field:>13}  {plain(_joined(value), LONG)}")
    for each in record.backtrace[:MOST_LINES]:
        say(f"{'':>13}  {plain(each, 500)}")


COLUMNS = ("jid", "class", "arguments", "at", "retries", "error")
LONG, MOST_LINES = 4_000, 100


def _range(page: int, size: int, *, as_json: bool) -> tuple[int, int]:
    """Return from where to where a page is; page 0 is all of them.

    Raises:
        LocalStackError: all of them, for a person.
    """
    if not page and not as_json:
        raise LocalStackError("--page 0, for all of them, is for --json; pages are counted from 1")
    return ((page - 1) * size, page * size) if page else (0, MANY)


def _row(record: JobRecord) -> list[Any]:
    from sidelamb.api import Entry
    from sidelamb_local.plain import arguments

    at = record.at if isinstance(record, Entry) else record.enqueued_at
    error = f"{record.error_class}: {record.error_message}" if record.error_class else record.error_message
    when = f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""
    count = "" if record.retry_count is None else record.retry_count
    name = "(no job)" if record.malformed else record.name
    return [record.jid, name, arguments(record, 60), when, count, error]


def _long(record: JobRecord) -> str:
    from sidelamb_local.plain import arguments

    return arguments(record, LONG)


def _joined(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
