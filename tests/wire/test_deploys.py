"""WIRE 9: deploys are marked once a minute and label."""

from __future__ import annotations

import datetime as dt

import pytest

from sidelamb import BadOption, Client, RedisRefused, configure, mark_deploy
from tests.handlers.kit import everything
from tests.wire.kit import golden_dump

AT = 1_795_405_854.75
"""2026-11-23 03:50:54 UTC."""


def test_it_leaves_the_keys_that_sidekiq_leaves(client, db):
    assert mark_deploy("v1.2.3 deploy", client, at=AT) is True
    golden = golden_dump("13-deploy-mark")
    for key in ("20261123-marks", "deploylock-v1.2.3 deploy"):
        kind, ttl, value = golden[key]
        assert db.type(key).decode() == kind
        assert 0 <= db.pttl(key) - ttl < 2_000
        found = db.hgetall(key) if kind == "hash" else db.get(key)
        assert found == ({k.encode(): v for k, v in value.items()} if kind == "hash" else value)


def test_of_many_machines_one_leaves_the_mark(client, db):
    assert all(mark_deploy("v1", client, at=AT + n / 10) for n in range(5))
    assert db.hgetall("20261123-marks") == {b"2026-11-23T03:50:00Z": b"v1"}


def test_a_minute_keeps_its_first_label(client, db):
    assert mark_deploy("v1", client, at=AT)
    assert mark_deploy("v2", client, at=AT) is False
    assert db.hget("20261123-marks", "2026-11-23T03:50:00Z") == b"v1"


def test_a_label_is_marked_once_in_sixty_seconds(client, db):
    assert mark_deploy("v1", client, at=AT)
    assert mark_deploy("v1", client, at=AT + 10) is False
    assert db.hlen("20261123-marks") == 1
    db.delete("deploylock-v1")
    assert mark_deploy("v1", client, at=AT + 61)
    assert db.hlen("20261123-marks") == 2


def test_the_time_may_be_a_datetime_with_a_timezone(client, db):
    zone = dt.timezone(dt.timedelta(hours=-5))
    mark_deploy("v1", client, at=dt.datetime(2026, 11, 23, 23, 59, 59, tzinfo=zone))
    assert db.hgetall("20261124-marks") == {b"2026-11-24T04:59:00Z": b"v1"}


def test_it_uses_this_processs_client_and_time(redis_url, db):
    configure(redis=redis_url)
    assert mark_deploy("v1")
    assert db.keys("*-marks")


def test_it_stands_in_the_namespace(redis_url, db):
    mark_deploy("v1", Client(redis_url, namespace="{app}"), at=AT)
    assert set(everything(db)) == {b"{app}:20261123-marks", b"{app}:deploylock-v1"}


@pytest.mark.parametrize("label", ["", " ", "a\nb", 5, None, "x" * 201])
def test_a_label_is_one_line(client, label, db):
    with pytest.raises(BadOption, match="one line"):
        mark_deploy(label, client)
    assert db.dbsize() == 0


@pytest.mark.parametrize("at", ["now", dt.datetime(2026, 1, 1), 1_795_405_854_750, float("nan")])  # noqa: DTZ001
def test_a_time_must_be_one(client, at):
    with pytest.raises(BadOption, match="mark_deploy"):
        mark_deploy("v1", client, at=at)


def test_a_key_of_another_type_is_left_alone_and_nothing_is_locked(client, db):
    db.set("20261123-marks", "x")
    with pytest.raises(RedisRefused):
        mark_deploy("v1", client, at=AT)
    assert everything(db) == {b"20261123-marks": b"x"}


def test_a_full_redis_stores_nothing(client, db):
    db.config_set("maxmemory", 1)
    with pytest.raises(RedisRefused):
        mark_deploy("v1", client, at=AT)
    assert db.dbsize() == 0
