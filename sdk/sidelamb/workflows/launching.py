"""Makes jobs of a workflow.

Each step is a payload that is complete but for the result that it gets, and waits in the payload of the step
before it, in `chain`. What follows a group waits in the group's batch, as what its success pushes. A group in the
middle of a chain is made by a job of our own, `sidelamb.workflows.start`, with ids that were given out before: run
twice, it makes the group once.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sidelamb import settings
from sidelamb.batches.batch import Batch, current_batch
from sidelamb.effects import beginnings
from sidelamb.errors import BadCall
from sidelamb.job import job
from sidelamb.packing import Packed, new_jid
from sidelamb.payload import decode, encode
from sidelamb.workflows.carrying import taken
from sidelamb.workflows.steps import Group, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sidelamb.batches.batch import Batch as AnyBatch
    from sidelamb.client import Client
    from sidelamb.workflows.steps import Run, Workflow

    Entry = dict[str, Any]

__all__ = ["launched", "start"]

_OF_THE_BLOCK = ("bid", "batch", "traceparent", "carried", "expiry")
"""What a step has from the one before it; and it cannot expire before its turn."""
WAITS_S = 30 * 86_400.0
"""Results of a group are there for what follows it for so long."""


def launched(workflow: Workflow, run: Run, client: Client) -> Iterator[Packed]:
    """Give the jobs that begin a workflow, to be stored in the block of `run`."""
    jid = new_jid()
    entries = _entries(workflow.nodes, client, jid, first=True)
    last = entries[-1]
    run.result_of = (last["group"]["gid"], _jids(last["group"])) if "group" in last else (run.bid, jid)
    yield from _begun(entries, run, client)


@job(name="sidelamb.workflows.start")
def start(result: Any, spec: dict[str, Any]) -> None:
    """Make a group that stands in the middle of a chain."""
    client = settings.default_client()
    with current_batch() as batch:
        for packed in _group(spec, batch, client, [result]):
            client.store_one(packed)


def _entries(nodes: Sequence[Step[Any] | Group], client: Client, last_jid: str, *, first: bool) -> list[Entry]:
    """Return what waits for each node; the last step has the given id, and its result is kept."""
    entries: list[Entry] = []
    for n, node in enumerate(nodes):
        is_first, is_last = first and n == 0, n == len(nodes) - 1
        if isinstance(node, Step):
            entries.append(_entry(node, client, last_jid if is_last else new_jid(), first=is_first))
            if is_last:
                entries[-1]["keeps"] = True
        else:
            base = os.urandom(8).hex()
            members = [
                _entries(nodes, client, f"{base}{place:08x}", first=is_first)
                for place, nodes in enumerate(node.members)
            ]
            entries.append({"group": {"gid": new_jid(), "base": base, "members": members, "name": repr(node)}})
    for entry, after in pairwise(entries):
        if "group" in after or after.get("takes"):
            entry["carries"] = True
    return entries


def _entry(step: Step[Any], client: Client, jid: str, *, first: bool) -> Entry:
    takes = step.takes(first=first)
    template, args, kwargs = step.template, list(step.args), step.kwargs
    codec = template.shape.codec
    if codec is not None:
        args, kwargs = codec.encode(args, kwargs, first=int(takes))
    payload = template.payload(args, kwargs, jid, client.now(), ms=settings.timestamps() == "ms")
    packed = client.pack_ahead(payload)
    if packed is None:
        raise BadCall(f"{template.name}: client middleware has stopped a step of a workflow")
    entry = decode(packed.raw)
    for name in _OF_THE_BLOCK:
        entry.pop(name, None)
    return entry | ({"takes": True} if takes else {})


def _begun(entries: list[Entry], batch: AnyBatch, client: Client, results: Sequence[Any] = ()) -> Iterator[Packed]:
    """Give the jobs of what comes first; `results` has the result that it takes, or none."""
    head, *rest = entries
    if "group" in head:
        yield from _group({**head["group"], "then": rest}, batch, client, results)
        return
    payload = taken(head, results[0]) if results and head.get("takes") else head
    yield _packed(_in(batch, {**payload, **_chain(rest)}), client)


def _group(spec: Entry, outer: AnyBatch, client: Client, results: Sequence[Any]) -> Iterator[Packed]:
    """Give the jobs of a group, in a batch of its own in `outer`."""
    then = spec["then"]
    batch = Batch(spec["name"], results=True, linger=WAITS_S, expires_in=WAITS_S, client=client)
    batch.bid = spec["gid"]
    if then:
        payload = _in(outer, _after(spec, then))
        after = Packed(payload["jid"], payload["class"], payload["queue"], None, encode(payload))
        batch.callbacks["success"] = after
        jids = [after.jid, *(step["jid"] for step in payload.get("chain", ()))]
        batch.more = {"members:success": " ".join(jids), "waits": 1}
    needed = bool(then) and ("group" in then[0] or then[0].get("takes", False))
    with batch:
        for entries in spec["members"]:
            if needed and "group" not in entries[-1]:
                entries[-1]["carries"] = True
            yield from _begun(entries, batch, client, results)


def _after(spec: Entry, then: list[Entry]) -> Entry:
    """Return the payload of what follows a group."""
    head, *rest = then
    results = [spec["gid"], spec["base"], len(spec["members"])]
    if "group" in head:
        return {**taken(_start(head["group"], rest), results), "given": "results"}
    if head.get("takes"):
        head = {**taken(head, results), "given": "results"}
    return {**head, **_chain(rest)}


def _chain(entries: list[Entry]) -> Entry:
    """Return the field with the steps that follow: up to the next group, which a job of our own makes."""
    steps: list[Entry] = []
    for n, entry in enumerate(entries):
        if "group" in entry:
            steps.append({**_start(entry["group"], entries[n + 1 :]), "takes": True})
            break
        steps.append(entry)
    return {"chain": steps} if steps else {}


def _start(spec: Entry, then: list[Entry]) -> Entry:
    """Return the payload of the job that makes a group, but for its first argument, the result."""
    members = spec["members"]
    first = members[0][0] if members else {}
    shown = {"queue": first.get("queue", "default"), "args": [{**spec, "then": then}]}
    return {"retry": True, **shown, "class": start.name, "jid": new_jid(), "created_at": _now(first)}


def _now(entry: Entry) -> Any:
    import time  # noqa: PLC0415 - few have an empty group

    return entry.get("created_at", time.time())


def _in(batch: AnyBatch, payload: Entry) -> Entry:
    """Return a payload as a member of a batch, which keeps its result if the workflow wants it."""
    (bid, queues, *_), *parents = batch.fields["batch"]
    own = [bid, queues, 1] if payload.get("keeps") else [bid, queues]
    return {**payload, "bid": batch.bid, "batch": [own, *parents]}


def _packed(payload: Entry, client: Client) -> Packed:
    now = client.now()
    raw = encode({**payload, "enqueued_at": settings.stamp(now)})
    return Packed(payload["jid"], payload["class"], payload["queue"], None, raw, beginnings(payload, now, None))


def _jids(spec: Entry) -> list[str]:
    return [f"{spec['base']}{place:08x}" for place in range(len(spec["members"]))]
