"""A person looks at a queue, and after it."""

from __future__ import annotations

import json

import pytest

from sidelamb.api import Queue, Stats
from sidelamb.errors import BadOption
from tests.api.conftest import NOW, payload


def fill(client, db, n: int, queue: str = "mail") -> None:
    key = client.store.keys.queue(queue)
    raws = [payload(f"j{i}", enqueued_at=NOW - n + i) for i in range(n)]
    for i in range(0, n, 5_000):
        db.lpush(key, *raws[i : i + 5_000])


def test_a_queue_that_does_not_exist_is_empty(client):
    queue = Queue("nobody", client)
    assert (queue.size(), queue.latency(), list(queue), queue.find("x"), queue.clear()) == (0, 0.0, [], None, 0)


def test_a_name_that_can_be_no_queues_is_refused(client):
    with pytest.raises(BadOption, match="Queue"):
        Queue("a b", client)


@pytest.mark.parametrize("name", ["a b/c", "🦊", "", "n\0ul", "x" * 20_000, b"\xff\xfe", b"\\xff"], ids=repr)
def test_a_queue_that_another_client_has_named_is_seen_and_cleared(client, db, name):
    keys, raw = client.store.keys, name if isinstance(name, bytes) else name.encode()
    db.sadd(keys.queues, raw)
    db.lpush(keys("queue:") + raw, payload("j1"), payload("j2"))
    ((found, one),) = Stats(client).listed().items()
    assert (found, one.size, one.is_paused) == (raw, 2, False)
    queue = Queue.listed(found, client)
    assert (queue.pause(), queue.is_paused(), db.smembers(keys.paused)) == (True, True, {raw})
    assert queue.delete(queue.page()[0])
    assert (queue.clear(), db.exists(keys.queues), db.exists(keys("queue:") + raw)) == (1, 0, 0)
    assert [(raw, one.is_paused) for raw, one in Stats(client).listed().items()] == [(raw, True)], (
        "empty, and still paused"
    )
    assert queue.resume()
    assert Stats(client).queues() == []


def test_size_and_latency_are_those_of_what_waits(client, db):
    fill(client, db, 30)
    assert Queue("mail", client).size() == 30
    assert Queue("mail", client).latency() == 30.0


def test_all_jobs_are_shown_once_newest_first_a_page_at_a_time(client, db):
    fill(client, db, 20_000)
    assert [r.jid for r in Queue("mail", client)] == [f"j{n}" for n in reversed(range(20_000))]


def test_a_page_is_what_stands_there(client, db):
    fill(client, db, 250)
    queue = Queue("mail", client)
    assert [len(queue.page(n)) for n in range(4)] == [100, 100, 50, 0]
    assert queue.page(1, 10)[0].jid == "j239"


def test_a_search_is_a_step_for_a_thousand_jobs_and_says_where_each_stands(client, db):
    fill(client, db, 2_500)
    db.rpush(client.store.keys.alone("mail"), payload("j2499-alone"))
    queue, cursor, found, steps = Queue("mail", client), 0, [], 0
    while steps == 0 or cursor:
        part, cursor = queue.search("J2499", cursor)
        found, steps = [*found, *part], steps + 1
    assert [(place, record.jid) for place, record in found] == [(0, "j2499"), (2_500, "j2499-alone")]
    assert steps == 3


def test_what_waits_all_the_while_is_shown_once_though_jobs_come_and_go(client, db):
    fill(client, db, 1_000)
    key, shown = client.store.keys.queue("mail"), []
    for n, record in enumerate(Queue("mail", client)):
        shown.append(record.jid)
        if n % 10 == 0:
            db.lpush(key, *(payload(f"new{n}-{i}") for i in range(3)))
        if n % 25 == 0:
            db.rpop(key)
    assert len(shown) == len(set(shown))
    assert set(shown) >= {f"j{n}" for n in range(40, 1_000)}


def test_all_are_shown_though_each_is_deleted_when_it_was_shown(client, db):
    fill(client, db, 1_050)
    queue = Queue("mail", client)
    assert sum(queue.delete(record) for record in queue) == 1_050
    assert queue.size() == 0


