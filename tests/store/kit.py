"""A Redis of one's own, everything in it, and a call of every script on data made for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sidelamb.api.calls import Calls, Shift
from sidelamb.batches.member import Level, beginning, ending
from sidelamb.batches.store import BatchStore, Making, Stage
from sidelamb.effects import Effect, Ended, Event
from sidelamb.limits import LIMITS, NUMBERS, Bucket, Concurrent, Window
from sidelamb.packing import Packed
from sidelamb.results import progress
from sidelamb.state import State, StateStore
from sidelamb.store import Call, Store, keep, to_dead, to_retry, to_schedule
from sidelamb.timetable import Records
from sidelamb.timetable_calls import Planned, TimetableCalls
from sidelamb.unique import LOCKS, unlock

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

    from sidelamb.link import Link
    from sidelamb.store import Held

NOW = 1_795_405_727.5
STORE = Store()
API = Calls(STORE.keys)
STATES = StateStore(STORE.keys)
TIMETABLE = TimetableCalls(STORE.keys)
DECLARED = Records("app", "d2", {"p": b"{}", "q": b"{}"})
Make = "Callable[[Link], Call[Any]]"


LOCK = Effect("lock", ("sidelamb:lock:x", LOCKS), ("j1", 60_000, "x", NOW + 60, NOW))
RELOCK = LOCK._replace(verb="relock")
UNLOCK = unlock("x", "j1")
STATUS = Effect("status", ("sidelamb:status:j", "sidelamb:bell:j"), (60_000, "state", "queued"))
RESULT = STATUS._replace(verb="result")
HOLD = Concurrent(2).taking("x", "j1", NOW, NOW + 60)
PASS = Window(2, per=60).taking("x", "j1", NOW, NOW + 60)
FILL = Bucket(2).taking("x", "j1", NOW, NOW + 60)
LEAVE = Effect("leave", ("sidelamb:in-flight:default",), ("c:1",))
RESET = Effect("reset", ("sidelamb:limit:bucket:y", LIMITS, NUMBERS), ("bucket:y",))
BATCHES = BatchStore(STORE.keys)
OUTER, INNER = Level("outer", ("default",), keeps=True), Level("inner", ("calls",))
MEMBER = {"jid": "m1", "bid": "inner", "batch": [INNER.to_wire(), OUTER.to_wire()], "chain": [{"jid": "m2"}]}
CALL = {"call:complete": '{"jid":"call"', "queue:complete": "calls", "members:complete": "inner-complete"}
NEXT = Effect("next", ("queues", "queue:a", "dead"), ("a", '{"jid":"m2"}', NOW))
NOTE = Effect("note", ("sidelamb:status:j",), ("error:1", "[]"))


def job(n: int) -> bytes:
    return b'{"jid":"%d"}' % n


def contents(db: redis.Redis) -> dict[bytes, bytes]:
    """Everything in Redis, as it would be dumped."""
    return {key: db.dump(key) for key in db.keys("*")}


def jobs_in(db: redis.Redis) -> list[bytes]:
    """Every job's payload, wherever it lies, one for each copy."""
    found: list[bytes] = []
    for key in db.keys("*"):
        kind = db.type(key)
        if kind == b"list" and key.startswith((b"queue:", b"sidelamb:alone:")):
            found += db.lrange(key, 0, -1)
        elif kind == b"zset" and key in {b"schedule", b"retry", b"dead"}:
            found += db.zrange(key, 0, -1)
        elif kind == b"hash" and key.startswith(b"sidelamb:lease:"):
            found += [v for f, v in db.hgetall(key).items() if f[:1].isdigit()]
    return sorted(found)


def leased(link: Link, count: int, *, claim: bool = True) -> Held:
    link.run(STORE.enqueue([("default", job(n)) for n in range(count)]))
    call = STORE.reserve(
        ["c:1"], ["default"], capsule="c", poller="p", expires=NOW + 30, cap=9, most_jobs=count, most_bytes=10**6
    )
    link.run(call)
    if claim:
        link.run(STORE.claim("c:1", request_id="r1", now=NOW, deadline=NOW + 90))
    return link.run(STORE.lease("c:1"))


