"""No command has more arguments than ElastiCache Serverless takes, however many jobs it is about."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Client, talk
from sidelamb.api import RetrySet
from sidelamb.link import Link
from sidelamb.store import Settled, Store, keep, to_retry
from tests.handlers.proxy import Proxy
from tests.redis import way

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

JOBS = 5_000
TAKES = 3_999
STORE = Store()


class Counting(Proxy):
    """Knows the most arguments that a command had."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.most = 0
        self.heard = self._count

    def _count(self, data: bytes) -> None:
        commands = re.findall(rb"\*(\d+)\r\n\$\d+\r\n(?:EVALSHA|EVAL)\r\n", data)
        self.most = max([self.most, *(int(n) - 1 for n in commands)])


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Counting]:
    proxy = Counting(redis_url)
    yield proxy
    proxy.close()


@pytest.fixture
def link(proxy: Counting) -> Iterator[Link]:
    link = Link(proxy.url)
    yield link
    link.close()


def lease(link: Link, *, claim: bool = True) -> Any:
    now = time.time()
    for start in range(0, JOBS, 1_000):
        link.run(STORE.enqueue([("default", b'{"jid":"%d"}' % n) for n in range(start, start + 1_000)]))
    call = STORE.reserve(
        ["c:1"], ["default"], capsule="c", poller="p", expires=now, cap=9, most_jobs=JOBS, most_bytes=10**8
    )
    (held,) = link.run(call).leases
    if claim:
        link.run(STORE.claim("c:1", request_id="r", now=now, deadline=now - 1))
    return link.run(STORE.lease("c:1")) if claim else held


async def test_every_script_reads_arguments_that_come_as_one(redis_url, monkeypatch):
    link = Link(redis_url)

    def run(call: Any) -> Any:
        monkeypatch.setattr(talk, "MOST_ARGUMENTS", 4 if call.script == "push" else 0)  # it has four, always
        return link.run(call)

    assert await way.go(run, "") == way.EVERY_SCRIPT
    link.close()


class TestALeaseOfFiveThousandJobs:
    def test_fails_as_a_whole(self, link: Link, db: redis.Redis, proxy: Counting):
        held = lease(link)
        moves = [to_retry(field, time.time(), b"new" + raw) for field, raw in held.jobs.items()]
        assert link.run(STORE.settle("c:1", "c", now=time.time(), moves=moves, request_id="r")) == Settled(JOBS, 0)
        assert db.zcard("retry") == JOBS
        assert 0 < proxy.most <= TAKES

    def test_succeeds_as_a_whole(self, link: Link, proxy: Counting):
        held = lease(link)
        call = STORE.settle("c:1", "c", now=time.time(), done=list(held.jobs), request_id="r")
        assert link.run(call) == Settled(JOBS, 0)
        assert proxy.most <= TAKES

    def test_is_reaped(self, link: Link, db: redis.Redis, proxy: Counting):
        held = lease(link)
        moves = [keep(field) for field in reversed(held.jobs)]
        assert link.run(STORE.reap(held, "c", now=time.time(), moves=moves)).moved == JOBS
        assert db.lindex("queue:default", -1) == b'{"jid":"0"}'
        assert proxy.most <= TAKES

    def test_is_released_in_order(self, link: Link, db: redis.Redis, proxy: Counting):
        held = lease(link, claim=False)
        before = list(held.jobs.values())
        assert link.run(STORE.release("c", [held])) == [JOBS]
        assert db.lrange("queue:default", 0, -1)[::-1] == before
        assert proxy.most <= TAKES

    def test_is_narrowed_and_its_payloads_are_read(self, link: Link, proxy: Counting):
        held = lease(link)
        assert len(link.run(STORE.payloads("c:1", list(held.jobs)))) == JOBS
        halves = link.run(
            STORE.narrow(held, ("c:2", "c:3"), first=JOBS // 2, request_id="r", poller="p", expires=time.time())
        )
        assert [len(half.jobs) for half in halves] == [JOBS // 2, JOBS // 2]
        assert proxy.most <= TAKES


def test_a_thousand_jobs_for_a_thousand_queues(link: Link, db: redis.Redis, proxy: Counting):
    link.run(STORE.enqueue([(f"q{n}", b"%d" % n) for n in range(1_000)]))
    assert db.scard("queues") == 1_000
    assert proxy.most <= TAKES


def test_a_thousand_due_entries_of_a_thousand_queues_and_a_person_who_presses_a_button(
    link: Link, db: redis.Redis, proxy: Counting
):
    raws = [b'{"class":"a","args":[],"jid":"%d","queue":"q%d"}' % (n, n) for n in range(1_000)]
    db.zadd("retry", dict.fromkeys(raws, 1.0))
    entries = [(raw, raw, f"q{n}") for n, raw in enumerate(raws)]
    assert link.run(STORE.promote("retry", time.time(), entries)) == (1_000, 0)
    db.zadd("retry", dict.fromkeys(raws, 1.0))
    assert RetrySet(Client(proxy.url)).retry_all().moved == 1_000
    assert proxy.most <= TAKES


def test_a_heartbeat_with_ten_thousand_invocations(link: Link, db: redis.Redis, proxy: Counting):
    work = {f"{n:x}": b"{}" for n in range(10_000)}
    link.run(STORE.beat("host:1:a", 60, {"info": "{}"}, work))
    assert db.hlen("host:1:a:work") == 10_000
    assert proxy.most <= TAKES
