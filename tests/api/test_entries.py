"""A person looks at what is scheduled, retried and dead, and moves it."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from sidelamb.api import DeadSet, Leases, Place, Queue, RetrySet, ScheduledSet
from sidelamb.errors import BadArgument, BadOption, Malformed, RedisRefused
from tests.api.conftest import NOW, payload

SETS = {"schedule": ScheduledSet, "retry": RetrySet, "dead": DeadSet}


def fill(client, db, name: str, n: int, **fields) -> None:
    key = client.store.keys(name)
    for i in range(0, n, 5_000):
        db.zadd(key, {payload(f"j{j}", **fields): NOW - n + j for j in range(i, min(n, i + 5_000))})


@pytest.fixture(params=SETS)
def named(request):
    return request.param


def queue_of(client, db) -> list[dict]:
    return [json.loads(raw) for raw in db.lrange(client.store.keys.queue("mail"), 0, -1)]


def test_all_entries_are_shown_once_lowest_time_first(client, db, named):
    fill(client, db, named, 20_000)
    assert [e.jid for e in SETS[named](client)] == [f"j{n}" for n in range(20_000)]


def test_entries_of_one_time_are_all_shown(client, db, named):
    db.zadd(client.store.keys(named), {payload(f"j{n}"): NOW for n in range(1_050)})
    shown = [e.jid for e in SETS[named](client)]
    assert len(shown) == len(set(shown)) == 1_050


@pytest.mark.parametrize("apart_s", [0, 1], ids=["one time for all", "each its own time"])
@pytest.mark.parametrize("verb", ["delete", "retry"])
def test_all_are_shown_though_each_leaves_when_it_was_shown(client, db, named, apart_s, verb):
    raws = {payload(f"j{n}"): NOW + apart_s * n for n in range(1_050)}
    db.zadd(client.store.keys(named), raws)
    entries = SETS[named](client)
    assert sum(getattr(entries, verb)(entry) for entry in entries) == 1_050
    assert entries.size() == 0


def test_what_is_there_all_the_while_is_shown_once_though_others_come_and_go(client, db, named):
    key = client.store.keys(named)
    db.zadd(key, {payload(f"j{n}"): NOW + n // 300 for n in range(1_200)})
    shown = []
    for n, entry in enumerate(SETS[named](client)):
        shown.append(entry.jid)
        if n % 7 == 0:
            db.zrem(key, entry.raw, *(payload(f"j{n}") for n in range(1_190, 1_200)))
            db.zadd(key, {payload(f"late{n}"): NOW - 1, payload(f"a{n}"): entry.score})
    assert len(shown) == len(set(shown))
    assert set(shown) >= {f"j{n}" for n in range(1_190)}


def test_large_entries_come_a_few_at_a_time(client, db, named):
    db.zadd(client.store.keys(named), {payload(f"j{n:02}", args=["x" * 500_000]): NOW for n in range(40)})
    entries, place = SETS[named](client).step(size=1_000)
    assert len(entries) < 20
    assert place == Place(NOW, entries[-1].raw)
    assert [e.jid for e in SETS[named](client)] == [f"j{n:02}" for n in range(40)]
    assert SETS[named](client).delete_all() == (40, 0)


def test_of_many_entries_of_one_time_the_wanted_one_is_found_step_by_step(client, db, named, monkeypatch):
    db.zadd(client.store.keys(named), {payload(f"j{n}"): NOW for n in range(2_500)})
    db.zadd(client.store.keys(named), {payload("other"): NOW + 1})
    most, run = 0, client.link.run

    def counting(call):
        nonlocal most
        reply = run(call)
        most = max(most, len(reply))
        return reply

    monkeypatch.setattr(client.link, "run", counting)
    entries = SETS[named](client)
    assert entries.find("j2499", NOW).jid == "j2499"
    assert entries.find("nobody", NOW) is None
    assert entries.find("other", NOW) is None
    assert most <= 2 * 1_000


def test_pages_go_either_way(client, db, named):
    fill(client, db, named, 250)
    entries = SETS[named](client)
    assert [len(entries.page(n)) for n in range(4)] == [100, 100, 50, 0]
    assert entries.page(0, 1, newest_first=True)[0].jid == "j249"
    assert entries.size() == 250


def test_a_search_reads_bounded_steps_and_finds_all(client, db, named):
    fill(client, db, named, 5_000)
    db.zadd(client.store.keys(named), {payload("odd", error_message="Timeout at the DOOR"): NOW})
    entries = SETS[named](client)
    assert [e.jid for e in entries.scan("door")] == ["odd"]
    first = entries.search("")
    assert 0 < len(first.entries) < 5_000
    assert first.cursor != 0
    assert {e.jid for e in entries.scan()} == {"odd", *(f"j{n}" for n in range(5_000))}


def test_one_is_found_by_id_and_at_once_with_its_score(client, db, named):
    fill(client, db, named, 3_000)
    entries = SETS[named](client)
    found = entries.find("j77")
    assert found is not None
    assert entries.find("j77", found.score).raw == found.raw
    assert entries.find("j77", 5.0) is None
    assert entries.find("nobody") is None


def test_run_now_pushes_it_as_sidekiq_does(client, db, named):
    db.zadd(client.store.keys(named), {payload("a", retry_count=2, at=5): NOW + 60})
    entries = SETS[named](client)
    (entry,) = entries
    assert entries.retry(entry) is True
    assert entries.retry(entry) is False
    (pushed,) = queue_of(client, db)
    assert pushed["enqueued_at"] == NOW
    assert "at" not in pushed
    assert pushed["retry_count"] == (2 if named == "schedule" else 1)
    assert db.smembers(client.store.keys.queues) == {b"mail"}
    assert entries.size() == 0


def test_every_other_value_keeps_its_last_digit(client, db):
    raw = payload("a")[:-1] + b',"big":123456789012345678901234567890,"f":1.10}'
    db.zadd(client.store.keys("retry"), {raw: NOW})
    (entry,) = RetrySet(client)
    RetrySet(client).retry(entry)
    (pushed,) = db.lrange(client.store.keys.queue("mail"), 0, -1)
    assert b'"big":123456789012345678901234567890,"f":1.10' in pushed


@pytest.mark.parametrize("name", ["schedule", "retry"])
def test_kill_moves_the_bytes_as_they_are(client, db, name):
    fill(client, db, name, 1)
    entries = SETS[name](client)
    (entry,) = entries
    assert (entries.kill(entry), entries.kill(entry)) == (True, False)
    assert db.zrange(client.store.keys.dead, 0, -1, withscores=True) == [(entry.raw, NOW)]


def test_dead_is_trimmed_by_age_and_number(client, db):
    dead, old = client.store.keys.dead, NOW - 181 * 86_400
    db.zadd(dead, {payload("old"): old})
    for i in range(0, 10_000, 5_000):
        db.zadd(dead, {payload(f"d{n}"): NOW - 10_000 + n for n in range(i, i + 5_000)})
    fill(client, db, "retry", 1)
    (entry,) = RetrySet(client)
    RetrySet(client).kill(entry)
    assert db.zcard(dead) == 10_000
    assert db.zscore(dead, payload("old")) is None
    assert db.zscore(dead, entry.raw) == NOW


@pytest.mark.parametrize("name", ["schedule", "retry"])
def test_reschedule_gives_another_time(client, db, name):
    fill(client, db, name, 1)
    entries = SETS[name](client)
    (entry,) = entries
    assert entries.reschedule(entry, NOW + 3_600) is True
    assert [(e.raw, e.score) for e in entries] == [(entry.raw, NOW + 3_600)]
    with pytest.raises(BadOption):
        entries.reschedule(entry, float("nan"))
    entries.delete(entry)
    assert entries.reschedule(entry, NOW) is False


def test_bytes_that_are_no_job_can_be_seen_and_deleted_but_not_run(client, db, named):
    db.zadd(client.store.keys(named), {b"\xff not json": NOW})
    entries = SETS[named](client)
    (entry,) = entries
    assert entry.malformed
    assert entry.args == ["\ufffd not json"]
    with pytest.raises(Malformed, match="can only be deleted"):
        entries.retry(entry)
    assert entries.retry_all() == (0, 1)
    assert entries.delete(entry)
    assert entries.size() == 0


def test_all_are_moved_with_progress(client, db, named):
    fill(client, db, named, 2_500)
    seen: list[int] = []
    assert SETS[named](client).retry_all(progress=seen.append) == (2_500, 0)
    assert seen == [1_000, 2_000, 2_500]
    assert len(queue_of(client, db)) == 2_500


def test_only_those_that_match_are_moved(client, db, named):
    fill(client, db, named, 2_500)
    key = client.store.keys(named)
    db.zadd(key, {payload(f"t{n}", error_class="Timeout"): NOW - 5_000 + 3 * n for n in range(1_500)})
    assert SETS[named](client).delete_all("timeout") == (1_500, 0)
    assert SETS[named](client).size() == 2_500


@pytest.mark.parametrize("name", ["schedule", "retry"])
@pytest.mark.parametrize("after_s", [-9_999.0, -1_250.5, -1_250.0, 9_999.0])
def test_all_are_rescheduled_with_progress_wherever_in_the_set_that_is(client, db, name, after_s):
    fill(client, db, name, 2_500)
    db.zadd(
        client.store.keys(name), {payload(f"t{n}", error_class="Timeout"): NOW - n for n in range(0, 2_500, 5)}
    )
    seen: list[int] = []
    entries = SETS[name](client)
    moved, skipped = entries.reschedule_all(NOW + after_s, "timeout", progress=seen.append)
    assert (moved, skipped) == (500 - (after_s == -1_250), 0)
    assert {e.jid for e in entries if e.score == NOW + after_s} >= {f"t{n}" for n in range(0, 2_500, 5)}
    assert entries.size() == 3_000
    assert seen == sorted(seen)
    with pytest.raises(BadOption):
        entries.reschedule_all(float("nan"))


def test_entries_that_were_read_are_moved_and_those_that_are_gone_are_not_counted(client, db):
    fill(client, db, "retry", 4)
    entries, _ = RetrySet(client).step()
    RetrySet(client).delete(entries[0])
    assert RetrySet(client).verbs() == ["retry", "delete", "kill", "reschedule"]
    assert RetrySet(client).move("kill", entries[:2]) == (1, 0)
    assert RetrySet(client).move("reschedule", entries[2:], at=NOW + 5) == (2, 0)
    assert [entry.score for entry in RetrySet(client)] == [NOW + 5] * 2
    for verb, at in (("reschedule", None), ("kill", NOW), ("bury", None)):
        with pytest.raises(BadArgument):
            RetrySet(client).move(verb, entries, at=at)


def test_what_comes_in_meanwhile_stays(client, db):
    fill(client, db, "dead", 2_000)
    key = client.store.keys.dead

    def more(done: int) -> None:
        db.zadd(key, {payload(f"late{done}"): NOW + 1})

    assert DeadSet(client).retry_all(progress=more).moved == 2_000
    assert {e.jid for e in DeadSet(client)} == {"late1000", "late2000"}


def test_two_people_at_once_move_each_entry_once(client, db, named):
    fill(client, db, named, 3_000)
    results = []

    def press() -> None:
        results.append(SETS[named](client).retry_all().moved)

    threads = [threading.Thread(target=press) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jids = [job["jid"] for job in queue_of(client, db)]
    assert len(jids) == len(set(jids)) == sum(results)
    SETS[named](client).retry_all()
    assert len(queue_of(client, db)) == 3_000


def test_one_entry_pressed_by_two_moves_once_even_in_one_call(client, db):
    fill(client, db, "retry", 1)
    (entry,) = RetrySet(client)
    shift = RetrySet(client)._run_now(entry)
    assert client.link.run(RetrySet(client)._calls.shift(client.store.keys.retry, NOW, [shift, shift])) == [1, 0]
    assert len(queue_of(client, db)) == 1


def test_a_queue_that_is_no_list_leaves_everything_as_it_was(client, db):
    fill(client, db, "retry", 3)
    db.set(client.store.keys.queue("mail"), "x")
    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        RetrySet(client).retry_all()
    assert RetrySet(client).size() == 3


async def test_async_code_has_the_same(client, db, named):
    fill(client, db, named, 1_200)
    entries = SETS[named](client)
    assert await entries.asize() == 1_200
    assert len([e async for e in entries]) == 1_200
    assert len([e async for e in entries.ascan("j119")]) == 11
    moved = await asyncio.gather(*(entries.adelete_all() for _ in range(2)))
    assert sum(b.moved for b in moved) == 1_200


@pytest.mark.parametrize(
    ("number", "size"), [(-1, 10), (0, 0), (0, -1), (0, 10_001), (1.5, 10), ("1", 10), (True, 10)]
)
def test_a_page_that_cannot_be_or_would_be_a_whole_set_is_refused(client, number, size):
    for view in (*(s(client) for s in SETS.values()), Queue("mail", client), Leases(client)):
        with pytest.raises(BadArgument, match="pages count from 0"):
            view.page(number, size)


def test_what_is_no_job_as_it_was_read_is_refused_with_what_reads_one(client):
    retries, queue = RetrySet(client), Queue("mail", client)
    says = r"takes a job as it was read, not 'a1b2' \(str\); find\(jid\) reads one"
    for verb in (retries.retry, retries.delete, retries.kill, lambda e: retries.reschedule(e, NOW), queue.delete):
        with pytest.raises(BadArgument, match=says):
            verb("a1b2")
