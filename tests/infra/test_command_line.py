"""The commands that look at jobs and act on them, in this process, on a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sidelamb import Client
from sidelamb.api import RetrySet
from sidelamb.testing import drain
from sidelamb_local import bulk, exporting, importing, log_file, redis_facts
from sidelamb_local.plain import without_secrets
from sidelamb_local.redis_server import RedisServer
from tests.infra.in_process import PAGE, fields_of

HOSTILE = "\x1b[31mred\x1b[0m[red]x[/]\nforged\u202e\x9b2J"


def payload(jid, **fields):
    made = {"class": "shop.mail", "args": [jid], "jid": jid, "queue": "mail", "created_at": 1.0, "retry": True}
    return json.dumps(made | fields).encode()


def failed(jid, **fields):
    made = {"failed_at": 2.0, "retry_count": 3, "error_class": "Timeout", "error_message": "late"}
    return payload(jid, **made | fields)


@pytest.fixture
def filled(db):
    """Three retries, two scheduled, one dead, and two in the queue mail."""
    db.zadd(
        "retry",
        {failed("r1"): 1.5, failed("r2", **{"class": "shop.bill"}): 2.5, failed("r3", error_class="No"): 3.5},
    )
    db.zadd("schedule", {payload("s1"): 4e9, payload("s2"): 4e9 + 1})
    db.zadd("dead", {failed("d1"): time.time() - 60})
    db.sadd("queues", "mail")
    db.lpush("queue:mail", payload("q1"), payload("q2"))
    return db


# --- looking ---


def test_a_set_is_listed_by_pages(sidelamb, filled):
    said = sidelamb("jobs", "list", "retries", "--size", 2)
    assert [line.split()[:2] for line in said.lines] == [
        ["jid", "class"],
        ["r1", "shop.mail"],
        ["r2", "shop.bill"],
    ]
    assert said.err == "1 to 2; 3 in retries; more: --page 2\n"
    assert sidelamb("jobs", "list", "retries", "--size", 2, "--page", 2).lines[1].split()[0] == "r3"


@pytest.mark.parametrize(
    ("argv", "jids"),
    [
        (["retries"], ["r1", "r2", "r3"]),
        (["retry", "--newest"], ["r3", "r2", "r1"]),
        (["retries", "--class", "shop.mail"], ["r1", "r3"]),
        (["retries", "--error", "Timeout", "--newest"], ["r2", "r1"]),
        (["retries", "--match", "R*3"], ["r3"]),
        (["retries", "--error", "Timeout", "--size", "1", "--page", "2"], ["r2"]),
        (["retries", "--page", "0", "--size", "1"], ["r1", "r2", "r3"]),
        (["scheduled", "--class", "nobody"], []),
        (["queue:mail"], ["q2", "q1"]),
    ],
)
def test_a_listing_is_lines_of_json(sidelamb, filled, argv, jids):
    said = sidelamb("jobs", "list", *argv, "--json")
    assert [one["jid"] for one in said.objects] == jids
    assert (said.status, said.err) == (0, "")


def test_a_job_is_found_wherever_it_is(sidelamb, filled, db):
    db.hset("sidelamb:lease:c:1", mapping={"0:mail": payload("l1"), "capsule": "c", "poller": "p"})
    db.zadd("sidelamb:leases", {"c:1": 1.0})
    found = sidelamb("jobs", "find", "shop.", "--json").objects
    assert [(one["in"], one["jid"]) for one in found][3:6] == [
        ("scheduled", "s1"),
        ("scheduled", "s2"),
        ("dead", "d1"),
    ]
    assert json.loads(sidelamb("jobs", "show", "l1", "--json").out)["in"] == "in flight, lease c:1"
    assert json.loads(sidelamb("jobs", "show", "q1", "--json").out)["in"] == "queue:mail"
    assert (sidelamb("jobs", "find", "nothing").status, sidelamb("jobs", "show", "nothing").status) == (1, 1)


def test_what_a_stranger_wrote_cannot_break_the_terminal_nor_colour_it(sidelamb, db):
    fields = json.loads(failed("h1")) | {
        "class": HOSTILE,
        "args": [HOSTILE, "x" * 200_000],
        "error_message": HOSTILE,
    }
    db.zadd("retry", {json.dumps(fields): 1, b"\x1b[2Jnot a job\xff": 2})
    db.sadd("queues", HOSTILE)
    for argv in (
        ["jobs", "list", "retries"],
        ["jobs", "show", "h1"],
        ["queues"],
        ["status"],
        ["jobs", "find", "h1"],
    ):
        said = sidelamb(*argv)
        assert said.status == 0
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said.out + said.err)
        assert "forged" not in [line.strip() for line in said.lines]
        assert max(map(len, said.lines)) < 5_000
    assert "[red]x[/]" in sidelamb("jobs", "list", "retries").out
    listed = sidelamb("jobs", "list", "retries", "--json")
    assert listed.out.isascii()
    assert listed.objects[0]["class"] == HOSTILE
    assert listed.objects[1]["malformed"]
    sidelamb("jobs", "show", HOSTILE)
    assert "\x1b" not in sidelamb("jobs", "list", HOSTILE).err


def test_encrypted_arguments_are_nobodys_to_see(sidelamb, db):
    db.zadd("retry", {failed("e1", sealed="c2VjcmV0", args=[]): 1})
    assert "(encrypted)" in sidelamb("jobs", "list", "retries").out
    shown = json.loads(sidelamb("jobs", "show", "e1", "--json").out)
    assert (shown["args"], shown["encrypted"]) == (None, True)
    assert "c2VjcmV0" not in sidelamb("jobs", "show", "e1").out
    said = sidelamb("jobs", "retry", "retries", "e1", "--args", "[1]")
    assert (said.status, db.zcard("retry")) == (2, 1)


def test_queues_are_listed_the_longest_first(sidelamb, filled):
    filled.lpush("queue:low", payload("l"))
    filled.sadd("queues", "low")
    assert [(q["name"], q["size"], q["is_paused"]) for q in sidelamb("queues", "--json").objects] == [
        ("mail", 2, False),
        ("low", 1, False),
    ]
    assert sidelamb("queues", "--size", 1).err == "1 to 1; 2 queues; more: --page 2\n"
    assert sidelamb("queues", "--size", 1, "--page", 2).err == "2 to 2; 2 queues\n"
    assert [one["name"] for one in sidelamb("queues", "--size", 1, "--page", 0, "--json").objects] == [
        "mail",
        "low",
    ]


def test_what_is_found_everywhere_is_shown_by_pages(sidelamb, filled):
    argv = ["jobs", "find", "shop.", "--size", 3]
    assert sidelamb(*argv).err == "1 to 3 of those that match; more: --page 2\n"
    pages = [[one["jid"] for one in sidelamb(*argv, "--page", n, "--json").objects] for n in (1, 2, 3, 0)]
    assert pages[:3] == [["r1", "r2", "r3"], ["s1", "s2", "d1"], ["q2", "q1"]]
    assert pages[3] == [jid for page in pages[:3] for jid in page]
    assert (sidelamb(*argv, "--page", 4).status, sidelamb(*argv, "--page", 0).status) == (1, 2)


# --- acting ---


def test_jobs_are_retried_by_id_by_error_or_all(sidelamb, filled):
    assert sidelamb("jobs", "retry", "retries", "r2").out == "1 retried, from retries\n"
    assert sidelamb("jobs", "retry", "retries", "--error", "No").out == "1 retried, from retries\n"
    assert sidelamb("jobs", "retry", "retries", "--all", given="y\n").out == "1 retried, from retries\n"
    assert [json.loads(one)["jid"] for one in filled.lrange("queue:mail", 0, 2)] == ["r1", "r3", "r2"]


def test_all_asks_first_and_does_nothing_without_a_yes(sidelamb, filled):
    refused = sidelamb("jobs", "delete", "retries", "--all")
    assert (refused.status, "delete all 3 of retries?" in refused.err) == (1, True)
    nobody = sidelamb("jobs", "delete", "retries", "--all", given="")
    assert (nobody.status, "say --yes" in nobody.err, len(nobody.err.splitlines())) == (2, True, 1)
    assert filled.zcard("retry") == 3
    assert sidelamb("jobs", "delete", "retries", "--all", "--yes").out == "3 deleted, from retries\n"
    assert sidelamb("jobs", "delete", "queue:mail", "--match", "q1").out == "1 deleted, from queue:mail\n"
    assert sidelamb("jobs", "delete", "queue:mail", "--all", "-y").out == "1 deleted, from queue:mail\n"


def test_jobs_are_killed_and_given_another_time(sidelamb, filled):
    assert sidelamb("jobs", "kill", "retries", "--class", "shop.bill").status == 0
    assert filled.zcard("dead") == 2
    assert sidelamb("jobs", "reschedule", "scheduled", "s1", "--at", "2100-01-01T00:00:00Z").status == 0
    assert filled.zscore("schedule", payload("s1")) == 4102444800.0
    assert sidelamb("jobs", "reschedule", "scheduled", "--all", "--yes", "--in", 60).out.startswith("2 resched")
    assert filled.zrange("schedule", 0, 0, withscores=True)[0][1] == pytest.approx(time.time() + 60, abs=5)


def test_an_id_that_is_not_there_is_status_one(sidelamb, filled):
    said = sidelamb("jobs", "retry", "retries", "r1", "nobody")
    assert (said.status, said.out) == (1, "1 retried, from retries\n")
    assert sidelamb("jobs", "retry", "retries", "r1", "--queue", "low").status == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["jobs", "list", "retrys"], "there is no set 'retrys'. Did you mean 'retries'?"),
        (["jobs", "list", "queue:mial"], "there is no queue 'mial'. Did you mean 'mail'?"),
        (["jobs", "lst", "retries"], "Did you mean"),
        (["pause", "mial"], "Did you mean 'mail'?"),
        (["jobs", "retry", "retries"], "say which"),
        (["jobs", "kill", "dead", "d1"], "dead: its jobs cannot be killed; they can be retried or deleted"),
        (["jobs", "retry", "queue:mail", "q1"], "they can be deleted"),
        (["jobs", "retry", "retries", "r1", "--args", "{"], "--args is no JSON"),
        (["jobs", "retry", "retries", "r1", "--args", "{}"], "--args must be a list"),
        (["jobs", "retry", "retries", "r1", "r2", "--args", "[]"], "change one job"),
        (["jobs", "reschedule", "retries", "r1"], "say when"),
        (["jobs", "reschedule", "retries", "r1", "--at", "soon"], "is no time"),
        (["jobs", "reschedule", "retries", "r1", "--at", "2030-01-01"], "no timezone"),
        (["jobs", "list", "retries", "--page", "0"], "--page 0"),
        (["status", "--watch"], "needs a terminal"),
        (["import", "dead", "away.jsonl"], "away.jsonl cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_two(sidelamb, filled, argv, said):
    ended = sidelamb(*argv)
    [line] = ended.err.splitlines()
    assert said in line
    assert (ended.status, ended.out) == (2, "")


def test_queues_are_paused_and_resumed_and_jobs_cancelled(sidelamb, filled):
    assert sidelamb("pause", "mail").out == "mail paused\n"
    assert sidelamb("pause", "mail").out == "mail was paused\n"
    assert filled.smembers("paused") == {b"mail"}
    assert sidelamb("pause", "new", "--force").status == 0
    assert sidelamb("resume", "mail", "new").out == "mail resumed\nnew resumed\n"
    assert sidelamb("cancel", "q1").out == "q1 cancelled\n"
    assert filled.hexists("it-q1", "cancelled")


# --- long work ---


def interrupted_after(monkeypatch, steps):
    """Press Ctrl-C, as the kernel does, in the midst of a step."""
    calls, move = [], RetrySet.move

    def pressing(*args, **kwargs):
        calls.append(1)
        if len(calls) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return move(*args, **kwargs)

    monkeypatch.setattr(RetrySet, "move", pressing)


def test_ctrl_c_leaves_whole_steps_behind_and_the_same_command_goes_on(sidelamb, db, monkeypatch):
    db.zadd("retry", {failed(f"r{n}"): n for n in range(50)})
    monkeypatch.setattr(bulk, "STEP", 10)
    interrupted_after(monkeypatch, 2)
    ended = sidelamb("jobs", "kill", "retries", "--all", "--yes")
    assert (ended.status, ended.out) == (130, "20 killed, from retries\n")
    assert ended.err == "interrupted; the same command goes on\n"
    assert (db.zcard("retry"), db.zcard("dead")) == (30, 20)
    assert sidelamb("jobs", "kill", "retries", "--all", "--yes").out == "30 killed, from retries\n"


def test_new_times_are_given_once_though_it_was_interrupted(sidelamb, db, monkeypatch):
    db.zadd("retry", {failed(f"r{n}"): n for n in range(50)})
    monkeypatch.setattr(bulk, "STEP", 10)
    interrupted_after(monkeypatch, 3)
    argv = ["jobs", "reschedule", "retries", "--all", "--yes"]
    ended = sidelamb(*argv, "--in", 600)
    at = re.search(r"--at ([\d.]+)", ended.err)[1]
    assert sidelamb(*argv, "--at", at).out == "20 rescheduled, from retries\n"
    assert db.zcount("retry", float(at), float(at)) == 50


def test_redis_that_goes_away_in_the_midst_is_one_line_with_what_was_done(sidelamb, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "STEP", 10)
    with RedisServer(tmp_path / "redis") as server:
        import redis

        with redis.Redis.from_url(server.url) as db:
            db.zadd("retry", {failed(f"r{n}"): n for n in range(50)})
        move = RetrySet.move

        def ending(self, *args, **kwargs):
            if self.size() == 30:
                server.stop()
            return move(self, *args, **kwargs)

        monkeypatch.setattr(RetrySet, "move", ending)
        ended = sidelamb("jobs", "delete", "retries", "--all", "--yes", "--redis", server.url)
    assert ended.status == 3
    [line] = ended.err.splitlines()
    assert "20 were deleted before; do it again to go on" in line


# --- export and import ---


def test_a_set_comes_back_byte_for_byte(sidelamb, filled, tmp_path):
    filled.zadd("retry", {b'{"class":"x",  "args":[1.50],"jid":"odd"}': 1 / 3, b"\xff no job": 7})
    before = {name: filled.zrange(name, 0, -1, withscores=True) for name in ("retry", "schedule", "dead")}
    queue = filled.lrange("queue:mail", 0, -1)
    for name in ("retries", "scheduled", "dead", "queue:mail"):
        assert sidelamb("export", name, f"{name}.jsonl").status == 0
    assert (tmp_path / "retries.jsonl").stat().st_mode & 0o077 == 0
    filled.flushall()
    for name in ("retries", "scheduled", "dead", "queue:mail"):
        assert sidelamb("import", name, f"{name}.jsonl").status == 0
    assert {name: filled.zrange(name, 0, -1, withscores=True) for name in before} == before
    assert filled.lrange("queue:mail", 0, -1) == queue
    assert filled.smembers("queues") == {b"mail"}


def test_importing_twice_doubles_nothing(sidelamb, filled):
    for name in ("retries", "queue:mail"):
        sidelamb("export", name, f"{name}.jsonl")
        assert sidelamb("import", name, f"{name}.jsonl").out.startswith("0 put into")
    filled.zrem("retry", failed("r1"))
    filled.zadd("retry", {failed("r1", retry_queue="low"): 9})
    assert sidelamb("import", "retries", "retries.jsonl").out == "0 put into retries, 3 were there\n"
    assert (filled.zcard("retry"), filled.llen("queue:mail")) == (3, 2)


def test_a_bad_line_is_named_by_its_number_and_nothing_is_imported(sidelamb, filled, tmp_path):
    sidelamb("export", "retries", "retries.jsonl")
    good = (tmp_path / "retries.jsonl").read_text().splitlines()
    bad = [
        "{",
        "[]",
        '{"raw": "{}"}',
        '{"raw": 1, "score": 1}',
        '{"raw": "{\\"class\\":\\"x\\"}", "score": "NaN"}',
    ]
    (tmp_path / "bad.jsonl").write_text("\n".join([good[0], *bad, good[1]]) + "\n")
    filled.delete("retry")
    ended = sidelamb("import", "retries", "bad.jsonl")
    assert ended.status == 2
    assert re.findall(r"line (\d+):", ended.err) == ["2", "3", "4", "5", "6"]
    assert not filled.exists("retry")


def test_an_export_that_was_interrupted_goes_on_and_has_each_job_once(sidelamb, db, tmp_path, monkeypatch):
    db.zadd("retry", {failed(f"r{n}"): n for n in range(50)})
    monkeypatch.setattr(exporting, "STEP", 10)
    step, calls = RetrySet.step, []

    def pressing(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*args, **kwargs)

    monkeypatch.setattr(RetrySet, "step", pressing)
    ended = sidelamb("export", "retries", "out.jsonl")
    assert (ended.status, "interrupted after 30" in ended.err) == (130, True)
    assert not (tmp_path / "out.jsonl").exists()
    with (tmp_path / "out.jsonl.part").open("a") as part:
        part.write('{"in": "retries", "ha')  # a process that died while it wrote
    assert sidelamb("export", "retries", "out.jsonl").err == "50 jobs of retries are in out.jsonl\n"
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["jid"] for line in lines] == [f"r{n}" for n in range(50)]
    assert "is there already" in sidelamb("export", "retries", "out.jsonl").err


def test_a_file_that_is_a_pipe_is_imported_too(sidelamb, filled, tmp_path):
    sidelamb("export", "dead", "dead.jsonl")
    filled.delete("dead")
    os.mkfifo(tmp_path / "pipe")
    written = threading.Thread(
        target=lambda: (tmp_path / "pipe").write_bytes((tmp_path / "dead.jsonl").read_bytes())
    )
    written.start()
    assert sidelamb("import", "dead", "pipe").out == "1 put into dead, 0 were there\n"
    written.join()


def test_an_import_that_was_interrupted_goes_on(sidelamb, filled, monkeypatch):
    monkeypatch.setattr(importing, "STEP", 1)
    sidelamb("export", "queue:mail", "mail.jsonl")
    before = filled.lrange("queue:mail", 0, -1)
    filled.delete("queue:mail")
    store = importing._store

    def pressing(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return store(*args)

    with monkeypatch.context() as pressed:
        pressed.setattr(importing, "_store", pressing)
        assert sidelamb("import", "queue:mail", "mail.jsonl").status == 130
    assert filled.llen("queue:mail") == 1
    assert sidelamb("import", "queue:mail", "mail.jsonl").out == "1 put into queue:mail, 1 were there\n"
    assert filled.lrange("queue:mail", 0, -1) == before


# --- settings and secrets ---


def test_redis_and_namespace_come_from_the_file_too(sidelamb, db, redis_url, tmp_path, monkeypatch):
    monkeypatch.delenv("SIDELAMB_REDIS_URL")
    (tmp_path / "sidelamb.toml").write_text(f'redis = "{redis_url}"\nnamespace = "shop"\n')
    db.zadd("shop:retry", {failed("r1"): 1})
    assert [one["jid"] for one in sidelamb("jobs", "list", "retries", "--json").objects] == ["r1"]


def test_a_queue_whose_key_another_program_uses_hides_no_other(sidelamb, filled):
    filled.sadd("queues", "foo")
    filled.set("queue:foo", "x")
    foreign = "is no list: another program uses its key queue:foo; rename or delete it"
    said = sidelamb("queues")
    assert [" ".join(line.split()) for line in said.lines if line.split()[0] in {"mail", "foo"}] == [
        "mail 2 0.0 ms",
        f"foo 0 {foreign}",
    ]
    found = {q["name"]: (q["size"], q["foreign_key"]) for q in sidelamb("queues", "--json").objects}
    assert found == {"mail": (2, ""), "foo": (0, "queue:foo")}
    assert f"! the queue foo {foreign}" in sidelamb("status").out
    assert f"the queue foo {foreign}" in json.loads(sidelamb("status", "--json").out)["worries"]
    assert json.loads(sidelamb("jobs", "show", "q1", "--json").out)["in"] == "queue:mail"
    assert sidelamb("jobs", "find", "q1").status == 0


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:hunter2@127.0.0.1:1/0",
        "rediss://:hunter2@127.0.0.1:1",
        "redis://me:hunter2@127.0.0.1:no/0",
        "reddis://me:hunter2@127.0.0.1:1/0",
        "redis://:hun/ter2@127.0.0.1:1/0",
        "redis://:hun?ter2@127.0.0.1:1/0",
    ],
)
@pytest.mark.parametrize("argv", [["queues"], ["doctor", "--json"]])
def test_a_password_is_never_printed(sidelamb, argv, url):
    ended = sidelamb(*argv, "--redis", url)
    assert ended.status in {1, 2, 3}
    assert "hunter2" not in ended.out + ended.err
    assert "hun" not in ended.out + ended.err
    assert "ter2" not in ended.out + ended.err
    assert "Traceback" not in ended.err


def test_without_redis_the_status_is_three(sidelamb):
    ended = sidelamb("queues", "--redis", "redis://127.0.0.1:1/0")
    assert (ended.status, len(ended.err.splitlines())) == (3, 1)


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_host_that_cannot_be_one_is_a_line(sidelamb, host):
    ended = sidelamb("queues", "--redis", f"redis://{host}:1/0")
    assert (ended.status, len(ended.err.splitlines())) == (3, 1)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("at redis://me:hun@ter2@h:1/0, say", "at redis://***@h:1/0, say"),
        ("rediss://h/0?x=1&password=hunter2&y=2", "rediss://h/0?x=1&password=***&y=2"),
        ("redis://h?sentinel_password=hunter2", "redis://h?sentinel_password=***"),
        ("write to a@b.c", "write to a@b.c"),
    ],
)
def test_a_secret_is_left_out_wherever_an_address_has_it(said, shown):
    assert without_secrets(said) == shown


# --- the logs ---


def test_log_lines_are_json_too_and_cannot_colour_the_terminal(sidelamb, tmp_path):
    (tmp_path / ".sidelamb").mkdir()
    job = {
        "jid": "j1",
        "class": HOSTILE,
        "queue": "mail",
        "outcome": "dead",
        "error_class": "No",
        "error_message": HOSTILE,
    }
    lines = [json.dumps(job | {"duration_ms": 1.0}), "\x1b[31mprinted"]
    log = tmp_path / ".sidelamb" / log_file.FILE
    log.write_text("".join(f"{time.time():.3f}\tWorker\t{line}\n" for line in lines))
    said = sidelamb("logs", "--json").objects
    assert (said[0]["source"], said[0]["said"]["jid"]) == ("Worker", "j1")
    assert said[1]["said"] == "\x1b[31mprinted"
    assert list(said[0]) == fields_of("A log line")
    shown = sidelamb("logs")
    assert "printed" in shown.out
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown.out)


# --- the doctor ---


def test_redis_is_looked_at_also_where_there_are_no_jobs(sidelamb, db, monkeypatch):
    monkeypatch.setenv("SIDELAMB_NAMESPACE", "shop")
    db.zadd("shop:sidelamb:leases", {"c:1": time.time() - 600})
    status, found = of_doctor(sidelamb)
    assert status == 1
    assert any(text.startswith("no jobs were found in") for text in found)
    assert any(text.startswith("1 leases are long past their deadline") for text in found)


def of_doctor(sidelamb, *argv):
    said = sidelamb("doctor", "--json", *argv)
    return said.status, [one["text"] for one in said.objects if one["sign"] != "ok"]


@pytest.fixture
def app(tmp_path):
    (tmp_path / "jobs.py").write_text("from sidelamb import job\n\n@job\ndef a(): ...\n")
    return tmp_path


def test_a_dead_lease_and_a_missing_poller_are_found(sidelamb, app, db):
    db.zadd("sidelamb:leases", {"c:1": time.time() - 600, "c:2": time.time() + 60})
    status, found = of_doctor(sidelamb)
    assert status == 1
    assert any(text.startswith("1 leases are long past their deadline") for text in found)
    assert any(text.startswith("no poller is alive") for text in found)


def test_a_queue_whose_key_another_program_uses_is_found(sidelamb, app, db):
    db.sadd("queues", "mail", "foo")
    db.set("queue:foo", "x")
    status, found = of_doctor(sidelamb)
    (text,) = [text for text in found if "queue:" in text]
    assert text.startswith("queue:foo is no list: another program uses this key of a queue")
    assert text.endswith("rename or delete it")
    assert status == 1


def test_a_clock_that_goes_wrong_is_found(sidelamb, app, monkeypatch):
    clock = time.time
    monkeypatch.setattr(redis_facts.time, "time", lambda: clock() + 30)
    assert any("30 s ahead of that of Redis" in text for text in of_doctor(sidelamb)[1])


def test_credentials_that_are_not_there_are_said(sidelamb, app, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SIDELAMB_FUNCTION", "worker")
    status, found = of_doctor(sidelamb)
    assert status == 0
    assert any("no AWS credentials are here" in text for text in found)


async def test_a_function_that_lambda_does_not_have_is_found(sidelamb, app, serve, monkeypatch):
    local = await serve("echo")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", local.service.endpoint_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    for name, wanted in (("echo", 0), ("eco", 1)):
        monkeypatch.setenv("SIDELAMB_FUNCTION", name)
        status, found = await asyncio.to_thread(of_doctor, sidelamb)
        assert status == wanted
        assert sum("there is no such function in us-east-1; deploy it" in text for text in found) == wanted
        assert "hunter2" not in "".join(found)
    await local.service.stop(grace_s=0)
    status, found = await asyncio.to_thread(of_doctor, sidelamb)
    assert any("cannot be reached" in text for text in found)


# --- the tour ---


def test_a_failed_job_is_found_its_argument_put_right_and_it_succeeds(sidelamb, app, redis_url, db, monkeypatch):
    (app / "tour.py").write_text(
        "from sidelamb import job\n\n@job\ndef halve(n):\n    assert n % 2 == 0, f'{n} is odd'\n"
    )
    monkeypatch.syspath_prepend(str(app))
    import tour

    jid = sidelamb("enqueue", "tour.halve", "7", "--force").out.strip()
    client = Client(redis_url)
    drain(client=client, raise_errors=False)
    assert json.loads(sidelamb("status", "--json").out)["retrying"] == 1
    [found] = sidelamb("jobs", "find", "odd", "--json").objects
    assert (found["in"], found["jid"], found["class"]) == ("retries", jid, "tour.halve")
    shown = sidelamb("jobs", "show", jid).out
    assert "AssertionError" in shown
    assert "7 is odd" in shown
    assert sidelamb("jobs", "retry", "retries", jid, "--args", "[8]").status == 0
    assert [one.outcome for one in drain(client=client)] == ["succeeded"]
    assert sidelamb("jobs", "find", jid).status == 1
    assert json.loads(sidelamb("status", "--json").out)["retrying"] == 0
    assert tour.halve.name == "tour.halve"


# --- the page ---


def test_the_page_says_which_fields_there_are(sidelamb, filled):
    job = sidelamb("jobs", "list", "retries", "--json").objects[0]
    assert list(job) == fields_of("A job")
    assert [*job, "backtrace"] == list(json.loads(sidelamb("jobs", "show", "r1", "--json").out))
    assert list(sidelamb("queues", "--json").objects[0]) == fields_of("A queue")
    assert list(json.loads(sidelamb("status", "--json").out)) == fields_of("The status")
    assert list(sidelamb("doctor", "--json").objects[0]) == fields_of("A finding of the doctor")
    assert set(json.loads(sidelamb("export", "retries").out.splitlines()[0])) <= {
        *fields_of("A line of an export")
    }


def test_each_command_is_on_the_page_and_its_help_has_an_example(sidelamb):
    from sidelamb_local.commands import app

    named = [one.name or one.callback.__name__ for one in app.registered_commands]
    for group in app.registered_groups:
        commands = group.typer_instance.registered_commands
        named += [f"{group.name} {one.name or one.callback.__name__}" for one in commands]
    assert "locks release-lost" in named
    for name in named:
        assert f"`sidelamb {name}" in PAGE.read_text(), name
        if name != "version":
            assert (
                f"sidelamb {name}"
                in sidelamb(*name.split(), "--help").out.partition("╭")[0].partition("Usage")[2].partition("\n")[2]
            )


# --- as a process ---


def process(redis_url, *argv, **more):
    """The command in a process of its own, that Ctrl-C ends even if the suite runs where a shell ignores it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SIDELAMB_")} | {
        "SIDELAMB_REDIS_URL": redis_url
    }
    command = [sys.executable, "-m", "sidelamb_local.cli", *argv]
    was = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, env=env, **more)
    finally:
        signal.signal(signal.SIGINT, was)


