"""One look at Redis: what waits where."""

from __future__ import annotations

import time

import pytest

from sidelamb import Client
from sidelamb_local.overview import Overview, look


def test_an_empty_redis_has_nothing(db, redis_url):
    assert look(Client(redis_url)) == Overview()


def test_it_counts_what_waits_and_how_long(db, redis_url):
    client = Client(redis_url, clock=lambda: time.time() - 5)
    for name in ("a", "b"):
        client.push({"class": name, "args": [], "queue": "mail"})
    client.push({"class": "c", "args": [], "at": time.time() + 60})
    db.zadd("dead", {"x": 1})
    db.zadd("retry", {"y": 1, "z": 2})
    db.set("stat:processed", 12)
    db.set("stat:failed", 3)
    seen = look(Client(redis_url), ("default",))
    assert [(queue.name, queue.size) for queue in seen.queues] == [("default", 0), ("mail", 2)]
    assert seen.queues[1].latency_s == pytest.approx(5, abs=1)
    assert (seen.scheduled, seen.retries, seen.dead, seen.processed, seen.failed) == (1, 2, 1, 12, 3)
    assert seen.waiting == 2


def test_jobs_under_suspicion_are_counted_with_their_queue(db, redis_url):
    db.sadd("queues", "mail")
    db.lpush("sidelamb:alone:mail", "{}")
    assert look(Client(redis_url)).queues[0].size == 1


def test_a_queue_whose_key_another_program_uses_hides_no_other(db, redis_url):
    db.sadd("queues", "mail", "foo")
    db.set("queue:foo", "x")
    db.lpush("queue:mail", "{}")
    assert [(queue.name, queue.size) for queue in look(Client(redis_url)).queues] == [("foo", 0), ("mail", 1)]


@pytest.mark.parametrize(
    "payload", [b"not json", b"[]", b'{"enqueued_at":"yesterday"}', b'{"enqueued_at":true}', b"{}"]
)
def test_a_job_that_does_not_say_since_when_has_no_latency(db, redis_url, payload):
    db.sadd("queues", "mail")
    db.lpush("queue:mail", payload)
    assert look(Client(redis_url)).queues[0].latency_s is None


def test_milliseconds_of_a_newer_sidekiq_are_understood(db, redis_url):
    db.sadd("queues", "mail")
    db.lpush("queue:mail", b'{"enqueued_at":%d}' % ((time.time() - 7) * 1000))
    assert look(Client(redis_url)).queues[0].latency_s == pytest.approx(7, abs=1)


def test_a_namespace_has_its_own(db, redis_url):
    Client(redis_url, namespace="{a}").push({"class": "a", "args": []})
    assert look(Client(redis_url, namespace="{a}")).waiting == 1
    assert look(Client(redis_url)).waiting == 0
