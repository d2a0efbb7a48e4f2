"""Retries, scheduled, dead: lists to search, group and act on, by hand or all at once."""

from __future__ import annotations

import base64
import collections
import datetime as dt
import json
import time
import zlib
from typing import TYPE_CHECKING, Any

from sidelamb.api.record import moment
from sidelamb.errors import BadArgument
from sidelamb_handlers.web.finding import Wanted, in_set, key_of, scan, the_set
from sidelamb_handlers.web.page import Done, Page, paged
from sidelamb_handlers.web.when import when

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.responses import Response

    from sidelamb.api import Entry
    from sidelamb_handlers.web.finding import AnySet
    from sidelamb_handlers.web.page import Visit

SIZE = 50
VERBS = {
    "retries": ("retry", "kill", "delete"),
    "scheduled": ("retry", "kill", "delete"),
    "dead": ("retry", "delete"),
}
GROUPS = {"class": "class", "error": "error"}
TIMED = ("retries", "scheduled", "s")
"""Those whose jobs can be given another time."""
MOST_GROUPS = 60
STATE_BYTES = 100_000
AT_ONCE_S = 0.8
"""How long one request of a bulk operation works."""


def _wanted(visit: Visit) -> Wanted:
    return Wanted(visit.said("q").strip(), visit.said("class"), visit.said("error"))


def _page(name: str, title: str, place: int, badge: str, key: str) -> tuple[Page, ...]:
    def bound(show: Callable[[Visit, str, AnySet], Awaitable[Any]]) -> Callable[[Visit], Awaitable[Any]]:
        async def answer(visit: Visit) -> Any:
            one = the_set(name, visit.client)
            assert one is not None  # noqa: S101 - the names are SETS' own
            return await show(visit, name, one)

        return answer

    return (
        Page(f"/{name}", bound(show), bound(act), title=title, place=place, badge=badge, key=key),
        Page(f"/{name}/all", None, bound(act_on_all)),
    )


async def show(visit: Visit, name: str, one: AnySet) -> Response:
    """Show a page of the set, what a search found so far, or its groups."""
    wanted, size = _wanted(visit), await one.asize()
    common: dict[str, Any] = {"name": name, "size": size, "wanted": wanted}
    common |= {"verbs": VERBS[name], "is_timed": name in TIMED}
    if visit.said("by") in GROUPS:
        return await _groups(visit, one, common)
    if wanted:
        return await _found(visit, one, common)
    page, pages = paged(visit.said.number("page"), size, SIZE)
    entries = await one.apage(page, SIZE, newest_first=name == "dead")
    return await visit.page("set.html", **common, rows=_rows(entries), page=page, pages=pages, partial=None)


async def _found(visit: Visit, one: AnySet, common: dict[str, Any]) -> Response:
    found: dict[bytes, Entry] = {}

    def take(entries: list[Entry]) -> bool:
        found.update((entry.raw, entry) for entry in entries)
        return len(found) >= SIZE

    cursor, before = visit.said.number("cursor", most=2**64 - 1), visit.said.number("looked")
    cursor, looked = await scan(one, common["wanted"], cursor, before, take)
    entries = sorted(found.values(), key=lambda entry: entry.score, reverse=common["name"] == "dead")
    partial = {
        "looked": min(looked, common["size"]) if cursor else common["size"],
        "next": _again(visit, common, cursor=cursor, looked=looked) if cursor else "",
        "is_first": not before,
    }
    return await visit.page("set.html", **common, rows=_rows(entries), page=0, pages=1, partial=partial)


async def _groups(visit: Visit, one: AnySet, common: dict[str, Any]) -> Response:
    by = visit.said("by")
    cursor, looked, before = _unpacked(visit.said("state"))
    counts = collections.Counter(before)

    def take(entries: list[Entry]) -> bool:
        counts.update((entry.name if by == "class" else entry.error_class) or "" for entry in entries)
        return False

    cursor, looked = await scan(one, common["wanted"], cursor, looked, take)
    groups = counts.most_common(MOST_GROUPS)
    going = _again(visit, common, by=by, state=_packed(cursor, looked, dict(groups))) if cursor else ""
    return await visit.page(
        "groups.html",
        **common,
        by=by,
        groups=groups,
        total=sum(counts.values()),
        looked=min(looked, common["size"]) if cursor else common["size"],
        going=going,
    )


def _again(visit: Visit, common: dict[str, Any], **more: Any) -> str:
    wanted = common["wanted"]
    fields = {"q": wanted.text, "class": wanted.name, "error": wanted.error, **more}
    return visit.url(f"/{common['name']}", **fields)