def test_a_reader_that_leaves_ends_it_quietly(redis_url, db):
    db.zadd("retry", {failed(f"r{n}"): n for n in range(3_000)})
    argv = ["jobs", "list", "retries", "--json", "--page", "0"]
    with process(redis_url, *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ended:
        ended.stdout.readline()
        ended.stdout.close()
        assert (ended.stderr.read(), ended.wait(20)) == (b"", 0)


@pytest.mark.parametrize("argv", [["status"], ["jobs", "--help"]])
def test_a_reader_that_left_before_a_word_was_said_is_no_error(redis_url, db, argv):
    read, write = os.pipe()
    os.close(read)
    with process(redis_url, *argv, stdout=write, stderr=subprocess.PIPE) as ended:
        os.close(write)
        assert (ended.stderr.read(), ended.wait(20)) == (b"", 0)


def test_streams_that_the_shell_has_closed_are_no_traceback(redis_url, filled):
    script = "import os; [os.close(n) for n in (0, 1)]; os.execv(os.sys.executable, os.sys.argv[1:])"
    argv = [sys.executable, "-m", "sidelamb_local.cli", "jobs", "delete", "dead", "--all", "--redis", redis_url]
    ended = subprocess.run([sys.executable, "-c", script, *argv], stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, "say --yes" in ended.stderr, filled.zcard("dead")) == (2, True, 1)


def test_a_disk_that_is_full_is_one_line(redis_url, db):
    with (
        Path("/dev/full").open("wb") as full,
        process(redis_url, "status", stdout=full, stderr=subprocess.PIPE) as ended,
    ):
        said = ended.stderr.read()
        assert (ended.wait(20), said) == (2, b"sidelamb: the output: No space left on device\n")


def test_the_watch_shows_what_changes_until_ctrl_c(redis_url, db, tmp_path):
    master, slave = pty.openpty()
    with process(
        redis_url, "status", "--watch", stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path
    ) as watching:
        os.close(slave)
        seen = read_until(master, b"no poller")
        db.sadd("paused", "mail")
        db.sadd("queues", "mail")
        seen += read_until(master, b"paused: mail")
        watching.send_signal(signal.SIGINT)
        seen += rest_of(master)  # nobody ends who cannot write
        assert watching.wait(20) == 0
    os.close(master)
    assert b"Traceback" not in seen


def test_the_watch_ends_with_its_terminal(redis_url, tmp_path):
    master, slave = pty.openpty()
    with process(
        redis_url, "status", "--watch", stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path
    ) as watching:
        os.close(slave)
        read_until(master, b"no poller")
        os.close(master)
        watching.wait(20)


def rest_of(fd):
    """All that is said until the other end is closed."""
    seen, end = b"", time.monotonic() + 20
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            if select.select([fd], [], [], 1)[0]:
                seen += os.read(fd, 65_536)
    return seen


def read_until(fd, wanted):
    seen, end = b"", time.monotonic() + 20
    while wanted not in seen:
        assert time.monotonic() < end, seen
        if select.select([fd], [], [], 1)[0]:
            seen += os.read(fd, 65_536)
    return seen


def test_help_is_quick_to_import():
    script = "import sidelamb_local.commands, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"redis", "boto3", "botocore", "aiohttp", "yaml", "starlette", "rich.progress"} & set(loaded)