def _reserve(link: Link) -> Call[Any]:
    link.run(STORE.enqueue([(q, job(n)) for n in range(5) for q in ("a", "b")]))
    link.command("LPUSH", "sidelamb:alone:a", job(77))
    link.command("HSET", "sidelamb:in-flight:b", "c:gone", 4)
    return STORE.reserve(
        ["c:1", "c:2", "c:3"],
        ["a", "b"],
        capsule="c",
        poller="p",
        expires=NOW,
        cap=9,
        most_jobs=2,
        most_bytes=999,
        caps={"b": 3},
    )


def _claim(link: Link) -> Call[Any]:
    leased(link, 2, claim=False)
    return STORE.claim("c:1", request_id="r1", now=NOW, deadline=NOW + 9)


def _settle(link: Link) -> Call[Any]:
    leased(link, 6)
    link.command("HSET", "sidelamb:in-flight:default", "c:1", 6)
    moves = (
        replace(to_retry("1:default", NOW, b"r"), effects=[UNLOCK, RESULT, Concurrent(2).freeing("x", "j1")]),
        replace(to_retry("1:default", NOW, b"r"), effects=[UNLOCK, RESULT, NOTE, LEAVE]),
        replace(to_dead("2:default", NOW, b"d"), effects=_ends(link, Event.DIED)),
        to_schedule("3:default", NOW),
        keep("4:default"),
        keep("5:default", alone=True),
    )
    return STORE.settle("c:1", "c", now=NOW, done=["0:default"], moves=moves, request_id="r1")


def _admit(_: Link) -> Call[Any]:
    plain = Packed("j0", "a", "a", None, job(0), (LOCK._replace(keys=("sidelamb:lock:y", LOCKS)), STATUS, NOTE))
    return STORE.admit([plain, Packed("j1", "a", "a", NOW + 9, job(1), (LOCK,))])


def _staged(link: Link) -> Stage:
    stage = Stage("s1")
    lock = Effect("lock", ("sidelamb:lock:y", LOCKS), ("m3", 60_000, "y", NOW + 60, NOW))
    jobs = [
        Packed("m1", "a", "a", None, job(0), (*beginning(MEMBER), LOCK)),
        Packed("m3", "a", "a", NOW + 9, job(1), (lock,)),
    ]
    link.run(BATCHES.stage(NOW, stage, jobs))
    stage.queues["a"], stage.jobs = None, 2
    return stage


def _batch_stage(_: Link) -> Call[Any]:
    return BATCHES.stage(
        NOW, Stage("s1"), [Packed("m1", "a", "a", None, job(0), (*beginning(MEMBER), LOCK, STATUS))]
    )


def _batch_go(link: Link) -> Call[Any]:
    makings = [Making("new", OUTER, ttl_s=1e8), Making("new", INNER, 1, ttl_s=1e8, fields=CALL)]
    along = Packed("m4", "a", "b", None, job(7), tuple(beginning({**MEMBER, "jid": "m4"})))
    return BATCHES.go(NOW, ',"x":1}', _staged(link), makings, [along])


def _batch_look(link: Link) -> Call[Any]:
    link.run(_batch_go(link))
    return BATCHES.look(["outer", "inner", "none"])


def _ends(link: Link, event: Event) -> list[Effect]:
    """The effects of a member's end, of a batch that is there."""
    if not link.command("EXISTS", "sidelamb:batch:inner"):
        link.run(_batch_go(link))
        link.command("DEL", "queue:a", "queue:b", "schedule")
    return [*ending(Ended(MEMBER, event, NOW, result=1)), NEXT]


def _begin(link: Link) -> Call[Any]:
    leased(link, 2)
    link.command("SET", "sidelamb:lock:x", "j1")
    return STORE.begin("c:1", "0:default", "r1", [UNLOCK, STATUS, HOLD, PASS, FILL])
    return STORE.begin("c:1", "0:default", "r1", [UNLOCK, STATUS, NOTE])


