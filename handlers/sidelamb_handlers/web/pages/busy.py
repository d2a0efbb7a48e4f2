"""What is in flight: pollers and other processes, invocations, and the jobs of one of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from sidelamb.api import Leases, Processes, Work
from sidelamb_handlers.web.finding import digest
from sidelamb_handlers.web.logs import lines_of
from sidelamb_handlers.web.page import Done, Page

if TYPE_CHECKING:
    import datetime as dt

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
        running=[(one, _lines(one.request_id, one.since)) for one in sorted(running[:MOST], key=_since)],
        leases=[(one, _lines(one.request_id, one.claimed_at)) for one in leases],
        page=page,
        lease_count=await Leases(visit.client).asize(),
    )


async def show_lease(visit: Visit) -> Response:
    """Show one lease, with the jobs that are still in it."""
    leases, name = Leases(visit.client), visit.said("id")
    lease = await leases.afind(name)
    if lease is None:
        raise HTTPException(404, "That invocation is over: its lease is not there any more")
    records, after = await leases.ajobs(name, visit.said.number("cursor", most=2**64 - 1))
    return await visit.page(
        "lease.html",
        lease=lease,
        rows=[(digest(record.raw), record) for record in records],
        after=after,
        logs=_lines(lease.request_id, lease.claimed_at),
    )


def _lines(request_id: str, since: dt.datetime | None) -> str:
    return lines_of(request_id, since.timestamp() if since else None)


def _since(one: Running) -> float:
    return one.since.timestamp() if one.since else 0.0


async def act(visit: Visit) -> Done:
    """Have one process, or all, take no more jobs or end."""
    processes, do = Processes(visit.client), visit.said.choice("do", "quiet", "stop")
    who, tell = visit.said("identity"), processes.astop if do == "stop" else processes.aquiet
    if who:
        told = int(await tell(who))
    else:
        every = [process.identity async for process in processes if not process.info.get("embedded")]
        told = sum(await asyncio.gather(*(tell(one) for one in every)))
    return Done(f"process.{do}", who or "all", told, visit.to("/busy", did=do, n=told, of=1 if who else told))


PAGES = (
    Page("/busy", show, act, title="In flight", place=15, badge="leases", key="f"),
    Page("/lease", show_lease),
)
