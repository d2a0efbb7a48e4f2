"""What features have in Redis, friendly and hostile: batches, periodic jobs, limits and locks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sidelamb import Batch, Client, Job
from sidelamb.api import Periodics
from sidelamb.api.calls import Calls
from sidelamb.keys import Keys
from sidelamb.limits import LIMITS, NUMBERS, Bucket, Concurrent, Limit, Window
from sidelamb.link import Link
from sidelamb.unique import lock_key

if TYPE_CHECKING:
    import redis

HOSTILE = "<script>document.title='owned'</script>"


def features(db: redis.Redis, url: str, now: float, *, hostile: bool) -> None:
    """Add some of each."""
    client = Client(url)
    _batches(client)
    _periodic(client)
    _limits(url, now, hostile=hostile)
    for n in range(3):
        _lock(db, f"shop.charge:{n:032x}", f"lock{n}", now + 600)
    if hostile:
        _hostile(db, now)
    client.close()


def _batches(client: Client) -> None:
    charge = client.job("shop.charge", queue="low")
    with Batch("Import of November", tags=["import"], client=client), Batch("its photos", client=client):
        for n in range(4):
            charge.enqueue(n)
    with Batch("Reminders", client=client) as empty:
        pass
    assert empty.status().state == "succeeded"


def _periodic(client: Client) -> None:
    def nothing(*_: Any, **__: Any) -> None:
        pass

    every = Periodics(client)
    for name, cron in (("reports.nightly", "0 3 * * *"), ("cache.warm", "*/5 * * * *")):
        every.register(name, Job(nothing, {"name": "reports.monthly"}), cron, tz="Europe/Paris", args=[12])
    every.run_now("reports.nightly")


def _limits(url: str, now: float, *, hostile: bool) -> None:
    link, calls = Link(url), Calls(Keys(""))
    named: list[tuple[Limit, str]] = [
        (Concurrent(5, name="bank"), "bank"),
        (Window(100, per=60, name="mail"), "mail/acme"),
        (Bucket(10, per=60, name="search"), "search"),
    ]
    if hostile:
        named.append((Concurrent(1, name="x"), HOSTILE))
    for limit, name in named:
        for n in range(1 if name == HOSTILE else 3):
            link.run(calls.take([limit.taking(name, f"job{n}", now, now + 600)]))
    link.close()


def _lock(db: redis.Redis, key: str, jid: str, until: float) -> None:
    db.set(lock_key(key), jid, px=600_000)
    db.zadd("sidelamb:locks", {key: until})


def _hostile(db: redis.Redis, now: float) -> None:
    _lock(db, f"{HOSTILE}:1", HOSTILE, now + 600)
    _lock(db, "n\0ul\r\n", "\u202erl", float("inf"))
    db.zadd("sidelamb:locks", {b"\xff\xfe": now + 5, b"nobody:0": now + 6})
    db.zadd(LIMITS, {HOSTILE: now + 9, b"\xff": now + 9, "window:odd": float("inf"), "bucket:odd": now + 9})
    db.hset(NUMBERS, mapping={HOSTILE: "many", b"\xff": b"\xff", "window:odd": "1", "bucket:odd": "x"})
    for n, fields in enumerate(
        ({"description": HOSTILE, "tags": json.dumps([HOSTILE]), "created": now}, {"created": "soon"}, {"x": 1})
    ):
        db.hset(f"sidelamb:batch:bad{n}", mapping=fields)
        db.zadd("sidelamb:batches", {f"bad{n}": (now + 600) * 1000})
    db.hset("sidelamb:batch:bad3", mapping={"created": now, "total": "many", "tags": "{", "over": "never"})
    db.zadd("sidelamb:batches", {"bad3": (now + 600) * 1000, b"\xff": (now + 600) * 1000})
    db.hset(
        "sidelamb:periodic",
        mapping={
            "raw": b"{not json",
            b"\xff": b"\xff",
            "list": "[]",
            "odd": '{"payload":[]}',
            HOSTILE: json.dumps({"cron": HOSTILE, "payload": {"class": HOSTILE}}),
        },
    )
    db.zadd("sidelamb:periodic:due", {"raw": float("inf"), "odd": float("-inf")})
