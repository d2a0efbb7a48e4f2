"""Names of Redis keys."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidelamb import ConfigError
from sidelamb.keys import Keys, lease_field, source_of

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize("version", ["641", "7310"])
def test_without_a_namespace_are_sidekiqs_own(version: str) -> None:
    theirs = {
        base64.b64decode(entry["key"])
        for path in (GOLDEN / f"sidekiq-{version}").glob("*.json")
        for entry in json.loads(path.read_text())
    }
    keys = Keys()
    assert {keys.queues, keys.queue("default"), keys.schedule, keys.retry, keys.dead, keys.processes} <= theirs
    assert {keys.processed, keys.failed} <= theirs
    days = {key.rpartition(b":")[2].decode() for key in theirs if key.startswith(b"stat:processed:")}
    assert {keys.processed_on(day) for day in days} | {keys.failed_on(day) for day in days} <= theirs


def test_with_a_namespace_all_begin_with_it() -> None:
    keys = Keys("{app}")
    every = [
        keys.queues, keys.schedule, keys.retry, keys.dead, keys.paused, keys.processes, keys.processed,
        keys.failed, keys.leases, keys.wake, keys.queue("q"), keys.alone("q"), keys.lease("l"), keys.slots("c"),
        keys.processed_on("2026-01-01"), keys.failed_on("2026-01-01"), keys("x"),
    ]  # fmt: skip
    assert all(key.startswith(b"{app}:") for key in every)
    assert len(set(every)) == len(every)


def test_of_our_own_begin_with_our_name() -> None:
    keys = Keys()
    ours = [keys.leases, keys.wake, keys.alone("q"), keys.lease("l"), keys.slots("c")]
    assert all(key.startswith(b"sidelamb:") for key in ours)


@pytest.mark.parametrize("namespace", ["a b", "a:", ":", "a\n", "\t"])
def test_refuse_a_namespace_that_would_not_be_one(namespace: str) -> None:
    with pytest.raises(ConfigError, match="namespace"):
        Keys(namespace)


@given(st.integers(0, 10_000), st.from_regex(r"[A-Za-z0-9_.:-]+", fullmatch=True), st.booleans())
def test_a_lease_field_gives_its_queue_back(index: int, queue: str, alone: bool) -> None:
    assert source_of(lease_field(index, queue, alone=alone)) == (queue, alone)


def test_a_jobs_source_is_the_list_it_came_from() -> None:
    keys = Keys("n")
    assert keys.source("0:mail") == b"n:queue:mail"
    assert keys.source("12!2:mail") == b"n:sidelamb:alone:2:mail"


@pytest.mark.parametrize(("field", "alone"), [("7", False), ("7:", False), ("7!", True), ("", False)])
def test_a_lease_field_that_names_no_queue_means_the_default_one(field, alone):
    assert source_of(field) == ("default", alone)