def _finish(link: Link) -> Call[Any]:
    leased(link, 3)
    return STORE.finish("c:1", "c", now=NOW, jobs=3, request_id="r1")


def _release(link: Link) -> Call[Any]:
    return STORE.release("c", [leased(link, 4, claim=False)])


def _narrow(link: Link) -> Call[Any]:
    held = leased(link, 4)
    link.command("HSET", "sidelamb:in-flight:default", "c:1", 4)
    return STORE.narrow(
        held, ("c:a", "c:b"), first=2, request_id="r1", poller="p", expires=NOW, capped=["default"]
    )


def _reap(link: Link) -> Call[Any]:
    held = leased(link, 3)
    moves = [
        replace(to_retry("0:default", NOW, b"r"), effects=[UNLOCK, *_ends(link, Event.FAILED)]),
        keep("1:default", alone=True),
        to_dead("2:default", NOW, b"d"),
    ]
    return STORE.reap(held, "c", now=NOW + 90, moves=moves)


def _lost(link: Link) -> Call[Any]:
    leased(link, 3)
    _lone_queue(link)
    _sets(link, "schedule")
    return API.lost(["1", "77"], [b"a"], [b"c:1"], NOW)


def _sets(link: Link, name: str) -> None:
    for n in range(4):
        link.command("ZADD", name, NOW, f"m{n}")


def _promote(link: Link) -> Call[Any]:
    _sets(link, "schedule")
    return STORE.promote("schedule", NOW, [(b"m0", b"n0", "a"), (b"m1", b"", None), (b"m2", b"n2", "b")])


def _promote_front(link: Link) -> Call[Any]:
    _sets(link, "schedule")
    return STORE.promote_front("schedule", NOW, [b"m0", b"m1", b"m2"], [(2, "a"), (1, "b")], b"!")


def _shift(link: Link) -> Call[Any]:
    _sets(link, "retry")
    shifts = [
        Shift(b"m0", b"n0", "a", effects=[RELOCK]),
        Shift(b"m1", dead=True),
        Shift(b"m2", at=NOW + 9),
        Shift(b"m3", effects=[UNLOCK, *_ends(link, Event.DELETED)]),
    ]
    return API.shift(b"retry", NOW, shifts)


def _metrics(_: Link) -> Call[Any]:
    return STORE.metrics({"a|p": 1}, {"j|1": 60}, {"h|1": (60, 16, {0: 1})})


def _tick(link: Link) -> Call[Any]:
    link.run(TIMETABLE.sync(DECLARED, NOW))
    first = Packed("j0", "a", "a", None, job(0), (LOCK, STATUS))
    jobs = [(NOW, first), (NOW, first._replace(jid="j1", raw=job(1)))]
    return TIMETABLE.tick(Planned("p", -NOW, b"{}", paused=False, last=0.0), NOW + 60, NOW, NOW, jobs)


def _timetable(link: Link) -> Call[Any]:
    link.run(TIMETABLE.sync(Records("app", "d1", {"o": b"{}", "p": b"[]"}), NOW - 9))
    link.command(*TIMETABLE.ask())
    return TIMETABLE.sync(DECLARED, NOW)


def _resume(link: Link) -> Call[Any]:
    link.run(TIMETABLE.sync(DECLARED, NOW - 9))
    link.command("SADD", "sidelamb:periodic:paused", "p")
    return TIMETABLE.resume("p", NOW)


def _drop_periodic(link: Link) -> Call[Any]:
    link.run(TIMETABLE.sync(DECLARED, NOW))
    link.command("SADD", "sidelamb:periodic:paused", "p")
    return TIMETABLE.drop("p")


def _cancel(link: Link) -> Call[Any]:
    return STATES.cancel("j1", NOW)


def _forget(link: Link) -> Call[Any]:
    link.run(STATES.cancel("j1", NOW))
    return STATES.forget(["j1"])


