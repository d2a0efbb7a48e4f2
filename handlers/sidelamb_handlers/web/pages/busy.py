"""What is in flight: pollers and other processes, invocations and their jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidelamb.api import Leases, Processes, Work
from sidelamb_handlers.web.page import Done, Page

if TYPE_CHECKING:
    from starlette.responses import Response

    from sidelamb.api import Running
    from sidelamb_handlers.web.page import Visit

MOST = 200


async def show(visit: Visit) -> Response:
    """Show it."""
    processes, after = await Processes(visit.client).apage(visit.said.number("cursor"))
    work = Work(visit.client)
    running: list[Running] = []
    for process in processes:
        if len(running) >= MOST:
            break
        found, _ = await work.aof(process.identity)
        running += found
    page = visit.said.number("page", most=10**6)
    leases = await Leases(visit.client).apage(page, 100)
    return await visit.page(
        "busy.html",
        processes=processes,
        after=after,
        running=sorted(running[:MOST], key=_since),
        leases=leases,
        page=page,
        lease_count=await Leases(visit.client).asize(),
    )


def _since(one: Running) -> float:
    return one.since.timestamp() if one.since else 0.0


async def act(visit: Visit) -> Done:
    """Have one process, or all, take no more jobs or end."""
    processes, do = Processes(visit.client), "stop" if visit.said("do") == "stop" else "quiet"
    who, tell = visit.said("identity"), processes.astop if do == "stop" else processes.aquiet
    if who:
        told = int(await tell(who))
    else:
        every = [process.identity async for process in processes if not process.info.get("embedded")]
        told = sum(await asyncio.gather(*(tell(one) for one in every)))
    return Done(f"process.{do}", who or "all", told, visit.to("/busy", did=do, n=told, of=1 if who else told))


PAGES = (Page("/busy", show, act, title="In flight", place=15, badge="leases"),)
