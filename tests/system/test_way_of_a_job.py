"""A job's whole way: app, Redis, poller, Lambda's runtime, worker, Redis."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

from tests.system.ledger import overlapping, read

GOLDEN = Path(__file__).parent.parent / "golden" / "sidekiq-7310"


def test_twenty_thousand_jobs_run_once_each_for_less_than_half_a_command(running):
    count = running.client.enqueue_many("noop", ((n,) for n in range(20_000)))
    assert count == 20_000
    running.db.config_resetstat()
    running.wait(lambda: running.processed() >= 20_000, 60)
    ours = {"get", "smembers", "keys", "llen", "config|resetstat", "info"}
    stats = running.db.info("commandstats")
    calls = sum(v["calls"] for k, v in stats.items() if k.removeprefix("cmdstat_") not in ours - {"get", "llen"})
    running.wait(running.at_rest)
    assert running.processed() == 20_000
    assert running.db.zcard("retry") == running.db.zcard("dead") == running.db.zcard("schedule") == 0
    assert calls / 20_000 < 0.5


def test_every_kind_of_job_runs_exactly_once(running):
    jids = [running.client.enqueue(name, 1, 0.01) for name in ("pause", "apause") for _ in range(50)]
    jids += [running.client.enqueue("quick", n) for n in range(100)]
    running.wait(lambda: running.processed() == 200)
    runs = read(running.ledger)
    assert set(runs) == set(jids)
    assert all(len(each) == 1 and each[0].end for each in runs.values())


def test_coroutines_and_functions_side_by_side_run_once_each_and_what_fails_is_retried(running):
    kinds = {"apause": [1, 0.0], "quick": [1], "afail": [1], "fail": [1]}
    payloads = [{"class": name, "args": args} for _ in range(300) for name, args in kinds.items()]
    assert running.client.push_many(payloads) == 1_200
    running.wait(lambda: running.processed() == 1_200)
    running.wait(running.at_rest)
    assert all(len(each) == 1 for each in read(running.ledger).values())
    assert len(read(running.ledger)) == 1_200
    failed = [json.loads(raw) for raw in running.db.zrange("retry", 0, -1)]
    told = {(entry["class"], entry["error_class"], entry["error_message"]) for entry in failed}
    assert told == {("afail", "ValueError", "as it should"), ("fail", "ValueError", "as it should")}
    assert len(failed) == 600
    running.db.delete("retry")


def test_an_idle_system_is_silent_but_for_a_look_a_second_and_the_heartbeat(running):
    running.client.enqueue("quick", 1)
    running.wait(lambda: running.processed() == 1)
    running.wait(running.at_rest)
    running.wait(lambda: running.db.keys("j|*"), 15)  # the next heartbeat has written the figures of the job
    before, began = running.db.info("commandstats"), time.monotonic()
    time.sleep(11)  # the measurement itself: at least one heartbeat
    after, seconds = running.db.info("commandstats"), time.monotonic() - began

    def calls(name: str) -> int:
        key = f"cmdstat_{name}"
        return after.get(key, {"calls": 0})["calls"] - before.get(key, {"calls": 0})["calls"]

    beats = calls("time")
    assert 1 <= beats <= 2
    assert calls("evalsha") - beats <= seconds + 1
    assert calls("blmove") == calls("eval") == calls("invoke") == 0
    assert not calls("set"), "the scheduler is not woken"


def test_a_delayed_job_starts_within_a_second_of_its_time(running):
    running.client.enqueue_in(0.1, "quick", 0)
    running.wait(lambda: running.processed() == 1)  # the scheduler's sandbox is there
    due = time.time() + 3
    jid = running.client.enqueue_at(due, "quick", 1)
    running.wait(lambda: jid in read(running.ledger))
    assert 0 <= read(running.ledger)[jid][0].start - due < 1.2


def test_with_the_poller_stopped_the_minute_timer_alone_promotes(system):
    system.stack.kill_poller()
    system.client.enqueue_in(1, "quick", 1)
    system.wait(lambda: system.db.llen("queue:default") == 1, 75)
    assert system.db.zcard("schedule") == 0


def test_a_failing_job_is_retried_with_sidekiqs_fields(running):
    jid = running.client.enqueue("fail", 1, "two")
    running.wait(lambda: running.db.zcard("retry"))
    ((raw, score),) = running.db.zrange("retry", 0, -1, withscores=True)
    entry = json.loads(raw)
    assert (entry["jid"], entry["error_class"], entry["error_message"]) == (jid, "ValueError", "as it should")
    assert (entry["retry_count"], entry["queue"], entry["args"]) == (0, "default", [1, "two"])
    assert 15 <= score - entry["failed_at"] <= 25.1
    assert running.db.get("stat:failed") == b"1"


def test_a_rubys_job_runs_is_retried_and_keeps_every_field_it_came_with(running):
    dump = json.loads((GOLDEN / "05-options.json").read_text())
    raws = [
        base64.b64decode(value)
        for key in dump
        if key["type"] == "list"
        for value in key["value"]
        if b'"HardJob"' in base64.b64decode(value) and b'"retry":false' not in base64.b64decode(value)
    ]
    assert raws
    for raw in raws:
        running.db.lpush("queue:default", raw)
    running.wait(lambda: running.db.zcard("retry") == len(raws))
    kept = {json.loads(raw)["jid"]: json.loads(raw) for raw in running.db.zrange("retry", 0, -1)}
    for raw in raws:
        before = json.loads(raw)
        after = kept[before["jid"]]
        assert {k: after[k] for k in before if k != "queue"} == {k: v for k, v in before.items() if k != "queue"}
        assert after["retry_count"] == 0
    assert set(read(running.ledger)) == set(kept)


def test_integers_of_any_size_pass_through_a_retry_to_the_last_digit(running):
    huge = 2**200 + 1
    raw = b'{"class":"fail","args":[%d,1.0e+20,0.1000],"jid":"big","queue":"default","retry":true}' % huge
    running.db.lpush("queue:default", raw)
    running.wait(lambda: running.db.zcard("retry"))
    (entry,) = running.db.zrange("retry", 0, -1)
    assert entry.startswith(raw[:-1])
    assert json.loads(entry)["args"][0] == huge


def test_a_job_that_ends_its_sandbox_is_found_among_its_neighbours_and_alone_is_charged(system):
    neighbours = [system.client.enqueue("quick", n) for n in range(60)]
    culprit = system.client.enqueue("die")
    neighbours += [system.client.enqueue("quick", n) for n in range(60)]
    system.wait(lambda: system.db.zcard("retry") == 1)
    system.wait(system.at_rest)
    (raw,) = system.db.zrange("retry", 0, -1)
    entry = json.loads(raw)
    assert (entry["jid"], entry["error_class"], entry["kills"]) == (culprit, "SandboxKilled", 2)
    assert system.db.get("stat:failed") == b"2"
    runs = read(system.ledger)
    assert all(any(run.end for run in runs[jid]) for jid in neighbours)
    assert not overlapping(runs)
    assert system.db.zcard("dead") == 0


def test_one_poison_job_among_a_thousand_delays_its_neighbours_little_and_charges_none(system):
    system.stack.kill_poller()
    system.client.enqueue_many("quick", [(n,) for n in range(500)])
    poison = system.client.enqueue("die")
    system.client.enqueue_many("quick", [(n,) for n in range(499)])
    neighbours = {json.loads(raw)["jid"] for raw in system.db.lrange("queue:default", 0, -1)} - {poison}
    began = time.monotonic()
    system.stack.restart_poller()
    system.wait(lambda: sum(any(r.end for r in runs) for runs in list(read(system.ledger).values())) == 999)
    assert time.monotonic() - began < 10
    system.wait(lambda: system.db.zcard("retry") == 1)
    (raw,) = system.db.zrange("retry", 0, -1)
    assert json.loads(raw)["jid"] == poison
    system.db.zadd("retry", {raw: time.time()})  # it waits as after any failure
    system.wait(lambda: system.db.zcard("dead") == 1)
    entry = json.loads(system.db.zrange("dead", 0, -1)[0])
    assert (entry["jid"], entry["kills"]) == (poison, 3)
    runs = read(system.ledger)
    assert all(run.attempt == 1 for jid in neighbours for run in runs[jid]), "no neighbour was charged"
    assert system.db.get("stat:failed") == b"3"
    assert not overlapping(runs)


def test_a_job_whose_sandbox_dies_runs_again_within_two_seconds(system, tmp_path):
    jid = system.client.enqueue("die_once", str(tmp_path / "mark"))
    system.wait(lambda: system.processed() == 2)
    first, second = read(system.ledger)[jid]
    assert second.start - first.start < 2
    assert second.end


def test_a_third_kill_sends_a_job_to_dead_with_reason_and_request_id(system):
    system.client.enqueue("die")
    system.wait(lambda: system.db.zcard("retry"))
    (raw,) = system.db.zrange("retry", 0, -1)
    assert json.loads(raw)["kills"] == 2, "the first time it runs again at once"
    system.db.zadd("retry", {raw: time.time()})
    system.wait(lambda: system.db.zcard("dead"))
    entry = json.loads(system.db.zrange("dead", 0, -1)[0])
    assert entry["kills"] == 3
    runs = read(system.ledger)[entry["jid"]]
    assert len(runs) == 3
    assert runs[-1].request_id in entry["error_message"]
    assert "/aws/lambda/ledger-worker" in entry["error_message"]
    assert system.db.get("stat:failed") == b"3"


def test_bytes_that_are_no_job_go_to_dead_as_they_are_and_disturb_nobody(running):
    bad = [
        b"not json",
        b"[1,2]",
        b'"text"',
        b"17",
        b'{"args":[],"queue":"a"}',
        b'{"class":5,"args":[],"queue":"a"}',
        b'{"class":"quick"',
        b"\xff\xfe",
    ]
    for raw in bad:
        running.db.lpush("queue:default", raw)
    jid = running.client.enqueue("quick", 1)
    running.wait(lambda: running.db.zcard("dead") == len(bad))
    running.wait(lambda: jid in read(running.ledger))
    assert set(running.db.zrange("dead", 0, -1)) == set(bad)
    running.wait(running.at_rest)


def test_a_name_nobody_knows_is_put_off_uncounted_and_keeps_its_place_in_redis(running):
    running.client.enqueue("comes.later", 1)
    running.wait(lambda: running.db.zcard("schedule"))
    entry = json.loads(running.db.zrange("schedule", 0, -1)[0])
    assert "retry_count" not in entry
    assert entry["unknown_since"] > 0
    assert running.db.get("stat:failed") is None


def test_the_poller_shows_itself_and_what_it_runs_as_one_sidekiq_process(running):
    for n in range(4):
        running.client.enqueue("pause", n, 6)  # two at once: something runs at the second heartbeat
    (identity,) = running.wait(lambda: running.db.smembers("processes"))
    work = running.wait(lambda: running.db.hgetall(identity + b":work"), 15)
    entry = json.loads(next(iter(work.values())))
    assert json.loads(entry["payload"])["class"] == "pause"
    assert isinstance(entry["run_at"], int)
    info = json.loads(running.db.hget(identity, "info"))
    assert info["identity"].encode() == identity
    assert info["queues"] == ["default"]
