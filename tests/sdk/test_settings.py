"""Settings: from configure() and from the environment."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from jobs_of_tests import send

from sidelamb import BadOption, Client, ConfigError, PayloadTooLarge, configure, default_client, settings

pytestmark = pytest.mark.usefixtures("redis_url")


def test_without_a_redis_the_error_names_the_variable_to_set() -> None:
    with pytest.raises(ConfigError, match="set SIDELAMB_REDIS_URL") as caught:
        send.enqueue(1)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="set SIDELAMB_REDIS_URL"):
        Client()


@pytest.mark.parametrize("variable", ["SIDELAMB_REDIS_URL", "REDIS_URL"])
def test_the_redis_is_taken_from_the_environment(
    variable: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, queued: Any
) -> None:
    monkeypatch.setenv(variable, redis_url)
    send.enqueue(1)
    assert queued()


def test_our_own_variable_goes_before_the_general_one(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("SIDELAMB_REDIS_URL", redis_url)
    assert send.enqueue(1)


def test_configure_goes_before_the_environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDELAMB_REDIS_URL", "redis://127.0.0.1:1/0")
    configure(redis=redis_url)
    assert send.enqueue(1)


def test_configure_leaves_what_it_is_not_given(redis_url: str, db: redis.Redis) -> None:
    configure(redis=redis_url, namespace="a")
    configure(max_payload=1_000)
    send.enqueue(1)
    with pytest.raises(PayloadTooLarge):
        send.enqueue(1, "x" * 1_000)
    assert db.llen("a:queue:default") == 1


def test_configure_takes_effect_after_a_job_was_enqueued(redis_url: str, db: redis.Redis) -> None:
    configure(redis=redis_url)
    send.enqueue(1)
    configure(namespace="later")
    send.enqueue(1)
    assert (db.llen("queue:default"), db.llen("later:queue:default")) == (1, 1)


def test_configure_takes_a_redis_py_client(redis_url: str, queued: Any) -> None:
    with redis.Redis.from_url(redis_url) as given:
        configure(redis=given)
        send.enqueue(1)
        default_client().close()
    assert queued()


def test_the_namespace_is_taken_from_the_environment(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, db: redis.Redis
) -> None:
    monkeypatch.setenv("SIDELAMB_NAMESPACE", "{app}")
    configure(redis=redis_url)
    send.enqueue(1)
    Client(redis_url, namespace="").enqueue("X")
    assert (db.llen("{app}:queue:default"), db.llen("queue:default")) == (1, 1)


def test_the_largest_payload_is_taken_from_the_environment(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDELAMB_MAX_PAYLOAD", "500")
    configure(redis=redis_url)
    with pytest.raises(PayloadTooLarge, match="limit is 500"):
        send.enqueue(1, "x" * 500)


@pytest.mark.parametrize("value", ["0", "-1", "1e3", "256K", "5242881", " ", "\uff11"])
def test_a_largest_payload_that_cannot_be_is_refused(
    value: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDELAMB_MAX_PAYLOAD", value)
    with pytest.raises(ConfigError, match=r"SIDELAMB_MAX_PAYLOAD is .*at most 5242880"):
        Client(redis_url)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "1000", 5 * 1024 * 1024 + 1])
def test_a_largest_payload_in_code_is_checked_too(value: Any, redis_url: str) -> None:
    with pytest.raises(ConfigError, match="max_payload is"):
        configure(max_payload=value)
    with pytest.raises(ConfigError, match="max_payload is"):
        Client(redis_url, max_payload=value)


def test_the_largest_payload_can_be_five_mebibytes(redis_url: str) -> None:
    client = Client(redis_url, max_payload=5 * 1024 * 1024)
    assert client.enqueue("X", "x" * 5_000_000)
    assert client.enqueue_many("X", [("x" * 5_000_000,), ("x" * 5_000_000,)]) == 2


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"redis": "localhost"}, ConfigError),
        ({"redis": 5}, ConfigError),
        ({"namespace": "a b"}, ConfigError),
        ({"namespace": "a:"}, ConfigError),
        ({"queues": "default"}, ConfigError),
        ({"queues": ["a b"]}, BadOption),
        ({"middleware": [1]}, ConfigError),
    ],
)
def test_configure_refuses_what_cannot_be_and_changes_nothing(wrong: Any, error: Any, redis_url: str) -> None:
    configure(redis=redis_url)
    before = settings._State.settings
    with pytest.raises(error):
        configure(max_payload=1_000, **wrong)
    assert settings._State.settings is before
