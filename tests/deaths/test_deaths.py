"""A process dies at each round trip of each operation, before it and after it: every job is in one place.

What is enumerated is real: the code as it is, a process of its own that kills itself, and a real Redis.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import redis

from sidelamb import Client
from sidelamb.api import Audit
from sidelamb.effects import beginnings
from sidelamb.link import Link
from sidelamb.packing import Packed
from sidelamb.payload import encode
from sidelamb.store import Store
from sidelamb_local.redis_server import RedisServer
from tests.handlers.kit import payload, push, reserve

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
MOST_TRIPS = 40
"""Of a poller, which goes on looking: its first so many have every kind of them."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("deaths-redis")) as server:
        yield server


class Ended(NamedTuple):
    """How a process has ended."""

    code: int
    out: str
    err: str


class Mother:
    """A process that has imported everything, and forks those who die."""

    def __init__(self) -> None:
        env, pipe = os.environ | {"SIDELAMB_JOBS": "json"}, subprocess.PIPE
        words = [sys.executable, "-m", "tests.deaths.mortal"]
        self._process = subprocess.Popen(words, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, text=True)

    def bear(self, words: dict[str, object]) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def mothers() -> Iterator[list[Mother]]:
    made = [Mother() for _ in range(AT_ONCE)]
    yield made
    for each in made:
        each.close()


@dataclass(slots=True)
class World:
    """A Redis with something of everything an operation needs, and a process that does it."""

    url: str
    ledger: Path
    mother: Mother

    def prepare(self, operation: str) -> None:
        with redis.Redis.from_url(self.url) as db:
            db.flushdb()
            self.ledger.unlink(missing_ok=True)
            PREPARED[operation](db, Link(self.url))

    def run(self, operation: str, at: int, when: str = "before") -> Ended:
        words = {"operation": operation, "at": at, "when": when, "url": self.url, "ledger": str(self.ledger)}
        return self.mother.bear(words)

    def places(self) -> dict[str, list[str]]:
        """Where each job is."""
        found: dict[str, list[str]] = {}
        with redis.Redis.from_url(self.url) as db:
            for key in sorted(each.decode() for each in db.keys("*")):
                raws: list[bytes] = []
                if key.startswith(("queue:", "sidelamb:alone:")):
                    raws = db.lrange(key, 0, -1)
                elif key in {"schedule", "retry", "dead"}:
                    raws = db.zrange(key, 0, -1)
                elif key.startswith("sidelamb:lease:"):
                    raws = [raw for field, raw in db.hgetall(key).items() if field[:1].isdigit()]
                for raw in raws:
                    found.setdefault(jid_of(raw), []).append(key)
        return found

    def noted(self) -> dict[str, set[str]]:
        """What each job did."""
        did: dict[str, set[str]] = {}
        for line in self.ledger.read_text().splitlines() if self.ledger.exists() else []:
            jid, _, what = line.partition(" ")
            did.setdefault(jid, set()).add(what)
        return did

    def recover(self, operation: str) -> list[str]:
        """Let all time run out; returns what is not in order then. What was damaged is mended by mending."""
        for each in ("mend", "keep time") if operation == "mend" else ("keep time",):
            done = self.run(each, 0)
            if done.code:
                return [done.err[-500:]]
        return [str(finding) for finding in Audit(Client(self.url)).run()]


def jid_of(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["jid"])
    except ValueError:
        return raw.decode()


def jobs(*whats: str, prefix: str = "") -> list[bytes]:
    return [payload("act", f"{prefix}{n}", what, jid=f"{prefix}{n}") for n, what in enumerate(whats)]


def leased(db: redis.Redis, link: Link, name: str, *whats: str, claim: bool = False) -> None:
    push(db, *jobs(*whats, prefix=name))
    reserve(link, name)
    if claim:
        now = time.time()
        link.run(Store().claim(name, request_id="r/1", now=now, deadline=now + 60))


def a_lease(db: redis.Redis, link: Link) -> None:
    leased(db, link, "c:1", "ok", "fail", "retry", "snooze", "discard", "kill")


def all_well(db: redis.Redis, link: Link) -> None:
    leased(db, link, "c:1", "ok", "ok", "ok")


def all_due(db: redis.Redis, link: Link) -> None:
    now = time.time()
    db.zadd("schedule", {raw: now + n for n, raw in enumerate(jobs("ok", "ok", prefix="s"))} | {b"junk": now})
    db.zadd("retry", {raw: now + n for n, raw in enumerate(jobs("ok", "ok", prefix="r"))})
    leased(db, link, "c:1", "ok", claim=True)
    leased(db, link, "c:2", "ok", "ok", "ok", claim=True)
    leased(db, link, "c:3", "ok", "ok")


def a_queue(db: redis.Redis, link: Link) -> None:
    push(db, *jobs("ok", "ok", "poison", "ok", "ok"))


