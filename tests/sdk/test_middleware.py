"""Client middleware: around every enqueue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jobs_of_tests import send

from sidelamb import BadArgument, BadOption, Client, ConfigError, JobError, PayloadTooLarge, configure

if TYPE_CHECKING:
    import redis

    from sidelamb import CallNext, Payload


def tenant(payload: Payload, call_next: CallNext) -> Payload | None:
    payload["tenant"] = "acme"
    return call_next(payload)


def stop(payload: Payload, call_next: CallNext) -> Payload | None:
    return None


def stop_odd(payload: Payload, call_next: CallNext) -> Payload | None:
    return None if payload["args"][0] % 2 else call_next(payload)


def changing(**fields: Any) -> Any:
    return lambda payload, call_next: call_next({**payload, **fields})


def test_may_add_fields(redis_url: str, queued: Any) -> None:
    Client(redis_url, middleware=[tenant]).enqueue("X", 1)
    assert queued()[0]["tenant"] == "acme"


def test_of_configure_is_used_by_jobs(redis_url: str, queued: Any) -> None:
    configure(redis=redis_url, middleware=[tenant])
    send.enqueue(1)
    send.enqueue_many([(2,)])
    assert [p["tenant"] for p in queued()] == ["acme", "acme"]


def test_runs_in_its_order_inwards_and_outwards(redis_url: str) -> None:
    seen: list[str] = []

    def layer(name: str) -> Any:
        def call(payload: Payload, call_next: CallNext) -> Payload | None:
            seen.append(f"{name} in")
            result = call_next(payload)
            seen.append(f"{name} out")
            return result

        return call

    Client(redis_url, middleware=[layer("a"), layer("b"), layer("c")]).enqueue("X")
    assert seen == ["a in", "b in", "c in", "c out", "b out", "a out"]


def test_that_stops_a_job_makes_its_id_the_empty_text(redis_url: str, db: redis.Redis) -> None:
    client = Client(redis_url, middleware=[stop])
    assert client.enqueue("X") == ""
    assert client.enqueue_in(60, "X") == ""
    assert client.push({"class": "X", "args": []}) == ""
    assert db.dbsize() == 0


async def test_that_stops_a_job_does_so_in_async_code(redis_url: str, db: redis.Redis) -> None:
    client = Client(redis_url, middleware=[stop_odd])
    assert await client.aenqueue("X", 1) == ""
    assert await client.aenqueue_many("X", [(n,) for n in range(10)]) == 5
    assert db.llen("queue:default") == 5


def test_stops_single_jobs_of_many(redis_url: str, queued: Any) -> None:
    client = Client(redis_url, middleware=[stop_odd])
    assert client.enqueue_many("X", ((n,) for n in range(2_500))) == 1_250
    assert len(queued()) == 1_250


def test_may_change_everything_about_a_job(redis_url: str, queued: Any) -> None:
    change = changing(args=[2], queue="other", retry=0, jid="own-id")
    assert Client(redis_url, middleware=[change]).enqueue("X", 1) == "own-id"
    (payload,) = queued("other")
    assert (payload["args"], payload["retry"]) == ([2], 0)


def test_sees_when_a_job_is_to_run_and_may_change_it(redis_url: str, scheduled: Any, queued: Any) -> None:
    seen: list[Any] = []

    def later(payload: Payload, call_next: CallNext) -> Payload | None:
        seen.append(payload.get("at"))
        return call_next({**payload, "at": payload.get("at", 0) + 100})

    client = Client(redis_url, middleware=[later], clock=lambda: 1_795_405_727.5)
    client.enqueue_in(60, "X", 1)
    client.enqueue("X", 2)
    assert seen == [1_795_405_787.5, None]
    assert [(p["args"], at) for p, at in scheduled()] == [([1], 1_795_405_887.5)]
    assert queued()[0]["args"] == [2]


def test_may_put_a_job_off(redis_url: str, scheduled: Any) -> None:
    Client(redis_url, middleware=[changing(at=4_102_444_800.0)]).enqueue("X")
    assert [at for _, at in scheduled()] == [4_102_444_800.0]


@pytest.mark.parametrize(
    ("fields", "error", "problem"),
    [
        ({"args": [(1,)]}, BadArgument, r"argument 1 is a tuple"),
        ({"args": (1,)}, BadOption, "field 'args'"),
        ({"args": [float("nan")]}, BadArgument, "nan"),
        ({"kwargs": {"a": object()}}, BadArgument, "argument 'a'"),
        ({"queue": "a b"}, BadOption, "queue"),
        ({"jid": None}, BadOption, "jid"),
        ({"class": ""}, BadOption, "class"),
        ({"trace": object()}, BadArgument, "field 'trace'"),
        ({"big": "x" * 300_000}, PayloadTooLarge, "send its id"),
    ],
)
def test_what_it_makes_of_a_payload_is_checked_after_it(
    fields: dict[str, Any], error: type[Exception], problem: str, redis_url: str, db: redis.Redis
) -> None:
    client = Client(redis_url, middleware=[changing(**fields)])
    with pytest.raises(error, match=problem):
        client.enqueue("X", 1)
    with pytest.raises(error, match=problem):
        client.enqueue_many("X", [(1,)])
    assert db.dbsize() == 0


def test_that_drops_a_field_that_is_needed_is_refused(redis_url: str) -> None:
    def dropping(payload: Payload, call_next: CallNext) -> Payload | None:
        del payload["jid"]
        return call_next(payload)

    with pytest.raises(BadOption, match="the payload has no 'jid'"):
        Client(redis_url, middleware=[dropping]).enqueue("X")


@pytest.mark.parametrize("result", [True, "jid", 5, []])
def test_that_returns_something_else_is_named(result: Any, redis_url: str) -> None:
    def wrong(payload: Payload, call_next: CallNext) -> Any:
        return result

    with pytest.raises(JobError, match=r"middleware .*wrong returned .*return the payload"):
        Client(redis_url, middleware=[tenant, wrong]).enqueue("X")


def test_that_raises_stops_the_call_with_its_own_error(redis_url: str, db: redis.Redis) -> None:
    def failing(payload: Payload, call_next: CallNext) -> Payload | None:
        raise LookupError("no tenant")

    with pytest.raises(LookupError, match="no tenant"):
        Client(redis_url, middleware=[failing]).enqueue("X")
    assert db.dbsize() == 0


async def coroutine(payload: Payload, call_next: CallNext) -> None: ...


@pytest.mark.parametrize("wrong", [5, "tenant", None, coroutine, dict])
def test_that_is_none_is_refused_when_it_is_set(wrong: Any, redis_url: str) -> None:
    with pytest.raises(ConfigError, match="middleware"):
        Client(redis_url, middleware=[wrong])
    with pytest.raises(ConfigError, match="middleware"):
        configure(middleware=[wrong])