def _rows(entries: list[Entry]) -> list[tuple[str, Entry]]:
    return [(key_of(entry), entry) for entry in entries]


async def act(visit: Visit, name: str, one: AnySet) -> Done:
    """Act on what was selected."""
    do, keys = visit.said("do"), visit.said.every("key")
    at = _time_for(do, visit, one)
    n, jids = 0, []
    for key in keys[:1_000]:
        entry = await in_set(one, key)
        if entry is None or (do == "retry" and entry.malformed):
            continue
        if await _one(one, do, entry, at):
            n += 1
            jids.append(entry.jid)
    wanted = _wanted(visit)
    then = visit.to(
        f"/{name}",
        **{"q": wanted.text, "class": wanted.name, "error": wanted.error},
        page=visit.said.number("page") or "",
        did=do,
        n=n,
        of=len(keys),
    )
    return Done(f"job.{do}", name, n, then, {"jids": jids, **_to(at)})


def _time_for(do: str, visit: Visit, one: AnySet) -> float | None:
    """Return epoch s for what needs a time, else None.

    Raises:
        BadArgument: the set has no such action, or the time is none that can be.
    """
    if do not in one.verbs():
        raise BadArgument("this set has no such action")
    return when(visit) if do == "reschedule" else None


def _to(at: float | None) -> dict[str, Any]:
    """Return for the audit what time jobs were given."""
    return {} if at is None else {"to": dt.datetime.fromtimestamp(at, dt.UTC).isoformat()}


async def _one(one: Any, do: str, entry: Entry, at: float | None) -> bool:
    moved: bool = await getattr(one, f"a{do}")(entry, *(() if at is None else (at,)))
    return moved


async def act_on_all(visit: Visit, name: str, one: AnySet) -> Done:
    """Act on all that match, for a moment; then say how far it is, and go on when asked again."""
    do, wanted = visit.said("do"), _wanted(visit)
    at = _time_for(do, visit, one)
    began, rank = visit.said.real("began") or visit.client.now(), visit.said.number("rank")
    looked, moved, skipped = (visit.said.number(field) for field in ("looked", "moved", "skipped"))
    total = visit.said.number("total") or await one.asize()
    end, now_moved, left = time.monotonic() + AT_ONCE_S, 0, True
    while left:
        swept = await one.asweep(do, wanted.matches, began, rank, at)  # type: ignore[arg-type]  # it says so itself
        now_moved += swept.moved
        moved, skipped, looked = moved + swept.moved, skipped + swept.skipped, looked + swept.looked
        left, rank = swept.rank is not None, swept.rank or 0
        if time.monotonic() > end:
            break
    fields: dict[str, Any] = {
        "do": do,
        "q": wanted.text,
        "class": wanted.name,
        "error": wanted.error,
        "began": repr(began),
    }
    fields |= {"rank": rank, "looked": looked, "moved": moved, "skipped": skipped, "total": total}
    if at is not None:
        fields["due"] = repr(at)
    to = moment(at)
    then = await visit.page("sweep.html", name=name, do=do, left=left, fields=fields, wanted=wanted, to=to)
    said: dict[str, Any] = {
        "all": True,
        "text": wanted.text,
        "class": wanted.name,
        "error": wanted.error,
        "complete": not left,
    }
    return Done(f"job.{do}", name, now_moved, then, said | _to(at))


def _packed(cursor: int, looked: int, counts: dict[str, int]) -> str:
    """Return where a grouping stands, for an address: it is kept nowhere else."""
    kept = {name[:200]: n for name, n in counts.items()}
    return base64.urlsafe_b64encode(zlib.compress(json.dumps([cursor, looked, kept]).encode())).decode()


def _unpacked(state: str) -> tuple[int, int, dict[str, int]]:
    """Return where a grouping stood; from the start, if it cannot be read."""
    try:
        text = zlib.decompressobj().decompress(base64.urlsafe_b64decode(state), STATE_BYTES)
        cursor, looked, counts = json.loads(text)
        known = {str(name): int(n) for name, n in counts.items() if 0 <= int(n) <= 10**12}
        return int(cursor) % 2**64, max(0, min(int(looked), 10**12)), known
    except (ValueError, TypeError, AttributeError, zlib.error, OverflowError, RecursionError):
        return 0, 0, {}


PAGES = (
    *_page("retries", "Retries", 20, "retrying", "r"),
    *_page("scheduled", "Scheduled", 30, "scheduled", "s"),
    *_page("dead", "Dead", 40, "dead", "x"),
)