def a_set(name: str):
    def prepare(db: redis.Redis, link: Link) -> None:
        raws = [payload("act", n, "ok", jid=f"e{n}", retry_count=2, error_class="E") for n in range(3)]
        db.zadd(name, {raw: time.time() + 50 + n for n, raw in enumerate(raws)})

    return prepare


def unique(db: redis.Redis, link: Link) -> None:
    """Each with its lock, as it is stored with it."""
    more = {"queue": "default", "retry": True, "created_at": time.time(), "unique_for": 60}
    for n in range(2):
        job = {"class": "act", "args": [f"u{n}", "ok"], "jid": f"u{n}", "lock": f"act:{n}", **more}
        at = Packed(f"u{n}", "act", "default", None, encode(job), beginnings(job, time.time(), None))
        link.run(Store().admit([at]))


def damage(db: redis.Redis, link: Link) -> None:
    leased(db, link, "c:1", "ok", "ok", claim=True)
    leased(db, link, "c:2", "ok")
    db.zrem("sidelamb:leases", "c:1")
    db.sadd("sidelamb:slots:c", "c:9")
    leased(db, link, "c:3", "ok", "ok", claim=True)
    db.hdel("sidelamb:lease:c:3", "poller", "claim")
    db.hset("sidelamb:lease:c:3", "odd", "x")
    [twin] = jobs("ok", prefix="t")
    push(db, twin)
    db.zadd("dead", {twin: time.time()})


def nothing(db: redis.Redis, link: Link) -> None:
    """An empty Redis."""


PREPARED = {
    "enqueue": nothing,
    "enqueue many": nothing,
    "enqueue in": nothing,
    "work": a_lease,
    "work well": all_well,
    "keep time": all_due,
    "poll": a_queue,
    "clear what is unique": unique,
    "retry all": a_set("retry"),
    "kill all": a_set("retry"),
    "revive the dead": a_set("dead"),
    "put off": a_set("schedule"),
    "put all off": a_set("schedule"),
    "delete all": a_set("retry"),
    "go through and delete": a_set("dead"),
    "delete from a queue": a_queue,
    "clear": a_queue,
    "mend": damage,
}
FINISHES = {"work": {"ok", "discard"}, "work well": {"ok"}, "poll": {"ok"}}
"""What a job must have done to be nowhere any more."""
DELETES = {"delete from a queue", "clear", "clear what is unique", "delete all", "go through and delete"}


@pytest.mark.parametrize("operation", PREPARED)
def test_whatever_round_trip_a_process_dies_at_every_job_is_in_one_place(server, mothers, tmp_path, operation):
    base = server.url.rpartition("/")[0]
    first = World(f"{base}/0", tmp_path / "ledger", mothers[0])
    first.prepare(operation)
    lived = first.run(operation, 0)
    assert lived.code == 0, lived.err
    trips = min(int(lived.out), MOST_TRIPS)
    assert trips >= 1
    first.prepare(operation)
    assert first.run(operation, 1).code == -9
    free = [World(f"{base}/{n}", tmp_path / f"ledger-{n}", mother) for n, mother in enumerate(mothers, 1)]

    def die(death: tuple[int, str]) -> list[str]:
        world = free.pop()
        try:
            return wrong_after(world, operation, *death)
        finally:
            free.append(world)

    deaths = [(n, when) for n in range(1, trips + 1) for when in ("before", "after")]
    with ThreadPoolExecutor(len(mothers)) as pool:
        wrong = [sentence for found in pool.map(die, deaths) for sentence in found]
    assert wrong == []


def wrong_after(world: World, operation: str, n: int, when: str) -> list[str]:
    """Return what does not hold after a death, and after everything has come to rest again."""
    world.prepare(operation)
    there = world.places()
    died = world.run(operation, n, when)
    where = f"{operation}, {when} round trip {n}"
    if died.code == 0:
        return []  # it came to its end in fewer
    if died.code != -9:
        return [f"{where}: {died.err[-500:]}"]
    wrong = [f"{where}: {each}" for each in misplaced(world, operation, there)]
    wrong += [f"{where}, after recovery: {each}" for each in world.recover(operation)]
    wrong += [f"{where}, after recovery: {each}" for each in misplaced(world, operation, there)]
    return wrong


def misplaced(world: World, operation: str, there: dict[str, list[str]]) -> list[str]:
    places, noted = world.places(), world.noted()
    found = []
    for jid in {*there, *places}:
        now = places.get(jid, [])
        if len(now) > max(1, len(there.get(jid, []))):
            found.append(f"job {jid} is in {now}")
        gone_well = operation in DELETES or noted.get(jid, set()) & FINISHES.get(operation, set())
        if not now and not gone_well:
            found.append(f"job {jid} is lost; it was in {there[jid]}")
    with redis.Redis.from_url(world.url) as db:
        holders = {db.get(key).decode() for key in db.keys("sidelamb:lock:*")}
        if holders - places.keys():
            found.append(f"the locks of {holders - places.keys()} are left without their jobs")
        if len(holders) != db.zcard("sidelamb:locks"):
            found.append("not every lock is listed")
    return found
