"""Enqueuing: what lands in Redis, and when."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import sys
import tracemalloc
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from jobs_of_tests import METHODS, Admin, User, asynchronous, send

from sidelamb import (
    BadArgument,
    BadCall,
    BadOption,
    Client,
    JobError,
    PayloadTooLarge,
    UnknownOption,
    UnknownQueue,
    configure,
    default_client,
    job,
)

if TYPE_CHECKING:
    import redis

GOLDEN = Path(__file__).parent.parent / "golden"
NOW = 1_795_405_727.5

pytestmark = pytest.mark.usefixtures("configured")

BOUND_BY_CLASSMETHOD = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="since 3.13 a classmethod does not tell the job below it its class"
)


def raws(db: redis.Redis) -> list[bytes]:
    """Return the bytes in the default queue, the first enqueued first."""
    return [*reversed(db.lrange("queue:default", 0, -1))]


def golden(version: str, name: str, key: str) -> list[dict[str, Any]]:
    """Payloads that Ruby Sidekiq has stored, the first enqueued first."""
    entries = json.loads((GOLDEN / f"sidekiq-{version}" / f"{name}.json").read_text())
    value = next(entry["value"] for entry in entries if entry["key_text"] == key)
    raw = [item[0] if isinstance(item, list) else item for item in reversed(value)]
    return [json.loads(base64.b64decode(item)) for item in raw]


@pytest.mark.parametrize("version", ["641", "7310"])
class TestThePayload:
    def test_has_exactly_the_fields_that_sidekiq_writes_in_its_order(self, version: str, queued: Any) -> None:
        theirs = golden(version, "01-push", "queue:default")[0]
        assert default_client().enqueue("HardJob", *theirs["args"])
        (ours,) = queued()
        assert list(ours) == list(theirs)
        volatile = ("jid", "created_at", "enqueued_at")
        assert {k: v for k, v in ours.items() if k not in volatile} == {
            k: v for k, v in theirs.items() if k not in volatile
        }
        assert {k: type(ours[k]) for k in volatile} == {k: type(theirs[k]) for k in volatile}
        assert re.fullmatch("[0-9a-f]{24}", ours["jid"])

    def test_is_byte_for_byte_what_sidekiq_writes_for_the_same_job(
        self, version: str, db: redis.Redis, redis_url: str
    ) -> None:
        entries = json.loads((GOLDEN / f"sidekiq-{version}" / "01-push.json").read_text())
        theirs = next(base64.b64decode(e["value"][-1]) for e in entries if e["key_text"] == "queue:default")
        fields = json.loads(theirs)
        times = iter([fields["created_at"], fields["enqueued_at"]])
        client = Client(redis_url, clock=lambda: next(times), new_jid=lambda: fields["jid"])
        payload = client.job(fields["class"]).template.payload(fields["args"], {}, fields["jid"], client.now())
        client.push(payload)
        assert db.lindex("queue:default", 0) == theirs

    def test_of_a_scheduled_job_has_exactly_sidekiqs_fields(self, version: str, scheduled: Any) -> None:
        theirs = golden(version, "04-scheduled", "schedule")[-1]
        default_client().enqueue_in(3600, "HardJob", *theirs["args"])
        ((ours, _),) = scheduled()
        assert set(ours) == set(theirs)
        assert "at" not in ours
        assert "enqueued_at" not in ours

    def test_with_options_has_sidekiqs_fields(self, version: str, queued: Any) -> None:
        theirs = golden(version, "05-options", "queue:low")[0]
        default_client().enqueue("SlowJob", *theirs["args"], queue="low", tags=theirs["tags"])
        (ours,) = queued("low")
        assert list(ours) == list(theirs)
        assert ours["tags"] == theirs["tags"]


class TestAnOptionOnTheWire:
    @pytest.mark.parametrize(
        ("options", "fields"),
        [
            ({}, {"retry": True, "queue": "default"}),
            ({"max_retries": 25}, {"retry": True, "queue": "default"}),
            ({"max_retries": 0}, {"retry": 0, "queue": "default"}),
            ({"max_retries": 7}, {"retry": 7, "queue": "default"}),
            ({"on_exhausted": "discard"}, {"retry": True, "queue": "default", "dead": False}),
            ({"on_exhausted": "dead"}, {"retry": True, "queue": "default"}),
            ({"tags": ["a"]}, {"retry": True, "queue": "default", "tags": ["a"]}),
            ({"tags": []}, {"retry": True, "queue": "default"}),
            ({"queue": "q:1.a-b_C"}, {"retry": True, "queue": "q:1.a-b_C"}),
            ({"timeout": 30}, {"retry": True, "queue": "default", "timeout": 30}),
            ({"timeout": 1.5}, {"retry": True, "queue": "default", "timeout": 1.5}),
            ({"timeout": dt.timedelta(minutes=1)}, {"retry": True, "queue": "default", "timeout": 60}),
        ],
    )
    def test_of_a_single_call(self, options: dict[str, Any], fields: dict[str, Any], queued: Any) -> None:
        send.using(**options).enqueue(1)
        (payload,) = queued(fields["queue"])
        head = {k: v for k, v in payload.items() if k not in {"args", "class", "jid", "created_at", "enqueued_at"}}
        assert head == fields
        assert repr(head) == repr(fields)  # `True` is not 1

    def test_of_a_declaration(self, queued: Any) -> None:
        asynchronous.enqueue(1)
        (payload,) = queued("low")
        assert (payload["retry"], payload["dead"], payload["tags"]) == (3, False, ["a", "b"])

    def test_declared_timeouts_do_not_travel(self, queued: Any) -> None:
        asynchronous.enqueue(1)
        asynchronous.using(tags=[]).enqueue(1)
        assert all("timeout" not in payload for payload in queued("low"))

    def test_of_a_call_leaves_the_declared_ones_as_they_are(self, queued: Any) -> None:
        asynchronous.using(max_retries=1).enqueue(1)
        asynchronous.enqueue(1)
        first, second = queued("low")
        assert (first["retry"], first["dead"], second["retry"]) == (1, False, 3)

    def test_that_is_none_is_refused(self) -> None:
        with pytest.raises(UnknownOption, match=r"jobs_of_tests\.send: .*Did you mean 'max_retries'"):
            send.using(max_retry=3)
        with pytest.raises(BadOption, match="queue"):
            send.using(queue="a b")


class TestArguments:
    def test_by_keyword_travel_in_their_own_field(self, queued: Any) -> None:
        send.enqueue(1, subject="hi", urgent=True)
        send.enqueue(1)
        first, second = queued()
        assert (first["args"], first["kwargs"]) == ([1], {"subject": "hi", "urgent": True})
        assert "kwargs" not in second

    @pytest.mark.parametrize(
        ("args", "kwargs", "problem"),
        [
            ((), {}, "missing a required argument: 'user_id'"),
            ((1, "a", True), {}, "too many positional arguments"),
            ((1,), {"user_id": 1}, "multiple values for argument 'user_id'"),
            ((1,), {"sbject": "a"}, "unexpected keyword argument 'sbject'"),
        ],
    )
    def test_that_the_function_would_not_take_are_refused(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], problem: str, db: redis.Redis
    ) -> None:
        for verb in (send.enqueue, lambda *a, **k: send.enqueue_in(5, *a, **k)):
            with pytest.raises(BadCall) as caught:
                verb(*args, **kwargs)
            assert str(caught.value).startswith(
                "jobs_of_tests.send(user_id, subject='hello', *, urgent=False) cannot"
            )
            assert problem in str(caught.value)
        assert db.dbsize() == 0

    def test_required_by_keyword_only_are_looked_for(self, queued: Any) -> None:
        @job(name="tests.keyword")
        def keyword(*, size: int) -> None: ...

        with pytest.raises(BadCall, match="'size'"):
            keyword.enqueue()
        keyword.enqueue(size=1)
        assert queued()[0]["kwargs"] == {"size": 1}

    def test_may_be_any_number_where_the_function_says_so(self, queued: Any) -> None:
        @job(name="tests.many")
        def many(first: int, *others: int, **named: int) -> None: ...

        many.enqueue(1, 2, 3, a=4)
        with pytest.raises(BadCall):
            many.enqueue()
        assert (queued()[0]["args"], queued()[0]["kwargs"]) == ([1, 2, 3], {"a": 4})

    def test_named_like_the_verbs_own_do_not_clash(self, queued: Any) -> None:
        @job(name="tests.clash")
        def clash(**named: int) -> dict[str, int]:
            return named

        named = dict.fromkeys(["self", "delay", "when", "template", "args", "at", "name", "client"], 1)
        clash.enqueue(**named)
        clash.enqueue_in(-1, **named)
        clash.enqueue_at(0, **named)
        assert [p["kwargs"] for p in queued()] == [named] * 3
        assert clash(**named) == named

    @pytest.mark.parametrize("name", METHODS)
    def test_of_static_and_class_methods_do_not_count_the_class(self, name: str, queued: Any) -> None:
        found = getattr(User, name)
        found.enqueue(7)
        with pytest.raises(BadCall):
            found.enqueue()
        with pytest.raises(BadCall):
            found.enqueue(7, 8)
        (payload,) = queued()
        assert (payload["class"], payload["args"]) == (f"jobs_of_tests.User.{name}", [7])

    @pytest.mark.parametrize("name", ["outer_class", pytest.param("inner_class", marks=BOUND_BY_CLASSMETHOD)])
    def test_through_a_subclass_are_refused(self, name: str) -> None:
        with pytest.raises(JobError, match=r"Admin\..*is User's job, and would run with User"):
            getattr(Admin, name).enqueue(7)
        getattr(User, name).enqueue(7)

    @BOUND_BY_CLASSMETHOD
    def test_of_a_classmethod_in_a_local_class_work_with_a_name(self, queued: Any) -> None:
        class Local:
            @job(name="tests.local1")
            @classmethod
            def above(cls, value: int) -> Any:
                return cls, value

            @classmethod
            @job(name="tests.local2")
            def below(cls, value: int) -> Any:
                return cls, value

        Local.above.enqueue(1)
        Local.below.enqueue(2)
        assert [payload["args"] for payload in queued()] == [[1], [2]]
        assert Local.below(2) == (Local, 2)

    def test_that_are_too_large_are_refused_with_advice(self, db: redis.Redis) -> None:
        with pytest.raises(
            PayloadTooLarge,
            match=r"jobs_of_tests\.send: .*300,\d+ bytes.*limit is 262,144.*SIDELAMB_MAX_PAYLOAD.*send its id",
        ):
            send.enqueue(1, "x" * 300_000)
        assert db.dbsize() == 0

    def test_may_just_fill_the_limit(self, redis_url: str) -> None:
        send.enqueue(1, "")
        (raw,) = default_client().link.command("LRANGE", "queue:default", 0, -1)
        size = len(raw) + 10  # timestamps vary by a few digits
        client = Client(redis_url, max_payload=size, clock=lambda: NOW)
        fits = client.job(send).template.payload([1, ""], {}, "0" * 24, NOW)
        free = size - len(orjson.dumps({**fits, "enqueued_at": NOW}))
        assert client.enqueue(send, 1, "x" * free)
        with pytest.raises(PayloadTooLarge):
            client.enqueue(send, 1, "x" * (free + 1))


class TestLater:
    @pytest.mark.parametrize("delay", [60, 60.0, dt.timedelta(minutes=1)])
    def test_in_a_while(self, delay: Any, redis_url: str, scheduled: Any, db: redis.Redis) -> None:
        client = Client(redis_url, clock=lambda: NOW)
        jid = send.using(client=client).enqueue_in(delay, 1)
        ((payload, at),) = scheduled()
        assert at == NOW + 60
        assert payload["jid"] == jid
        assert payload["created_at"] == NOW
        assert not db.exists("queues")

    @pytest.mark.parametrize(
        "when",
        [
            4_102_444_800,
            4_102_444_800.0,
            dt.datetime(2100, 1, 1, tzinfo=dt.UTC),
            dt.datetime(2100, 1, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        ],
    )
    def test_at_a_time(self, when: Any, scheduled: Any) -> None:
        send.enqueue_at(when, 1, urgent=True)
        ((payload, at),) = scheduled()
        assert at == 4_102_444_800
        assert payload["kwargs"] == {"urgent": True}

    @pytest.mark.parametrize("delay", [0, -5, -1e300, dt.timedelta(days=-1)])
    def test_in_the_past_is_now(self, delay: Any, queued: Any, db: redis.Redis) -> None:
        send.enqueue_in(delay, 1)
        assert "enqueued_at" in queued()[0]
        assert not db.exists("schedule")

    @pytest.mark.parametrize("when", [0, -1.5, 1_000_000, dt.datetime(1999, 1, 1, tzinfo=dt.UTC)])
    def test_at_a_time_in_the_past_is_now(self, when: Any, queued: Any) -> None:
        send.enqueue_at(when, 1)
        assert "enqueued_at" in queued()[0]

    def test_a_naive_datetime_is_refused(self) -> None:
        with pytest.raises(BadOption, match=r"has no timezone.*attach one"):
            send.enqueue_at(dt.datetime(2100, 1, 1), 1)  # noqa: DTZ001

    @pytest.mark.parametrize(
        "when", ["2100-01-01", None, True, dt.date(2100, 1, 1), float("nan"), float("inf"), 10**400, [1]]
    )
    def test_what_is_no_time_is_refused(self, when: Any) -> None:
        with pytest.raises(BadOption, match="a time is a datetime with a timezone or epoch seconds"):
            send.enqueue_at(when, 1)

    def test_milliseconds_are_refused(self) -> None:
        with pytest.raises(BadOption, match="not milliseconds"):
            send.enqueue_at(4_102_444_800_000, 1)

    @pytest.mark.parametrize("delay", ["60", None, True, float("nan"), float("inf"), dt.datetime.now(dt.UTC)])
    def test_what_is_no_delay_is_refused(self, delay: Any) -> None:
        with pytest.raises(BadOption, match="a number of seconds or a timedelta"):
            send.enqueue_in(delay, 1)

    def test_a_delay_of_decades_is_a_mistaken_time(self) -> None:
        with pytest.raises(BadOption, match="use enqueue_at"):
            send.enqueue_in(NOW, 1)


class TestMany:
    def test_go_in_their_order_1_000_a_round_trip(self, queued: Any, db: redis.Redis) -> None:
        send.enqueue(0)
        before = db.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert send.enqueue_many((n,) for n in range(2_500)) == 2_500
        assert db.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 3
        payloads = queued()[1:]
        assert [payload["args"] for payload in payloads] == [[n] for n in range(2_500)]
        assert len({payload["jid"] for payload in payloads}) == 2_500

    def test_tell_their_progress(self) -> None:
        seen: list[int] = []
        send.enqueue_many([(n,) for n in range(2_500)], progress=seen.append)
        assert seen == [1_000, 2_000, 2_500]

    def test_may_be_none_at_all(self, db: redis.Redis) -> None:
        seen: list[int] = []
        assert send.enqueue_many([], progress=seen.append) == 0
        assert (seen, db.dbsize()) == ([], 0)

    def test_take_keyword_arguments_as_dicts(self, queued: Any) -> None:
        send.enqueue_many([{"user_id": 1, "urgent": True}, (2, "hi")])
        first, second = queued()
        assert (first["args"], first["kwargs"]) == ([], {"user_id": 1, "urgent": True})
        assert (second["args"], "kwargs" in second) == ([2, "hi"], False)

    @pytest.mark.parametrize("item", [1, "ab", [1], None, range(2), {1}])
    def test_refuse_a_bare_item_and_show_the_right_form(self, item: Any, db: redis.Redis) -> None:
        with pytest.raises(BadCall, match=r"takes a tuple of arguments for each job, not .*write .*\(x,\)"):
            send.enqueue_many([item])
        assert db.dbsize() == 0

    @pytest.mark.parametrize(
        "items", [[(1,), ()], [(1,), (1, 2, 3)], [(1,), {}], [(1,), {1: 2}], [(1,), {"a": 1}]]
    )
    def test_check_the_arguments_of_each(self, items: Any, db: redis.Redis) -> None:
        with pytest.raises(BadCall):
            send.enqueue_many(items)
        assert db.dbsize() == 0

    def test_tell_how_many_were_stored_before_a_wrong_one(self, db: redis.Redis) -> None:
        with pytest.raises(BadArgument, match=r"\(1,000 jobs of this call were stored before\.\)") as caught:
            send.enqueue_many((n, object() if n == 1_700 else "x") for n in range(2_500))
        assert caught.value.stored == 1_000
        assert db.llen("queue:default") == 1_000

    def test_tell_how_many_were_stored_before_the_callers_own_error(self) -> None:
        def items() -> Any:
            yield from ((n,) for n in range(1_500))
            raise LookupError("gone")

        with pytest.raises(LookupError) as caught:
            send.enqueue_many(items())
        assert caught.value.__notes__ == ["sidelamb: 1,000 jobs of this call were stored before."]

    def test_of_a_generator_are_never_held_whole(self) -> None:
        def peak(count: int) -> int:
            tracemalloc.start()
            send.enqueue_many((n,) for n in range(count))
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        peak(3_000)
        assert peak(30_000) < 1.2 * peak(3_000)

    def test_that_are_large_go_in_more_round_trips(self, db: redis.Redis) -> None:
        seen: list[int] = []
        send.enqueue_many(((n, "x" * 250_000) for n in range(100)), progress=seen.append)
        assert len(seen) == 3
        assert seen[-1] == 100

    def test_have_the_options_of_the_call(self, queued: Any) -> None:
        send.using(queue="bulk", max_retries=1).enqueue_many([(1,), (2,)])
        assert [payload["retry"] for payload in queued("bulk")] == [1, 1]


class TestQueues:
    def test_may_be_any_unless_they_are_declared(self, queued: Any) -> None:
        send.using(queue="whatever").enqueue(1)
        assert queued("whatever")

    def test_that_are_not_declared_are_refused_with_the_nearest(self, db: redis.Redis) -> None:
        configure(queues=["default", "low", "mail"])
        for call in (
            lambda: send.using(queue="mial").enqueue(1),
            lambda: default_client().enqueue("X", queue="mial"),
            lambda: default_client().push({"class": "X", "args": [], "queue": "mial"}),
            lambda: send.using(queue="mial").enqueue_many([(1,)]),
        ):
            with pytest.raises(UnknownQueue, match=r"lists default, low, mail\. Did you mean 'mail'\?"):
                call()
        assert db.dbsize() == 0

    def test_of_jobs_declared_before_are_checked_when_the_list_comes(self) -> None:
        with pytest.raises(UnknownQueue, match=r"tests\.asynchronous: queue 'low' is not declared"):
            configure(queues=["default"])
        send.using(queue="whatever").enqueue(1)  # the refused list is not in force


class TestAsync:
    async def test_verbs_do_the_same(self, queued: Any, scheduled: Any) -> None:
        assert await send.aenqueue(1, urgent=True) == queued()[0]["jid"]
        assert queued()[0]["kwargs"] == {"urgent": True}
        jid = await send.aenqueue_in(dt.timedelta(hours=1), 2)
        assert await send.aenqueue_at(dt.datetime(2100, 1, 1, tzinfo=dt.UTC), 3)
        assert [(p["args"], p["jid"] == jid) for p, _ in scheduled()] == [([2], True), ([3], False)]
        seen: list[int] = []
        assert await send.aenqueue_many(((n,) for n in range(1_500)), progress=seen.append) == 1_500
        assert seen == [1_000, 1_500]
        assert await send.using(queue="low").aenqueue(4) == queued("low")[0]["jid"]

    async def test_verbs_refuse_the_same(self, db: redis.Redis) -> None:
        with pytest.raises(BadCall):
            await send.aenqueue()
        with pytest.raises(BadArgument):
            await send.aenqueue((1,))
        with pytest.raises(BadOption):
            await send.aenqueue_at(dt.datetime(2100, 1, 1), 1)  # noqa: DTZ001
        with pytest.raises(BadCall) as caught:
            await send.aenqueue_many((n,) if n < 1_500 else n for n in range(2_000))
        assert caught.value.stored == 1_000
        assert db.llen("queue:default") == 1_000


def test_a_job_of_the_started_program_is_refused_when_it_is_enqueued(monkeypatch: pytest.MonkeyPatch) -> None:
    def task() -> int:
        return 1

    task.__module__, task.__qualname__ = "__main__", "task"
    plain = job(task)
    assert plain() == 1
    with pytest.raises(JobError, match=r"__main__\.task is defined in the program that was started.*@job\(name="):
        plain.enqueue()


def test_a_named_job_of_the_started_program_is_enqueued(queued: Any) -> None:
    def task() -> int:
        return 1

    task.__module__, task.__qualname__ = "__main__", "task"
    job(name="app.task")(task).enqueue()
    assert queued()[0]["class"] == "app.task"


def test_a_classmethod_whose_class_cannot_be_found_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    @job(name="tests.lost")
    def lost(cls: Any, value: int) -> None: ...

    lost.function.__qualname__ = "Somewhere.lost"
    other = job(name="tests.lost.again")(lost.function)
    with pytest.raises(JobError, match="write @job above @classmethod"):
        other.enqueue(1)


class TestManyPlainOnes:
    """Made together, they are what each would be by itself."""

    @pytest.mark.parametrize(
        "items",
        [
            [(1, "a"), (2, "b")],
            [(1.5, None), (True, "],[")],
            [([1], [2]), ([[]], {})],
            [({"a": [1, {"b": "ü"}]}, '"args":['), (2**63, -(2**63))],
            [(1, "a")],
        ],
    )
    def test_their_bytes_are_those_of_single_ones(
        self, db: redis.Redis, redis_url: str, items: list[tuple[Any, ...]]
    ) -> None:
        one_by_one = Client(redis_url, clock=lambda: 1.75e9, new_jid=lambda: "0" * 24)
        together = Client(redis_url, clock=lambda: 1.75e9)
        two = job(name="two", tags=['"args":[', '"jid":"'])(lambda *args: None)
        for name in (two, "elsewhere"):
            db.flushall()
            together.enqueue_many(name, items)
            for item in items:
                one_by_one.enqueue(name, *item)
            made = [re.sub(rb'"jid":"[0-9a-f]{24}"', b'"jid":"%b"' % (b"0" * 24), raw) for raw in raws(db)]
            assert made[: len(items)] == made[len(items) :] == raws(db)[len(items) :]

    def test_each_has_an_id_of_its_own(self, db: redis.Redis) -> None:
        send.enqueue_many((n, "x") for n in range(2_500))
        jids = [orjson.loads(raw)["jid"] for raw in raws(db)]
        assert len({*jids}) == 2_500
        assert all(re.fullmatch("[0-9a-f]{24}", jid) for jid in jids)

    def test_those_after_one_that_is_not_plain_keep_their_order(self, db: redis.Redis) -> None:
        assert send.enqueue_many([(1, "a"), {"user_id": 2, "subject": "b"}, (3, "c")]) == 3
        found = [orjson.loads(raw) for raw in raws(db)]
        assert [(x["args"], x.get("kwargs")) for x in found] == [
            ([1, "a"], None),
            ([], {"user_id": 2, "subject": "b"}),
            ([3, "c"], None),
        ]
