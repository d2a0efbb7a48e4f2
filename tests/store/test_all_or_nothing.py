"""Every script either does all that it is for, or changes nothing: Lua does not roll back."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from sidelamb import scripts
from sidelamb.errors import RedisError, RedisRefused
from sidelamb.link import Link
from tests.store.kit import CASES, contents, jobs_in

FOLDER = Path(scripts.__file__).parent / "lua"
KINDS = {
    "string": lambda db, key: db.set(key, "wrong"),
    "list": lambda db, key: db.lpush(key, "wrong"),
    "set": lambda db, key: db.sadd(key, "wrong"),
    "zset": lambda db, key: db.zadd(key, {"wrong": 1}),
    "hash": lambda db, key: db.hset(key, "wrong", "1"),
}
NO_TIMES = ["nan", "inf", "-inf", "x", ""]
ZSETS = {b"schedule", b"retry", b"dead", b"sidelamb:leases", b"sidelamb:cancelled"}
ADDS_JOBS = {"admit", "enqueue", "push", "schedule"}


@pytest.fixture
def link(redis_url: str):
    link = Link(redis_url)
    yield link
    link.close()


@pytest.fixture(params=sorted(CASES))
def case(request):
    return request.param


def test_every_script_has_a_case_here():
    files = {path.stem for path in FOLDER.glob("*.lua") if not path.stem.startswith("_")}
    assert files == set(CASES)


def test_each_case_runs_its_own_script(link, db, case):
    call = CASES[case](link)
    assert call.script == case
    link.run(call)


def test_with_any_key_of_any_wrong_type(link, db, case):
    for place in range(len(CASES[case](link).keys)):
        for kind, make in KINDS.items():
            db.flushall()
            call = CASES[case](link)
            key = call.keys[place]
            if kind in {db.type(key).decode(), "zset" if key in ZSETS else ""}:
                continue
            db.delete(key)
            make(db, key)
            before, jobs = contents(db), jobs_in(db)
            try:
                link.run(call)
            except (RedisError, ValueError):
                assert contents(db) == before, f"half done with {key!r} a {kind}"
            else:
                lost = len(jobs) - len(jobs_in(db))
                assert lost <= 0 or case in {"settle", "unqueue", "clear", "drop", "mend_twin", "shift"}, (
                    f"{key!r} a {kind}"
                )


def test_with_any_time_that_is_none(link, db, case):
    for place in range(len(CASES[case](link).args)):
        for wrong in NO_TIMES:
            db.flushall()
            call = CASES[case](link)
            if not isinstance(
                call.args[place], float
            ):  # times and scores; counts are made by the calls themselves
                continue
            args = [*call.args]
            args[place] = wrong
            before, jobs = contents(db), jobs_in(db)
            try:
                link.run(dataclasses.replace(call, args=args, read=lambda reply: reply))
            except RedisError:
                assert contents(db) == before, f"half done with argument {place} {wrong!r}"
            else:
                assert len(jobs_in(db)) >= len(jobs) - (case in {"settle", "shift"}), f"argument {place} {wrong!r}"
                for name in (b"schedule", b"retry", b"dead", b"sidelamb:leases"):
                    if db.type(name) == b"zset":
                        scores = [score for _, score in db.zrange(name, 0, -1, withscores=True)]
                        was = case == "mend_score"
                        assert was or all(map(math.isfinite, scores)), f"argument {place} {wrong!r}"


def test_with_a_full_redis(link, db, case):
    call = CASES[case](link)
    before = contents(db)
    db.config_set("maxmemory", 1)
    refused = False
    try:
        link.run(call)
    except RedisRefused as error:
        refused = "OOM" in str(error)
    finally:
        db.config_set("maxmemory", 0)
    if refused:
        assert contents(db) == before
    else:
        assert case not in ADDS_JOBS, "new jobs are refused by a full Redis"


@pytest.mark.parametrize(
    "name", ["settle", "release", "reap", "promote", "shift", "unqueue", "clear", "drop", "narrow", "claim"]
)
def test_a_full_redis_lets_jobs_drain(link, db, name):
    call = CASES[name](link)
    before = contents(db)
    db.config_set("maxmemory", 1)
    try:
        link.run(call)
    finally:
        db.config_set("maxmemory", 0)
    assert contents(db) != before