def _lone_queue(link: Link) -> None:
    link.command("LPUSH", "queue:a", job(1))


def _mend_lease(link: Link) -> Call[Any]:
    leased(link, 2)
    link.command("ZREM", "sidelamb:leases", "c:1")
    return API.mend_lease("c:1", "c", NOW)


def _after(make: Callable[[Link], object], call: Call[Any]) -> Callable[[Link], Call[Any]]:
    def made(link: Link) -> Call[Any]:
        make(link)
        return call

    return made


CASES: dict[str, Callable[[Link], Call[Any]]] = {
    "admit": _admit,
    "batch_go": _batch_go,
    "batch_look": _batch_look,
    "batch_stage": _batch_stage,
    "beat": lambda _: STORE.beat("me", 60, {"info": "{}"}, {"w": b"{}"}),
    "begin": _begin,
    "cancel": _cancel,
    "cancelled": lambda _: STATES.cancelled(["a", "b"]),
    "checkpoint": lambda _: STATES.checkpoint("j1", State(executions=1)),
    "claim": _claim,
    "clear": _after(_lone_queue, API.clear("a")),
    "deploy": lambda _: STORE.mark_deploy("v1", NOW),
    "drop": _after(_lone_queue, API.drop("a", b"queue:a", [job(1)], [[UNLOCK]])),
    "drop_periodic": _drop_periodic,
    "due": _after(lambda link: _sets(link, "retry"), STORE.due("retry", NOW)),
    "enqueue": lambda _: STORE.enqueue([("a", job(1)), ("b", job(2))]),
    "finish": _finish,
    "forget": _forget,
    "lease": lambda link: STORE.lease(leased(link, 2).lease),
    "lost": _lost,
    "look": _after(_lone_queue, STORE.look(["a", "b"])),
    "mend_lease": _mend_lease,
    "mend_queue": _after(_lone_queue, API.mend_queue("a")),
    "mend_score": _after(
        lambda link: link.command("ZADD", "retry", "inf", "m"), API.mend_score(b"retry", b"m", NOW)
    ),
    "mend_twin": _after(
        lambda link: [link.command("LPUSH", f"queue:{q}", "m") for q in "ab"],
        API.mend_twin((b"queue:a", b"m"), (b"queue:b", b"m")),
    ),
    "metrics": _metrics,
    "narrow": _narrow,
    "pause": lambda _: API.pause("a", paused=True),
    "overdue": _after(lambda link: leased(link, 2), STORE.overdue(NOW + 99)),
    "payloads": lambda link: STORE.payloads(leased(link, 2).lease, ["0:default"]),
    "progress": _after(
        lambda link: link.command("HSET", "sidelamb:status:j1", "state", "running"),
        progress(STORE.keys, "j1", 1, 3, "on the way"),
    ),
    "promote": _promote,
    "promote_front": _promote_front,
    "push": lambda _: STORE.enqueue([("a", job(1))]),
    "read": _after(_lone_queue, API.read((b"queue:a", "LLEN"), (b"retry", "ZCARD"))),
    "reap": _reap,
    "recount": lambda link: STORE.recount(leased(link, 2).lease, "default"),
    "release": _release,
    "reserve": _reserve,
    "schedule": lambda _: STORE.schedule([(NOW, job(1))]),
    "settle": _settle,
    "shift": _shift,
    "signal": _after(lambda link: link.command("SADD", "processes", "me"), API.signal("me", "TSTP")),
    "state": lambda _: STATES.read("j1"),
    "waiting": _after(_lone_queue, API.waiting(["a", "b"])),
    "walk": _after(lambda link: _sets(link, "retry"), API.walk(b"retry", NOW - 1, b"", 10)),
    "take": lambda _: API.take([HOLD, PASS, FILL, RESET]),
    "register": lambda _: TIMETABLE.register("p", b"{}", NOW),
    "resume": _resume,
    "tick": _tick,
    "timetable": _timetable,
    "unqueue": _after(_lone_queue, API.unqueue(b"queue:a", job(1), [UNLOCK])),
}
