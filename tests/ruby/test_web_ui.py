"""Sidekiq's own Web UI (Debian's 6.4.1 under puma) shows our data, and its buttons work on it."""

from __future__ import annotations

import json
import time

from tests.system.ledger import read


def entry(jid: str, **fields) -> str:
    now = time.time()
    payload = {"class": "quick", "args": [1], "jid": jid, "queue": "default", "retry": True, "created_at": now}
    return json.dumps({**payload, **fields}, separators=(",", ":"))


def key_of(system, kind: str, jid: str) -> str:
    """The UI's name of an entry: score and jid."""
    for raw, score in system.db.zrange(kind, 0, -1, withscores=True):
        if jid in raw.decode():
            return f"{score!r}-{jid}"
    raise AssertionError(f"{jid} is not in {kind}")


PAGES = ["/", "/busy", "/queues", "/queues/default", "/retries", "/scheduled", "/morgue", "/stats"]


def test_each_page_shows_our_data(system, web):
    system.client.enqueue("fail", "é<script>")
    system.client.enqueue("comes.later")
    system.client.enqueue_in(600, "quick", 1)
    system.client.enqueue("pause", 1, 3)
    system.db.lpush("queue:default", b"garbage")
    system.wait(lambda: system.db.zcard("dead") and system.db.zcard("retry") and system.db.zcard("schedule") == 2)
    for path in PAGES:
        assert web.get(path), path


def test_the_retry_button_runs_a_failed_job_now(system, web):
    jid = system.client.enqueue("fail", 1)
    system.wait(lambda: system.db.zcard("retry"))
    web.post("/retries", "/retries", key__=key_of(system, "retry", jid), retry="Retry Now")
    system.wait(lambda: len(read(system.ledger)[jid]) == 2)
    assert json.loads(system.wait(lambda: system.db.zrange("retry", 0, -1))[0])["retry_count"] == 0


def test_the_kill_and_delete_buttons_work_on_our_retries(system, web):
    jids = [system.client.enqueue("fail", n) for n in range(2)]
    system.wait(lambda: system.db.zcard("retry") == 2)
    web.post("/retries", "/retries", key__=key_of(system, "retry", jids[0]), kill="Kill")
    web.post("/retries", "/retries", key__=key_of(system, "retry", jids[1]), delete="Delete")
    assert system.db.zcard("retry") == 0
    assert jids[0] in system.db.zrange("dead", 0, -1)[0].decode()


def test_the_add_to_queue_button_runs_a_scheduled_job_now(system, web):
    jid = system.client.enqueue_in(600, "quick", 1)
    web.post("/scheduled", "/scheduled", key__=key_of(system, "schedule", jid), add_to_queue="Add to queue")
    system.wait(lambda: jid in read(system.ledger))
    assert system.db.zcard("schedule") == 0


def test_the_retry_button_of_the_dead_page_runs_the_job_again(system, web):
    now = time.time()
    raw = entry("d1", error_class="X", error_message="y", failed_at=now, retry_count=3, retried_at=now)
    system.db.zadd("dead", {raw: now})
    web.post("/morgue", "/morgue", key__=key_of(system, "dead", "d1"), retry="Retry Now")
    system.wait(lambda: "d1" in read(system.ledger))


def test_a_queued_job_is_deleted_by_its_very_bytes(system, web):
    system.stack.kill_poller()
    jids = [system.client.enqueue("quick", "ü", {"a": 1.5}, n) for n in range(2)]
    raw = next(r for r in system.db.lrange("queue:default", 0, -1) if jids[0].encode() in r)
    web.post("/queues/default", "/queues/default/delete", key_val=raw.decode())
    assert jids[0].encode() not in b"".join(system.db.lrange("queue:default", 0, -1))
    assert system.db.llen("queue:default") == 1


def test_the_busy_page_names_the_running_job_and_its_quiet_and_stop_buttons_reach_the_poller(system, web):
    for n in range(4):
        system.client.enqueue("pause", n, 6)
    (identity,) = system.wait(lambda: system.db.smembers("processes"))
    system.wait(lambda: system.db.exists(identity + b":workers"), 15)
    page = web.get("/busy")
    assert identity.decode() in page
    assert "pause" in page
    web.post("/busy", "/busy", identity=identity.decode(), quiet="Quiet")
    system.wait(lambda: system.db.hget(identity, "quiet") == b"true" or _said(system, "TSTP"), 25)
    web.post("/busy", "/busy", identity=identity.decode(), stop="Stop")
    system.wait(lambda: _said(system, "TERM") or identity not in system.db.smembers("processes"), 25)


def _said(system, word: str) -> bool:
    return any(word in line for _, line in list(system.lines))
