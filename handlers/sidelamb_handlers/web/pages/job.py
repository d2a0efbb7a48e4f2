"""One job, wherever it is: its life, its arguments, its error; and run again with others or in another queue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from sidelamb.api import Leases
from sidelamb.errors import BadArgument
from sidelamb_handlers.web.finding import SETS, in_lease, in_queue, in_set, the_set
from sidelamb_handlers.web.kept import kept_of
from sidelamb_handlers.web.life import life
from sidelamb_handlers.web.logs import lines_of
from sidelamb_handlers.web.page import Done, Page
from sidelamb_handlers.web.pages.queues import SIZE
from sidelamb_handlers.web.pages.sets import TIMED, VERBS
from sidelamb_handlers.web.queue_names import queue_of

if TYPE_CHECKING:
    from starlette.responses import Response

    from sidelamb.api import JobRecord
    from sidelamb_handlers.web.life import Moment
    from sidelamb_handlers.web.page import Visit

SHOWN_BYTES = 64 * 1024
"""Of a payload or of arguments, on its page; the rest is counted."""


KEPT = "kept"
"""Where a job is of which only what it keeps is left."""


async def _record(visit: Visit) -> JobRecord | None:
    where, key = visit.said("in"), visit.said("key")
    one = the_set(where, visit.client)
    if one is not None:
        return await in_set(one, key)
    if where == "queue":
        return await in_queue(
            await queue_of(visit.said("name"), visit.client), key, visit.said.number("page"), SIZE
        )
    if where == "lease":
        return await in_lease(Leases(visit.client), visit.said("name"), key)
    return None


async def show(visit: Visit, *, problem: str = "", status: int = 200) -> Response:
    """Show it."""
    record, where = await _record(visit), visit.said("in")
    lease = await Leases(visit.client).afind(visit.said("name")) if where == "lease" else None
    if record is None or (where == "lease" and lease is None):
        return await _gone(visit, where, visit.said("jid"))
    moments = life(record, where, visit.now, lease)
    hidden = record.is_encrypted
    keeps = "result_ttl" in record.payload
    args, kwargs = _text(record.args), _text(record.kwargs)
    is_long = len(args) + len(kwargs) > SHOWN_BYTES
    return await visit.page(
        "job.html",
        status=status,
        problem=problem,
        job=record,
        where=where,
        key=visit.said("key"),
        number=visit.said.number("page"),
        lease=visit.said("name") if where == "lease" else "",
        waits_in=visit.said("name") if where == "queue" else "",
        kept=await kept_of(visit.client, record.jid, is_encrypted=hidden) if keeps else None,
        life=[(moment, _lines(moment, record.jid)) for moment in moments],
        hidden=hidden,
        args=visit.said("args") if problem else args[:SHOWN_BYTES],
        kwargs=visit.said("kwargs") if problem else kwargs[:SHOWN_BYTES],
        queue=visit.said("queue") if problem else record.queue,
        cut=len(args) + len(kwargs) if is_long else 0,
        payload="" if hidden else record.raw[:SHOWN_BYTES].decode(errors="backslashreplace"),
        payload_size=len(record.raw),
        verbs=() if where == "lease" else VERBS.get(where, ("delete",)),
        is_timed=where in TIMED,
        can_edit=where in SETS and not hidden and not record.malformed and not is_long,
        logs=lines_of(record.jid, record.created_at.timestamp() if record.created_at else None),
    )


async def _gone(visit: Visit, where: str, jid: str) -> Response:
    """Show what is kept of a job that is not there any more, or where to look for it."""
    kept = await kept_of(visit.client, jid)
    if kept is not None and (kept.is_gone or where == KEPT):
        return await visit.page("kept.html", kept=kept, jid=jid, logs=lines_of(jid, kept.status.enqueued_at))
    back = {"lease": "busy", KEPT: "search"}.get(where, where if where in SETS else "queues")
    return await visit.page("gone.html", status=404, back=back, jid=jid)


async def act(visit: Visit) -> Done:
    """Run it again as it was changed."""
    record, where = await _record(visit), visit.said("in")
    one = the_set(where, visit.client)
    if record is None or one is None:
        raise HTTPException(404, "The job is not there any more: it has moved, or somebody else was quicker")
    try:
        changes = _changes(visit, record)
        n = int(await one.aretry(record, **changes))  # type: ignore[arg-type]  # what a set holds is an Entry
    except BadArgument as error:
        return Done("job.refused", record.jid, 0, await show(visit, problem=str(error), status=400))
    then = visit.to(f"/{where}", did="retry", n=n, of=1)
    return Done("job.retry", record.jid, n, then, {"in": where, "changed": sorted(changes)})


def _changes(visit: Visit, record: JobRecord) -> dict[str, Any]:
    """Return what of a job was changed.

    Raises:
        BadArgument: it cannot be read.
    """
    if record.is_encrypted:
        raise BadArgument("this job's arguments are encrypted, and cannot be changed here")
    changes: dict[str, Any] = {}
    for name, kind, example, old in (
        ("args", list, '[1, "two"]', record.args),
        ("kwargs", dict, '{"name": "value"}', record.kwargs),
    ):
        text = visit.said(name).strip()
        if not text:
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadArgument(f"{name} cannot be read as JSON: {error}") from None
        if not isinstance(value, kind):
            raise BadArgument(f"{name} must be {'a list' if kind is list else 'an object'}, like {example}")
        if value != old or _text(value) != _text(old):
            changes[name] = value
    if (queue := visit.said("queue").strip()) and queue != record.queue:
        changes["queue"] = queue
    return changes


def _text(value: Any) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    return flat if len(flat) < 70 or len(flat) > SHOWN_BYTES else json.dumps(value, ensure_ascii=False, indent=2)  # noqa: PLR2004


def _lines(moment: Moment, jid: str) -> str:
    """Return where the log has an attempt's lines: by the request that it runs in, or by the job and the time."""
    began = moment.at.timestamp() if moment.at else None
    if moment.request_id:
        return lines_of(moment.request_id, began)
    return lines_of(jid, began, moment.ended_at.timestamp()) if moment.ended_at else ""


PAGES = (Page("/job", show, act),)
