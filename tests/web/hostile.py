"""Ten texts that are meant to break a page, put wherever somebody else can write one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sidelamb.api.calls import Calls
from sidelamb.keys import Keys
from sidelamb.limits import Concurrent
from sidelamb.link import Link
from sidelamb.store import Store
from sidelamb.unique import lock_key
from sidelamb_handlers.metrics import Tally, hash_keys, histograms

if TYPE_CHECKING:
    import redis

OWNED = "document.title='owned'"
TEXTS = (
    f"<script>{OWNED}</script>",
    f'"\'><img src=x onerror="{OWNED}"><svg onload={OWNED}>',
    f"javascript:{OWNED}//",
    "'; DROP TABLE jobs; -- \" OR 1=1",
    "{{ 7 * 7 }} {% raw %} ${7*7} <%= 7*7 %> #{7*7}",
    "../../etc/passwd?a=b&c=d#e%2e%00\\..\\x",
    "n\0ul \\u0000 \r\nset-cookie: a=b\x1b[31m\x07",
    "\u202etxt.exe\u202d \u2066\u05e9\u05dc\u05d5\u05dd\u2069 \u0645\u0631\u062d\u0628\u0627",
    "👩\u200d👩\u200d👧\u200d👦 🏴\u200d☠️ Z\u0351\u0340\u0300\u030b\u0300a\u0489l\u0321g\u0316o \ufeff\u2028",
    "x" * 10_000,
)


def job_of(text: str, n: int) -> dict[str, Any]:
    """Return a job all of whose texts are that one."""
    return {
        "class": text,
        "args": [text, {text: text}],
        "jid": f"{text[:60]}{n}",
        "queue": text,
        "tags": [text],
        "retry": True,
        "retry_count": n,
        "error_class": text,
        "error_message": text,
        "error_backtrace": [text],
        "created_at": 1_700_000_000 + n,
    }


def everywhere(db: redis.Redis, url: str, now: float, due: float, queue: str) -> None:
    """Put each text into a queue, the sets, and all that features and processes write.

    Args:
        db: the Redis.
        url: its address.
        now: epoch s.
        due: when what waits for its time falls due, epoch s.
        queue: besides queues that are called so.
    """
    tally = Tally()
    for n, text in enumerate(TEXTS):
        raw = json.dumps(job_of(text, n))
        db.lpush(f"queue:{queue}", raw)
        db.lpush(f"queue:{text}", raw)
        db.sadd("queues", queue, text)
        for name in ("schedule", "retry", "dead"):
            db.zadd(name, {raw: due + n if name != "dead" else now - n})
        _process(db, text, raw, now)
        _features(db, text, now)
        tally.add(text, 12.0, failed=True)
    link = Link(url)
    link.run(Store().metrics(tally.amounts(), hash_keys(now), histograms(tally, now)))
    calls = Calls(Keys(""))
    for text in TEXTS:
        link.run(calls.take([Concurrent(3, name="x").taking(text, text, now, due)]))
    link.close()


def _process(db: redis.Redis, text: str, raw: str, now: float) -> None:
    info = {"hostname": text, "tag": text, "identity": text, "queues": [text], "version": text, "labels": [text]}
    fields = {"info": json.dumps(info), "beat": now, "busy": 1, "concurrency": 1, "quiet": "false"}
    db.sadd("processes", text)
    db.hset(text, mapping=fields)
    db.hset(f"{text}:work", text, json.dumps({"queue": text, "payload": raw, "run_at": now}))


def _features(db: redis.Redis, text: str, now: float) -> None:
    db.hset(f"sidelamb:batch:{text}", mapping={"description": text, "tags": json.dumps([text]), "created": now})
    db.zadd("sidelamb:batches", {text: (now + 600) * 1000})
    periodic = {
        "cron": text,
        "tz": text,
        "missed": text,
        "payload": {"class": text, "args": [text], "queue": text},
    }
    db.hset("sidelamb:periodic", text, json.dumps(periodic))
    db.set(lock_key(f"{text}:0"), text, px=600_000)
    db.zadd("sidelamb:locks", {f"{text}:0": now + 600})


def addresses(text: str) -> tuple[str, ...]:
    """Return the addresses of the pages that are of one name, and of what is asked of the others."""
    q = quote(text.encode())
    return (
        *(f"{path}={q}" for path in ("/queue?name", "/metric?name", "/periodic/one?name", "/batch?bid")),
        f"/limit?kind=concurrent&name={q}",
        *(f"/{name}?q={q}&class={q}&error={q}" for name in ("retries", "scheduled", "dead")),
        *(
            f"/{path}={q}"
            for path in ("guards?q", "metrics?q", "dead?by=class&q", "job?in=retries&key", "search?q")
        ),
    )
