"""The queues, and one queue's jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidelamb.api import Stats
from sidelamb.names import is_queue_name
from sidelamb_handlers.web.finding import digest, in_queue
from sidelamb_handlers.web.page import Done, Page, paged
from sidelamb_handlers.web.queue_names import queue_of, spoken

if TYPE_CHECKING:
    from starlette.responses import Response

    from sidelamb.api import Queue
    from sidelamb_handlers.web.page import Visit

SIZE = 50
MOST = 200


async def show(visit: Visit) -> Response:
    """Show all queues."""
    queues = [*(await Stats(visit.client).alisted()).items()]
    page = visit.said.number("page", most=len(queues) // MOST)
    part = queues[page * MOST : (page + 1) * MOST]
    longest = max((queue.size for _, queue in queues), default=0)
    return await visit.page(
        "queues.html", queues=part, page=page, more=len(queues) > (page + 1) * MOST, longest=longest
    )


async def show_one(visit: Visit) -> Response:
    """Show one queue's jobs, the newest first."""
    queue = await queue_of(visit.said("name"), visit.client)
    if foreign_key := await queue.aforeign_key():
        paused = await queue.ais_paused()
        return await visit.page("queue.html", called=queue.name, is_paused=paused, foreign_key=foreign_key)
    size = await queue.asize()
    page, pages = paged(visit.said.number("page"), size, SIZE)
    records = await queue.apage(page, SIZE)
    return await visit.page(
        "queue.html",
        called=queue.name,
        foreign_key="",
        name=spoken(queue.raw),
        size=size,
        latency=await queue.alatency(),
        is_paused=await queue.ais_paused(),
        rows=[(digest(record.raw), record) for record in records],
        page=page,
        pages=pages,
    )


async def act(visit: Visit) -> Done:
    """Pause, resume or clear a queue, or delete jobs of it."""
    do = visit.said.choice("do", "pause", "resume", "clear", "delete")
    queue = await queue_of(visit.said("name"), visit.client)
    then = visit.to("/queue", name=spoken(queue.raw)) if visit.said("from") == "one" else visit.to("/queues")
    if do == "clear":
        n = await queue.aclear()
        is_ours = is_queue_name(queue.name)  # another's name is not to be found any more
        return Done("queue.clear", queue.name, n, then if is_ours else visit.to("/queues"))
    if do == "delete":
        return await _delete(visit, queue)
    if do == "resume":
        return Done("queue.resume", queue.name, int(await queue.aresume()), then)
    return Done("queue.pause", queue.name, int(await queue.apause()), then)


async def _delete(visit: Visit, queue: Queue) -> Done:
    keys, page, n, jids = visit.said.every("key"), visit.said.number("page"), 0, []
    for key in keys:
        record = await in_queue(queue, key, page, SIZE)
        if record is not None and await queue.adelete(record):
            n += 1
            jids.append(record.jid)
    then = visit.to("/queue", name=spoken(queue.raw), page=page or "", did="delete", n=n, of=len(keys))
    return Done("job.delete", f"queue {queue.name}", n, then, {"jids": jids})


PAGES = (
    Page("/queues", show, act, title="Queues", place=10, badge="enqueued", key="q"),
    Page("/queue", show_one, act),
)
