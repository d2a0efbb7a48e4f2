"""The commands for batches, periodic jobs, limits and locks, in this process, on a real Redis."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest

from sidelamb import Batch, Client
from sidelamb.api import Limits, Locks, Periodics
from sidelamb.testing import drain
from tests.infra.in_process import fields_of
from tests.web.features import features

SHOWN = "[^\n -\x7e\xa0-\xff…─├│└\ufffd]"
"""What no line has: all that a terminal may obey."""


@pytest.fixture
def filled(db, redis_url):
    features(db, redis_url, time.time(), hostile=False)
    return db


@pytest.fixture
def hostile(db, redis_url):
    features(db, redis_url, time.time(), hostile=True)
    return db


@pytest.fixture
def client(redis_url):
    client = Client(redis_url)
    yield client
    client.close()


def bid_of(sidelamb, description):
    listed = sidelamb("batches", "list", "--json", "--page", 0).objects
    return next(one["bid"] for one in listed if one["description"] == description)


# --- batches ---


def test_batches_are_listed_by_pages_and_shown_as_a_tree(sidelamb, filled):
    said = sidelamb("batches", "list", "--size", 2)
    assert said.err == "1 to 2; 3 batches; more: --page 2\n"
    assert sidelamb("batches", "list", "--size", 2, "--page", 2).err == "3 to 3; 3 batches\n"
    bid = bid_of(sidelamb, "Import of November")
    tree = sidelamb("batches", "show", bid).lines
    assert tree[0] == f"Import of November  running  [{'#' * 20}] 0 of 0  {bid}"
    assert tree[1].startswith("└─ its photos  running  [                    ] 0 of 4  ")
    assert tree[-1] == "tags: import"
    shown = json.loads(sidelamb("batches", "show", bid, "--json").out)
    assert [child["total"] for child in shown["children"]] == [4]


def test_a_batch_is_cancelled_after_a_yes(sidelamb, filled, client):
    bid = bid_of(sidelamb, "its photos")
    refused = sidelamb("batches", "cancel", bid)
    assert (refused.status, refused.err) == (1, "cancel its photos, 4 of 4 pending? [y/N] nothing was done\n")
    assert sidelamb("batches", "cancel", bid, given="").status == 2
    assert Batch.of(bid, client).status().state == "running"
    assert sidelamb("batches", "cancel", bid, given="y\n").out == f"{bid} cancelled\n"
    assert sidelamb("batches", "cancel", bid).out == f"{bid} was cancelled\n"
    assert Batch.of(bid, client).status().state == "cancelled"


def test_waiting_ends_with_the_batch_and_says_whether_it_has_succeeded(sidelamb, db, client):
    ok = client.job("shop.charge", queue="low")
    with Batch("one", client=client) as batch:
        ok.enqueue(1)
    late = sidelamb("batches", "wait", batch.bid, "--timeout", 0)
    assert (late.status, late.err) == (1, "it has not ended in 0 s\n")
    ends = threading.Timer(0.1, batch.cancel)
    ends.start()
    drained = threading.Timer(0.2, drain, kwargs={"client": client, "raise_errors": False})
    drained.start()
    said = sidelamb("batches", "wait", batch.bid, "--timeout", 20, "--json")
    drained.join()
    assert (said.status, json.loads(said.out)["state"]) == (1, "cancelled")
    with Batch("none", client=client) as empty:
        pass
    said = sidelamb("batches", "wait", empty.bid)
    assert (said.status, said.out.split()[:2]) == (0, ["none", "succeeded"])


# --- periodic ---


def test_periodic_jobs_are_listed_and_shown_with_their_history(sidelamb, filled):
    listed = sidelamb("periodic", "list", "--json").objects
    assert [one["name"] for one in listed] == ["cache.warm", "reports.nightly"]
    shown = json.loads(sidelamb("periodic", "show", "reports.nightly", "--json").out)
    assert (shown["cron"], shown["tz"], shown["args"]) == ("0 3 * * *", "Europe/Paris", [12])
    assert [one["tick"] for one in shown["history"]] == [None]
    assert "by hand" in sidelamb("periodic", "show", "reports.nightly").out
    assert "reports.nightly" in sidelamb("periodic", "list").out


def test_periodic_jobs_are_paused_resumed_and_run(sidelamb, filled, client):
    names = ["cache.warm", "reports.nightly"]
    assert sidelamb("periodic", "pause", *names).lines == [f"{name} paused" for name in names]
    assert sidelamb("periodic", "pause", names[0]).out == "cache.warm was paused\n"
    assert [one.is_paused for one in Periodics(client)] == [True, True]
    jid = sidelamb("periodic", "run", names[0]).out.strip()
    assert Periodics(client).history(names[0])[0].jid == jid
    assert sidelamb("periodic", "resume", names[0]).out == "cache.warm resumed\n"
    wrong = sidelamb("periodic", "pause", "reports.nightly", "cache.wram")
    assert (wrong.status, "Did you mean 'cache.warm'?" in wrong.err) == (2, True)
    assert sidelamb("periodic", "resume", "cache.warm").out == "cache.warm was not paused\n"


def test_a_run_that_is_kept_out_says_by_whom(sidelamb, db, client, redis_url):
    from sidelamb import Job

    def sync() -> None:
        pass

    Periodics(client).register("sync", Job(sync, {"name": "sync", "unique_for": 600}), "0 3 * * *")
    first = sidelamb("periodic", "run", "sync")
    second = sidelamb("periodic", "run", "sync")
    assert (first.status, second.status, second.out) == (0, 1, first.out)
    assert "the job of this id is there already" in second.err


# --- limits and locks ---


def test_limits_are_listed_shown_given_back_and_reset(sidelamb, filled, client):
    listed = {one["name"]: (one["used"], one["most"]) for one in sidelamb("limits", "list", "--json").objects}
    assert listed == {"concurrent:bank": (3, 5), "window:mail/acme": (3, 100), "bucket:search": (3, 10)}
    holders = json.loads(sidelamb("limits", "show", "bank", "--json", "--page", 0).out)["holders"]
    assert [one["jid"] for one in holders] == ["job0", "job1", "job2"]
    said = sidelamb("limits", "release", "concurrent:bank", holders[0]["holder"], "nobody")
    assert (said.status, said.out) == (1, "job0 released\n")
    assert "nobody holds nothing of concurrent:bank" in said.err
    assert "job1" in sidelamb("limits", "show", "bank").out
    member = json.loads(sidelamb("limits", "show", "mail/acme", "--json").out)["holders"][0]["holder"]
    assert sidelamb("limits", "release", "mail/acme", member).status == 0
    assert Limits(client).find("window:mail/acme").used == 2
    assert sidelamb("limits", "reset", "search").status == 1
    assert sidelamb("limits", "reset", "search", "--yes").out == "bucket:search reset\n"
    assert Limits(client).find("bucket:search") is None
    assert sidelamb("limits", "release", "search", "x").status == 1
    missing = sidelamb("limits", "show", "banc")
    assert (missing.status, missing.err) == (1, "nothing is taken of a limit 'banc'. Did you mean 'bank'?\n")


def test_locks_are_listed_found_and_given_back(sidelamb, filled, client):
    assert sidelamb("locks", "list", "--size", 2).err == "1 to 2; 3 locks; more: --page 2\n"
    [found] = sidelamb("locks", "find", "lock1", "--json").objects
    assert (found["name"], found["key"]) == ("shop.charge", f"shop.charge:{1:032x}")
    assert sidelamb("locks", "release", found["key"]).out == f"{found['key']} released\n"
    assert sidelamb("locks", "release", found["key"]).status == 1
    assert sidelamb("locks", "find", "lock1").status == 1
    lost = sidelamb("locks", "release-lost")
    assert (lost.status, lost.err) == (0, "2 released\n")
    assert sidelamb("locks", "release-lost", "--json").out == ""
    assert Locks(client).size() == 0


# --- all of them ---


@pytest.mark.parametrize(
    "argv",
    [
        ["batches", "list"],
        ["batches", "show", "bad0"],
        ["batches", "show", "bad3"],
        ["batches", "cancel", "bad0"],
        ["batches", "wait", "bad3", "--timeout", "0"],
        ["periodic", "list"],
        ["periodic", "show", "raw"],
        ["periodic", "show", "odd"],
        ["periodic", "run", "raw"],
        ["limits", "list"],
        ["locks", "list"],
        ["locks", "find", "\u202erl"],
        ["periodic", "show", "\x1b[2J\nforged"],
        ["limits", "show", "\x1b[2J\nforged"],
        ["locks", "release", "\x1b[2J\nforged"],
        ["batches", "show", "\x1b[2J\nforged"],
        *([*words, "\udcff"] for words in (["periodic", "show"], ["limits", "show"], ["batches", "show"])),
    ],
)
def test_what_others_write_neither_breaks_a_command_nor_the_terminal(sidelamb, hostile, argv):
    hostile.hset("sidelamb:batch:bad0", "description", "\x1b[31mred[/]\nforged\u202e\x9b2J")
    said = sidelamb(*argv)
    assert said.status in {0, 1, 2}
    assert not re.search(SHOWN, said.out + said.err)
    assert "forged" not in said.out.splitlines() + said.err.splitlines()
    if argv[1] == "list":
        as_json = sidelamb(*argv, "--json", "--page", 0)
        assert (as_json.status, as_json.out.isascii(), bool(as_json.objects)) == (0, True, True)


@pytest.mark.parametrize(
    "words", [["batches", "show"], ["batches", "cancel"], ["batches", "wait"], ["locks", "find"]]
)
def test_what_is_not_there_is_status_one(sidelamb, db, words):
    said = sidelamb(*words, "nobody")
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)


def test_the_page_says_which_fields_there_are(sidelamb, filled):
    batch = sidelamb("batches", "list", "--json").objects[0]
    assert list(batch) == fields_of("A batch")
    shown = json.loads(sidelamb("batches", "show", batch["bid"], "--json").out)
    assert list(shown) == [*batch, "children"]
    periodic = json.loads(sidelamb("periodic", "show", "reports.nightly", "--json").out)
    assert list(periodic) == [*fields_of("A periodic job"), "history"]
    assert list(periodic["last"]) == list(periodic["history"][0]) == fields_of("A job that the clock enqueued")
    limit = json.loads(sidelamb("limits", "show", "bank", "--json").out)
    assert list(limit) == [*fields_of("A limit"), "holders"]
    assert list(limit["holders"][0]) == ["holder", "jid", "until"]
    assert list(sidelamb("locks", "list", "--json").objects[0]) == fields_of("A lock")
