"""A Redis with jobs in every state, friendly and hostile, and the page served from it by a real server."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import uvicorn

from sidelamb.store import Store
from sidelamb_handlers.metrics import Tally, hash_keys, histograms
from sidelamb_handlers.web.finding import digest
from tests.web.features import features

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

CLASSES = ("shop.charge", "mail.welcome", "photos.resize", "search.reindex", "reports.monthly")
QUEUES = ("default", "mail", "media", "low")
ERRORS = (
    ("ConnectionError", "https://api.bank.example answered 502"),
    ("CardDeclined", "card 4242… has no money left"),
    ("TimeoutError", "read timed out after 10 s"),
)
SCRIPT = "<script>document.title='owned'</script>"
HOSTILE: tuple[bytes, ...] = (
    json.dumps(
        {
            "class": SCRIPT,
            "args": [SCRIPT],
            "jid": SCRIPT,
            "queue": SCRIPT,
            "error_class": SCRIPT,
            "error_message": SCRIPT,
            "tags": [SCRIPT],
        }
    ).encode(),
    json.dumps(
        {
            "class": "\u202eevil\u202d \u0645\u0631\u062d",
            "args": ["\u2066\u05e9\u05dc\u2069", "\u202etxt.exe"],
            "jid": "rtl",
        }
    ).encode(),
    json.dumps({"class": "big", "args": ["x" * 1_000_000], "jid": "big", "queue": "default"}).encode(),
    b"{not json",
    b"\xff\xfe\x00\x80 no text",
    b'["a", "list"]',
    b'{"class":"half \\ud800","args":["\\udfff"],"jid":"half","error_message":"\\ud83d"}',
    json.dumps(
        {
            "class": None,
            "args": {"a": 1},
            "jid": 12,
            "queue": ["q"],
            "tags": {"x": 1},
            "retry_count": "many",
            "created_at": "yesterday",
            "failed_at": 1e300,
            "error_backtrace": "eJw=",
            "enqueued_at": [1],
        }
    ).encode(),
    json.dumps({"class": "deep", "jid": "deep", "args": json.loads("[" * 400 + "]" * 400)}).encode(),
    json.dumps({"class": "n\0ul\r\n\x1b[31m", "args": ["\0"], "jid": "n\0ul", "queue": "a b/../c?d#e%"}).encode(),
)
"""Ten that a page must survive."""


SHOWN = (
    "/",
    "/queues",
    "/queue?name=default",
    "/busy",
    "/lease?id=default:ip-100",
    "/search",
    "/search?q=shop.charge",
    "/retries",
    "/scheduled",
    "/dead",
    "/retries?by=class",
    "/dead?by=error",
    "/metrics",
    "/batches",
    "/batch?bid=bad0",
    "/periodic",
    "/guards",
    "/limit?kind=concurrent&name=bank",
    "/about",
)
"""Every page once, and some of what is shown on it."""


def job(n: int, now: float, **fields: Any) -> dict[str, Any]:
    """A job like any other."""
    rng = random.Random(n)
    name = CLASSES[n % len(CLASSES)]
    args = {"shop.charge": [1000 + n, "EUR"], "mail.welcome": [f"user{n}@example.com"]}.get(name, [n])
    return {
        "class": name,
        "args": args,
        "jid": f"{rng.getrandbits(96):024x}",
        "queue": QUEUES[n % len(QUEUES)],
        "retry": True,
        "created_at": now - 400 - n,
        "enqueued_at": now - 380 - n,
        **fields,
    }


def failed(n: int, now: float, retries: int = 3) -> dict[str, Any]:
    """One that failed."""
    cls, message = ERRORS[n % len(ERRORS)]
    trace = [
        "Traceback (most recent call last):",
        '  File "/var/task/shop/pay.py", line 42, in charge',
        f"{cls}: {message}",
    ]
    return job(
        n,
        now,
        error_class=cls,
        error_message=message,
        retry_count=retries,
        failed_at=now - 300 - n,
        retried_at=now - 60 - n,
        error_backtrace=trace,
    )


def fill(db: redis.Redis, many: int = 120, *, hostile: bool = True) -> None:
    """Fill an empty Redis."""
    now, pipe = time.time(), db.pipeline(transaction=False)
    text = lambda fields: json.dumps(fields, separators=(",", ":"))  # noqa: E731
    for n in range(many):
        queue = QUEUES[n % len(QUEUES)]
        pipe.sadd("queues", queue)
        pipe.lpush(f"queue:{queue}", text(job(n, now - 10 + n % 7)))
        pipe.zadd("schedule", {text(job(1_000 + n, now, enqueued_at=None)): now + 60 * (n + 1)})
        pipe.zadd("retry", {text(failed(2_000 + n, now, n % 6)): now + 15 * (n + 1)})
        pipe.zadd("dead", {text(failed(3_000 + n, now, 25)): now - 600 * (n + 1)})
    pipe.sadd("paused", "low")
    if hostile:
        for n, raw in enumerate(HOSTILE):
            pipe.lpush("queue:default", raw)
            pipe.lpush(f"queue:{SCRIPT}", raw)
            for name, score in (("schedule", now + n), ("retry", now + n), ("dead", now + n)):
                pipe.zadd(name, {raw: score})
        pipe.sadd("queues", SCRIPT, "a b/../c?d#e%", b"\xff\xfe")
        pipe.zadd("retry", {b'{"class":"forever","args":[],"jid":"inf"}': float("inf")})
        pipe.zadd("dead", {b'{"class":"never","args":[],"jid":"-inf"}': float("-inf")})
        pipe.zadd(
            "retry", {text({"class": "secret.job", "args": ["s3cr3t"], "jid": "sec", "encrypt": True}): now + 5}
        )
    pipe.incrby("stat:processed", 48_211)
    pipe.incrby("stat:failed", 377)
    for day in range(60):
        stamp = time.strftime("%Y-%m-%d", time.gmtime(now - 86_400 * day))
        n = 700 + (day * 137) % 500 - (400 if day % 7 in {2, 3} else 0)
        pipe.set(f"stat:processed:{stamp}", n)
        pipe.set(f"stat:failed:{stamp}", n // (11 + day % 13) // (1 + day % 3))
    _processes(pipe, now, hostile=hostile)
    _marks(pipe, now)
    pipe.execute()
    _metrics(db, now, hostile=hostile)
    features(db, url_of(db), now, hostile=hostile)


def _processes(pipe: Any, now: float, *, hostile: bool) -> None:
    names = ["ip-10-0-1-17:1:9f2c4a", "ip-10-0-2-40:1:07b1de"] + ([SCRIPT] if hostile else [])
    for n, name in enumerate(names):
        info = {
            "hostname": name.partition(":")[0],
            "pid": 1,
            "tag": "sidelamb",
            "concurrency": 10,
            "queues": list(QUEUES),
            "started_at": now - 86_000 * (n + 1),
            "version": "0.1.0",
            "identity": name,
        }
        pipe.sadd("processes", name)
        fields = {
            "info": json.dumps(info),
            "busy": 2,
            "beat": now - 3,
            "quiet": "false",
            "rss": 71_000,
            "rtt_us": 412,
        }
        pipe.hset(name, mapping={**fields, "concurrency": 10})
        for k in range(2):
            lease = f"default:{name[:4]}{n}{k}"
            running = {
                "queue": "default",
                "payload": json.dumps({**job(9_000 + n * 10 + k, now), "packed": k + 1}),
                "run_at": now - 4 - k,
            }
            if hostile and n == 2:
                running["payload"] = HOSTILE[0].decode()
            pipe.hset(f"{name}:work", lease, json.dumps(running))
            claim = f"4a4d7d2e-{n}{k}c1-4a51-9c1e-0b9f2f0d1c00/1 {now - 4} x"
            lease_fields = {
                "capsule": "default",
                "poller": name,
                "claim": claim,
                "0:default": json.dumps(job(9_000 + n, now)),
            }
            pipe.hset(f"sidelamb:lease:{lease}", mapping=lease_fields)
            pipe.zadd("sidelamb:leases", {lease: now + 60 + k})


def _marks(pipe: Any, now: float) -> None:
    at = time.gmtime(now - 1_500)
    pipe.hset(
        time.strftime("%Y%m%d-marks", at), time.strftime("%Y-%m-%dT%H:%M:00+00:00", at), "4f2ad1c Charge once"
    )


def _metrics(db: redis.Redis, now: float, *, hostile: bool) -> None:
    from sidelamb.link import Link

    link = Link(url_of(db))
    for back in range(60):
        tally, rng = Tally(), random.Random(back)
        for name in (*CLASSES, *([SCRIPT] if hostile else [])):
            for _ in range(rng.randrange(2, 14) + int(6 * (1 + (back % 20) / 10))):
                tally.add(
                    name, rng.lognormvariate(5.2, 0.9), failed=rng.random() < (0.35 if 20 < back < 26 else 0.03)
                )
        at = now - 60 * back
        link.run(Store().metrics(tally.amounts(), hash_keys(at), histograms(tally, at)))
    link.close()


def url_of(db: redis.Redis) -> str:
    options = db.connection_pool.connection_kwargs
    return f"redis://{options['host']}:{options['port']}/0"


class Served:
    """An ASGI app behind uvicorn, on a thread."""

    def __init__(self, app: Any) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        end = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.005)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def entries(db: redis.Redis, name: str) -> Iterator[str]:
    """The keys by which a page names the entries of a set."""
    for raw, score in db.zrange(name, 0, -1, withscores=True):
        yield f"{score!r}~{digest(raw)}"