@pytest.mark.parametrize("every", [1, 3])
def test_what_waits_all_the_while_is_shown_once_though_jobs_are_deleted_run_and_returned(client, db, every):
    fill(client, db, 2_000)
    queue, key, shown = Queue("mail", client), client.store.keys.queue("mail"), []
    for n, record in enumerate(queue):
        shown.append(record.jid)
        if n % every == 0:
            queue.delete(record)
        if n % 250 == 0 and n < 1_000:
            db.rpush(key, *(db.rpop(key) for _ in range(150)))
            db.rpush(key, *(payload(f"returned{n}-{i}") for i in range(150)))
            db.lpush(key, *(payload(f"new{n}-{i}") for i in range(150)))
    assert len(shown) == len(set(shown))
    assert set(shown) >= {f"j{n}" for n in range(2_000)}


def test_many_that_run_at_once_do_not_show_others_twice(client, db):
    fill(client, db, 3_000)
    key, shown = client.store.keys.queue("mail"), []
    for n, record in enumerate(Queue("mail", client)):
        shown.append(record.jid)
        if n % 100 == 50:
            db.rpop(key, 150)
    assert shown == [f"j{n}" for n in range(2_999, 2_999 - len(shown), -1)]
    assert {json.loads(raw)["jid"] for raw in db.lrange(key, 0, -1)} <= set(shown)


def test_one_job_is_found_and_deleted_and_the_second_who_tries_is_told(client, db):
    fill(client, db, 3_000)
    queue = Queue("mail", client)
    record = queue.find("j1234")
    assert record is not None
    assert (record.jid, record.queue, record.name, record.args) == ("j1234", "mail", "Work", ["j1234"])
    assert queue.delete(record) is True
    assert queue.delete(record) is False
    assert queue.size() == 2_999


def test_jobs_under_suspicion_belong_to_their_queue(client, db):
    db.lpush(client.store.keys.alone("mail"), payload("s"))
    queue = Queue("mail", client)
    assert queue.size() == 1
    found = queue.find("s")
    assert found is not None
    assert [r.raw for r in queue] == [r.raw for r in queue.page()] == [found.raw]
    assert queue.delete(found)
    assert queue.size() == 0


def test_those_under_suspicion_run_next_and_so_stand_last_and_are_the_oldest(client, db):
    fill(client, db, 130)
    db.lpush(client.store.keys.alone("mail"), *(payload(f"s{n}", enqueued_at=NOW - 500 - n) for n in range(40)))
    queue, jids = Queue("mail", client), [f"j{n}" for n in reversed(range(130))]
    assert [r.jid for r in queue] == [*jids, *(f"s{n}" for n in reversed(range(40)))]
    assert [r.jid for n in range(5) for r in queue.page(n, 50)] == [r.jid for r in queue]
    assert queue.latency() == 500
    db.sadd(client.store.keys.queues, "mail")
    assert [(q.size, q.latency_s) for q in Stats(client).queues()] == [(170, 500)]


def test_clear_deletes_everything_and_its_name_until_the_next_push(client, db):
    client.enqueue("Work", 1, queue="mail")
    fill(client, db, 500)
    assert Queue("mail", client).clear() == 501
    assert db.keys("*queue*") == []


def test_a_paused_queue_gives_no_jobs_until_it_is_resumed(client, db):
    fill(client, db, 3)
    queue = Queue("mail", client)
    assert (queue.pause(), queue.pause(), queue.is_paused()) == (True, False, True)
    assert reserved(client) == 0
    assert (queue.resume(), queue.resume(), queue.is_paused()) == (True, False, False)
    assert reserved(client) == 3


def reserved(client) -> int:
    call = client.store.reserve(
        ["c:1"], ["mail"], capsule="c", poller="p", expires=NOW + 30, cap=9, most_jobs=10, most_bytes=10**6
    )
    return sum(len(lease.jobs) for lease in client.link.run(call).leases)


async def test_async_code_has_the_same(client, db):
    fill(client, db, 250)
    queue = Queue("mail", client)
    assert (await queue.asize(), await queue.alatency()) == (250, 250.0)
    assert len([record async for record in queue]) == 250
    found = await queue.afind("j7")
    assert found is not None
    assert await queue.adelete(found)
    assert await queue.apause()
    assert await queue.aclear() == 249
