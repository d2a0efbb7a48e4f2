"""The whole way of jobs, through every script that they meet on it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from sidelamb.payload import encode
from sidelamb.state import State, StateStore
from sidelamb.store import Claim, Held, Settled, Store, keep, to_dead, to_retry, to_schedule

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_800_000_000.0
EVERY_SCRIPT = {
    "beat",
    "cancel",
    "cancelled",
    "checkpoint",
    "claim",
    "deploy",
    "due",
    "enqueue",
    "finish",
    "forget",
    "lease",
    "look",
    "metrics",
    "narrow",
    "payloads",
    "promote",
    "promote_front",
    "push",
    "reap",
    "release",
    "reserve",
    "schedule",
    "settle",
    "state",
}
"""Those that jobs run through."""


def job(n: int) -> bytes:
    """A payload."""
    return encode({"class": "work", "args": [n], "jid": f"jid-{n}", "queue": "a", "retry": True})


async def go(run: Callable[[Any], Any], namespace: str) -> set[str]:
    """Drive jobs from enqueue to their ends; `run` carries out a call. Returns the scripts that ran."""
    store = Store(namespace)
    states = StateStore(store.keys)
    ran: set[str] = set()

    async def do(call: Any) -> Any:
        ran.add(call.script)
        answer = run(call)
        return await answer if inspect.isawaitable(answer) else answer

    async def reserve(*ids: str, most_jobs: int = 10) -> list[Held]:
        call = store.reserve(
            ids,
            ["a", "b"],
            capsule="c",
            poller="p",
            expires=NOW + 30,
            cap=9,
            most_jobs=most_jobs,
            most_bytes=10**6,
        )
        return list((await do(call)).leases)

    assert await do(store.enqueue([("a", job(1)), ("b", job(2))])) == 2
    assert await do(store.enqueue([("a", job(3))])) == 1
    assert await do(store.schedule([(NOW - 2, job(4)), (NOW - 1, job(5))])) == 2
    look = await do(store.look(["a", "b"]))
    assert (look.due, look.waiting) == (NOW - 2, {"a": 2, "b": 1})
    due = await do(store.due("schedule", NOW))
    assert due == [job(4), job(5)]
    assert await do(store.promote_front("schedule", NOW, due[:1], [(1, "a")], b"}")) == 1
    assert await do(store.promote("schedule", NOW, [(raw, raw, "a") for raw in due[1:]])) == (1, 0)

    (first,) = await reserve("c:1")
    assert [*first.jobs.values()] == [job(1), job(3), job(4), job(5), job(2)]
    assert await do(store.claim("c:1", request_id="r/1", now=NOW, deadline=NOW + 60)) is Claim.YES
    assert (await do(store.payloads("c:1", ["0:a"])))["0:a"] == job(1)
    moves = [to_retry("1:a", NOW + 5, job(30)), to_dead("2:a", NOW), to_schedule("3:a", NOW + 9)]
    done = store.settle("c:1", "c", now=NOW, done=["0:a"], moves=moves, request_id="r/1")
    assert await do(done) == Settled(4, 1)
    assert await do(store.settle("c:1", "c", now=NOW, moves=[keep("4:b")], request_id="r/1")) == Settled(1, 0)

    assert await do(store.enqueue([("a", job(n)) for n in (6, 7, 8)])) == 3
    (pack,) = await reserve("c:2")
    await do(store.claim("c:2", request_id="r/2", now=NOW, deadline=NOW + 60))
    halves = await do(store.narrow(pack, ("c:3", "c:4"), first=2, request_id="r/2", poller="p", expires=NOW + 30))
    assert [len(half.jobs) for half in halves] == [2, 2]
    assert await do(store.release("c", halves[:1])) == [2]
    held = await do(store.lease("c:4"))
    assert await do(store.expired(NOW + 99)) == ["c:4"]
    reaped = await do(store.reap(held, "c", now=NOW + 99, moves=[keep(f, alone=True) for f in held.jobs]))
    assert reaped == Settled(2, 0)
    assert len(await reserve("c:5", "c:6", "c:7", most_jobs=1)) == 3
    await do(store.claim("c:7", request_id="r/7", now=NOW, deadline=NOW + 60))
    assert not await do(store.finish("c:7", "c", now=NOW, jobs=2, request_id="r/7"))
    assert await do(store.finish("c:7", "c", now=NOW, jobs=1, request_id="r/7"))

    assert await do(store.beat("me", 60, {"busy": 1}, {"c:5": b"{}"})) == []
    await do(store.metrics({"work|p": 1}, {"j|1": 60}, {"h|1": (60, 16, {3: 1})}))
    assert await do(store.mark_deploy("v1", NOW))
    assert not await do(states.checkpoint("jid-9", State(executions=1, cursor=b"7")))
    await do(states.cancel("jid-9", NOW))
    assert (await do(states.read("jid-9"))).cancelled
    assert await do(states.cancelled(["jid-9", "jid-8"])) == {"jid-9"}
    assert await do(states.forget(["jid-9"])) == 1
    return ran
