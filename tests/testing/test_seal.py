"""Encrypted arguments: nothing of them stands anywhere in the clear, keys rotate, a missing key loses no job."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import configure, default_client
from sidelamb.api import Queue, RetrySet
from sidelamb.errors import BadArgument, BadOption, ConfigError, SidelambError
from sidelamb.payload import edit
from sidelamb.testing import drain, fake
from sidelamb_handlers.joblog import _arguments
from tests.handlers.kit import everything

if TYPE_CHECKING:
    import redis

SECRET = "4111-1111-1111-1111"
OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)


@pytest.fixture
def charge(job: Any) -> Any:
    @job(encrypt=True, max_retries=3)
    def charge(card: str, *, cents: int = 0) -> None:
        seen.append((card, cents))
        if cents < 0:
            raise ValueError("no")

    seen: list[Any] = []
    charge.seen = seen
    return charge


@pytest.fixture
def keyed(configured: str) -> None:
    configure(keys={"old": OLD})


def test_no_key_of_redis_and_no_page_shows_a_plaintext(charge, keyed, db: redis.Redis, capsys) -> None:
    charge.enqueue(SECRET, cents=-1)
    charge.enqueue_in(60, SECRET)
    charge.enqueue_many([(SECRET,), {"card": SECRET}])
    default_client().enqueue("charge", SECRET)
    written = repr(everything(db))
    report = drain(raise_errors=False)
    written += repr(everything(db)) + str(report) + repr(capsys.readouterr())
    assert "charge" in written
    assert SECRET not in written
    assert [args for _, args in charge.seen] == [-1, 0, 0, 0]
    assert {card for card, _ in charge.seen} == {SECRET}
    (entry,) = RetrySet()
    assert (entry.args, entry.kwargs) == (["[encrypted]"], {})
    assert _arguments(entry.payload) == "[encrypted]"
    charge.enqueue(SECRET)
    (waits,) = Queue("default")
    assert waits.args == ["[encrypted]"]


def test_keys_rotate_the_first_one_seals_and_all_of_them_open(charge, keyed) -> None:
    charge.enqueue("a")
    configure(keys={"new": NEW, "old": OLD})
    charge.enqueue("b")
    assert [each.payload["sealed"] for each in Queue("default")] == ["new", "old"]
    drain()
    assert [card for card, _ in charge.seen] == ["a", "b"]


def test_a_job_whose_key_is_missing_is_retried_and_runs_when_the_key_is_back(charge, keyed) -> None:
    charge.enqueue("a")
    configure(keys={"new": NEW})
    with pytest.raises(
        ConfigError, match=r"the key 'old', which is not here \(keys: new\); add it to SIDELAMB_KEYS"
    ):
        drain()
    assert RetrySet().size() == 1
    configure(keys={"old": OLD})
    drain(scheduled=True)
    assert charge.seen == [("a", 0)]


@pytest.mark.parametrize("change", [{"jid": "1" * 24}, {"class": "other"}, {"args": ["AAAA"]}, {"args": []}])
def test_a_sealed_text_is_no_other_jobs(charge, job, keyed, db: redis.Redis, change: Any) -> None:
    @job
    def other(card: str, cents: int = 0) -> None:
        raise AssertionError

    charge.enqueue("a")
    db.lpush("queue:default", edit(db.rpop("queue:default"), change))  # type: ignore[arg-type]
    with pytest.raises(SidelambError, match="cannot be decrypted: the key 'old' is another one"):
        drain()
    assert charge.seen == []


def test_the_environment_has_keys_too(charge, configured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "SIDELAMB_KEYS", f"k2:{base64.b64encode(NEW).decode()}, k1:{base64.b64encode(OLD).decode()}"
    )
    charge.enqueue("a")
    assert next(iter(Queue("default"))).payload["sealed"] == "k2"
    drain()
    assert charge.seen == [("a", 0)]


def test_what_is_wrong_with_keys_is_said_without_them(charge, configured, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="charge encrypts its arguments and there is no key"):
        charge.enqueue("a")
    monkeypatch.setenv("SIDELAMB_KEYS", "k1:!secret!")
    with pytest.raises(ConfigError, match="the key k1 is no base64") as said:
        charge.enqueue("a")
    assert "!secret!" not in str(said.value)
    with pytest.raises(ConfigError, match="the key k1 does not have 32 bytes"):
        configure(keys={"k1": b"short"})
    with pytest.raises(ConfigError, match="a key's id is letters"):
        configure(keys={"a:b": OLD})


def test_bad_arguments_and_options_are_told_as_ever(charge, job, keyed) -> None:
    with pytest.raises(BadArgument, match="card"):
        charge.enqueue(object())
    with pytest.raises(BadOption, match=r"encrypt is 1 \(int\); expected True or False"):
        job(encrypt=1)(lambda: None)


def test_a_test_with_keys_sees_what_was_enqueued(charge) -> None:
    configure(keys={"k": OLD})
    with fake() as jobs:
        charge.enqueue(SECRET, cents=5)
    jobs.assert_enqueued(charge, SECRET, kwargs={"cents": 5})
    assert SECRET not in json.dumps(jobs[0].payload)
