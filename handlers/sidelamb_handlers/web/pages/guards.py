"""Limits and locks: what holds jobs back, and who has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from sidelamb.api import Limits, Locks
from sidelamb_handlers.web.page import Done, Page, paged

if TYPE_CHECKING:
    from starlette.responses import Response

    from sidelamb.api import LimitState
    from sidelamb_handlers.web.page import Visit

SIZE = 50
MOST_HOLDERS = 100


async def show(visit: Visit) -> Response:
    """Show both, each with pages of its own."""
    limits, locks = Limits(visit.client), Locks(visit.client)
    limit_count, lock_count = await limits.asize(), await locks.asize()
    limit_page, limit_pages = paged(visit.said.number("limits"), limit_count, SIZE)
    lock_page, lock_pages = paged(visit.said.number("locks"), lock_count, SIZE)
    q = visit.said("q").strip()
    found = await locks.afind(q) or await locks.aget(q) if q else None
    return await visit.page(
        "guards.html",
        limits=await limits.apage(limit_page, SIZE),
        limit_count=limit_count,
        limit_page=limit_page,
        limit_pages=limit_pages,
        locks=([found] if found else []) if q else await locks.apage(lock_page, SIZE),
        lock_count=lock_count,
        lock_page=lock_page,
        lock_pages=lock_pages,
        q=q,
    )


async def show_limit(visit: Visit) -> Response:
    """Show one limit and who has its places."""
    limit = await _limit(visit)
    holders = [] if limit.kind == "bucket" else await Limits(visit.client).aholders(limit, 0, MOST_HOLDERS)
    return await visit.page("limit.html", limit=limit, holders=holders)


async def act(visit: Visit) -> Done:
    """Give a lock back."""
    key, jid = visit.said("key"), visit.said("jid")
    locks = Locks(visit.client)
    lock = await locks.aget(key)
    n = int(lock is not None and lock.jid == jid and await locks.arelease(lock))
    return Done("lock.release", key, n, visit.to("/guards", did="release", n=n, of=1), {"jid": jid})


async def act_on_limit(visit: Visit) -> Done:
    """Give back one place of a limit, or forget all that is taken."""
    do = visit.said.choice("do", "release", "reset")
    limit, limits, who = await _limit(visit), Limits(visit.client), visit.said("member")
    about = {"kind": limit.kind, "name": limit.name}
    if do == "reset":
        await limits.areset(limit)
        return Done("limit.reset", limit.name, 1, visit.to("/guards", did="reset", n=1, of=1))
    n = int(await limits.arelease(limit, who))
    then = visit.to("/limit", **about, did="release", n=n, of=1)
    return Done("limit.release", limit.name, n, then, {"holder": who})


async def _limit(visit: Visit) -> LimitState:
    kind, name = visit.said("kind"), visit.said("name")
    found = await Limits(visit.client).afind(f"{kind}:{name}")
    if found is None:
        raise HTTPException(404, "Nothing is taken of such a limit")
    return found


PAGES = (
    Page("/guards", show, act, title="Limits and locks", place=70, key="l"),
    Page("/limit", show_limit, act_on_limit),
)
