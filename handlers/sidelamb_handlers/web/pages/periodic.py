"""Periodic jobs: when each comes next, and what it has enqueued."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from sidelamb.api import Periodics
from sidelamb_handlers.web.page import Done, Page, paged

if TYPE_CHECKING:
    from starlette.responses import Response

    from sidelamb_handlers.web.page import Visit

SIZE = 50


async def show(visit: Visit) -> Response:
    """Show all of them, by name."""
    periodics = Periodics(visit.client)
    size = await periodics.asize()
    page, pages = paged(visit.said.number("page"), size, SIZE)
    shown = await periodics.apage(page, SIZE)
    return await visit.page("periodics.html", rows=shown, size=size, page=page, pages=pages)


async def show_one(visit: Visit) -> Response:
    """Show one, and its last ticks."""
    periodics, name = Periodics(visit.client), visit.said("name")
    one = await periodics.afind(name)
    if one is None:
        raise HTTPException(404, "There is no such periodic job")
    return await visit.page("periodic.html", one=one, history=await periodics.ahistory(name))


async def act(visit: Visit) -> Done:
    """Pause or resume one, or run it now."""
    periodics, name = Periodics(visit.client), visit.said("name")
    do = visit.said.choice("do", "pause", "resume", "run")
    path = "/periodic/one" if visit.said("from") == "one" else "/periodic"
    about = {"name": name} if visit.said("from") == "one" else {}
    if do == "run":
        jid = await periodics.arun_now(name)
        return Done("periodic.run", name, 1, visit.to(path, **about, did="run", n=1, of=1), {"jid": jid})
    if do == "resume":
        return Done("periodic.resume", name, int(await periodics.aresume(name)), visit.to(path, **about))
    return Done("periodic.pause", name, int(await periodics.apause(name)), visit.to(path, **about))


PAGES = (Page("/periodic", show, act, title="Periodic", place=65, key="p"), Page("/periodic/one", show_one, act))
