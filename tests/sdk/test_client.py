"""The client: jobs by name, payloads, and its life among threads, forks and event loops."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from jobs_of_tests import User, asynchronous, send

from sidelamb import BadArgument, BadCall, BadOption, Client, ConfigError, JobError, NotAJob, UnknownOption, job
from sidelamb.links import loop_links_to
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_795_405_727.5


class TestByName:
    def test_a_job_of_another_service_has_sidekiqs_defaults(self, client: Client, queued: Any) -> None:
        jid = client.enqueue("Billing::ChargeJob", 12, {"currency": "EUR"})
        (payload,) = queued()
        assert payload["class"] == "Billing::ChargeJob"
        assert payload["args"] == [12, {"currency": "EUR"}]
        assert (payload["retry"], payload["queue"], payload["jid"]) == (True, "default", jid)

    def test_options_are_keywords(self, client: Client, queued: Any) -> None:
        client.enqueue("Billing::ChargeJob", 12, queue="billing", max_retries=0, tags=["a"], timeout=5)
        (payload,) = queued("billing")
        assert (payload["retry"], payload["tags"], payload["timeout"]) == (0, ["a"], 5)

    def test_what_is_no_option_is_refused(self, client: Client) -> None:
        with pytest.raises(UnknownOption, match=r"Billing::ChargeJob: there is no option 'retry'"):
            client.enqueue("Billing::ChargeJob", 12, retry=False)

    def test_a_registered_job_has_its_own_options_and_signature(self, client: Client, queued: Any) -> None:
        client.enqueue("tests.asynchronous", 1)
        (payload,) = queued("low")
        assert (payload["retry"], payload["dead"]) == (3, False)
        with pytest.raises(BadCall):
            client.enqueue("tests.asynchronous", 1, 2)

    def test_a_former_name_becomes_the_name(self, client: Client, queued: Any) -> None:
        job(name="tests.new", aliases=["tests.old"])(lambda: None)
        client.enqueue("tests.old")
        assert queued()[0]["class"] == "tests.new"

    @pytest.mark.parametrize("form", [send, send.function])
    def test_a_job_itself_will_do(self, form: Any, client: Client, queued: Any) -> None:
        client.enqueue(form, 1)
        client.enqueue(User.inner_class, 1)
        assert [p["class"] for p in queued()] == ["jobs_of_tests.send", "jobs_of_tests.User.inner_class"]

    def test_keyword_arguments_go_through_job(self, client: Client, queued: Any) -> None:
        client.job("other.service.resize", queue="images").enqueue(1, width=20)
        assert queued("images")[0]["kwargs"] == {"width": 20}

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "<x>", "a$b", "x\n"])
    def test_a_name_that_cannot_travel_is_refused(self, name: str, client: Client) -> None:
        with pytest.raises(BadOption, match="name"):
            client.enqueue(name)

    @pytest.mark.parametrize("what", [5, None, print, lambda: None])
    def test_what_is_neither_name_nor_job_is_refused(self, what: Any, client: Client) -> None:
        with pytest.raises(NotAJob):
            client.enqueue(what)

    def test_all_verbs_are_there(self, redis_url: str, queued: Any, scheduled: Any) -> None:
        client = Client(redis_url, clock=lambda: NOW)
        client.enqueue_in(60, "X", 1, queue="a")
        client.enqueue_at(NOW + 90, "X", 2, queue="a")
        assert client.enqueue_many("X", [(3,), (4,)], queue="a") == 2
        assert [(p["args"], at) for p, at in scheduled()] == [([1], NOW + 60), ([2], NOW + 90)]
        assert [p["args"] for p in queued("a")] == [[3], [4]]

    async def test_all_async_verbs_are_there(self, redis_url: str, queued: Any, scheduled: Any) -> None:
        client = Client(redis_url, clock=lambda: NOW)
        assert await client.aenqueue("X", 0, queue="a") == queued("a")[0]["jid"]
        await client.aenqueue_in(60, "X", 1, queue="a")
        await client.aenqueue_at(NOW + 90, "X", 2, queue="a")
        assert await client.aenqueue_many("X", [(3,), (4,)], queue="a") == 2
        assert len(scheduled()) == 2
        assert [p["args"] for p in queued("a")] == [[0], [3], [4]]

    def test_is_stored_in_its_namespace(self, redis_url: str, db: redis.Redis) -> None:
        Client(redis_url, namespace="{app}").enqueue("X")
        assert sorted(db.keys("*")) == [b"{app}:queue:default", b"{app}:queues"]
        assert db.smembers("{app}:queues") == {b"default"}


class TestPush:
    def test_fills_in_what_is_missing_in_sidekiqs_order(self, client: Client, queued: Any) -> None:
        payload = {"class": "X", "args": [1]}
        jid = client.push(payload)
        assert payload == {"class": "X", "args": [1]}
        (stored,) = queued()
        assert list(stored) == ["retry", "queue", "class", "args", "jid", "created_at", "enqueued_at"]
        assert (stored["retry"], stored["jid"]) == (True, jid)

    def test_keeps_what_is_given(self, client: Client, queued: Any) -> None:
        given = {
            "class": "X", "args": [], "jid": "my-id", "retry": False, "queue": "q", "created_at": 5.5,
            "dead": False, "backtrace": 3, "cattr": {"tenant": 1}, "kwargs": {"a": 1}, "enqueued_at": 1.5,
        }  # fmt: skip
        assert client.push(given) == "my-id"
        (stored,) = queued("q")
        assert stored.pop("enqueued_at") > 1_700_000_000
        del given["enqueued_at"]
        assert stored == given

    def test_writes_a_window_of_retries_in_whole_seconds_as_sidekiq_does(
        self, client: Client, queued: Any
    ) -> None:
        client.push({"class": "X", "args": [], "retry_for": 90.5, "retry_queue": "slow", "backtrace": True})
        (stored,) = queued()
        assert (stored["retry_for"], type(stored["retry_for"])) == (90, int)
        assert (stored["retry_queue"], stored["backtrace"]) == ("slow", True)

    def test_schedules_what_has_a_time(self, client: Client, scheduled: Any, queued: Any) -> None:
        client.push({"class": "X", "args": [], "at": 4_102_444_800, "enqueued_at": 1.0})
        client.push({"class": "X", "args": [], "at": 5.0})
        ((payload, at),) = scheduled()
        assert at == 4_102_444_800
        assert "at" not in payload
        assert "enqueued_at" not in payload
        assert "at" not in queued()[0]

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"class": None}, "class is None"),
            ({"class": "a b"}, "class is 'a b'"),
            ({"args": (1,)}, r"field 'args' is \(1,\) \(tuple\); expected a list"),
            ({"args": {"a": 1}}, "expected a list"),
            ({"kwargs": [1]}, "expected a dict"),
            ({"queue": ""}, "queue is ''"),
            ({"queue": None}, "queue is None"),
            ({"jid": ""}, "field 'jid'"),
            ({"jid": "a/b"}, "field 'jid'"),
            ({"jid": 5}, "field 'jid'"),
            ({"retry": -1}, "field 'retry'"),
            ({"retry": "true"}, "field 'retry'"),
            ({"retry": None}, "field 'retry'"),
            ({"dead": 1}, "field 'dead'"),
            ({"tags": "a"}, "field 'tags'"),
            ({"tags": [1]}, "field 'tags'"),
            ({"retry_for": 1e9 + 1}, "field 'retry_for' is 1000000001.0.*expected seconds, at most 1e9"),
            ({"retry_for": -1}, "field 'retry_for'"),
            ({"retry_for": "60"}, "field 'retry_for'"),
            ({"retry_for": True}, "field 'retry_for'"),
            ({"retry_queue": ""}, "field 'retry_queue'"),
            ({"retry_queue": "a b"}, "field 'retry_queue'"),
            ({"backtrace": "all"}, "field 'backtrace'"),
            ({"backtrace": -1}, "field 'backtrace'"),
            ({"timeout": 0}, "field 'timeout'"),
            ({"timeout": 901}, "field 'timeout'"),
            ({"expiry": "2026-01-01"}, "field 'expiry'"),
            ({"at": None}, "field 'at'"),
            ({"at": "soon"}, "field 'at'"),
            ({"at": float("nan")}, "field 'at'"),
            ({"at": True}, "field 'at'"),
            ({"created_at": "2026-01-01"}, "field 'created_at'"),
            ({"created_at": 1_795_405_727}, "epoch seconds as a float"),
            ({"custom": (1,)}, r"field 'custom' is a tuple"),
            ({"custom": {"a": {1}}}, r"field 'custom'\['a'\] is a set"),
            ({"custom": "\ud800"}, "field 'custom' holds a lone surrogate"),
            ({"tags": ["\ud800"]}, "field 'tags'"),
            ({5: 1}, "field name 5"),
        ],
    )
    def test_refuses_fields_that_would_break_a_reader(
        self, change: dict[Any, Any], problem: str, client: Client, db: redis.Redis
    ) -> None:
        with pytest.raises(JobError, match=problem):
            client.push({"class": "X", "args": [], **change})
        assert db.dbsize() == 0

    @pytest.mark.parametrize("payload", [None, [], "{}", 5])
    def test_refuses_what_is_no_dict(self, payload: Any, client: Client) -> None:
        with pytest.raises(JobError, match="a payload is a dict"):
            client.push(payload)

    def test_of_many_goes_by_each_ones_own_queue_and_time(
        self, client: Client, queued: Any, scheduled: Any, db: redis.Redis
    ) -> None:
        payloads = [
            {"class": "X", "args": [n], "queue": f"q{n % 3}", **({"at": 4_102_444_800.0 + n} if n % 2 else {})}
            for n in range(12)
        ]
        assert client.push_many(payloads) == 12
        assert [p["args"][0] for p, _ in scheduled()] == [1, 3, 5, 7, 9, 11]
        assert {q: [p["args"][0] for p in queued(q)] for q in ("q0", "q1", "q2")} == {
            "q0": [0, 6], "q1": [4, 10], "q2": [2, 8],
        }  # fmt: skip

    def test_of_many_to_very_many_queues_keeps_commands_short(self, client: Client, db: redis.Redis) -> None:
        client.enqueue("X", queue="q0")
        before = db.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert client.push_many({"class": "X", "args": [], "queue": f"q{n}"} for n in range(1_200)) == 1_200
        assert db.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 3
        assert db.scard("queues") == 1_200

    async def test_has_async_twins(self, client: Client, queued: Any) -> None:
        assert await client.apush({"class": "X", "args": [1]})
        assert await client.apush_many({"class": "X", "args": [n]} for n in range(3)) == 3
        assert len(queued()) == 4

    def test_of_another_python_jobs_arguments_names_them(self, client: Client) -> None:
        with pytest.raises(BadArgument, match=r"argument 1 \('user_id'\)\['a'\]"):
            client.push({"class": "jobs_of_tests.send", "args": [{"a": (1,)}]})


class TestItsLife:
    def test_clients_of_one_url_share_their_connections(self, redis_url: str) -> None:
        assert Client(redis_url).link is Client(redis_url, namespace="x").link

    def test_a_redis_py_client_gives_its_settings(self, redis_url: str, db: redis.Redis, queued: Any) -> None:
        with redis.Redis.from_url(redis_url, decode_responses=True, health_check_interval=5) as given:
            client = Client(given)
            client.enqueue("X", 1)
            asyncio.run(client.aenqueue("X", 2))
            client.close()
        assert len(queued()) == 2

    @pytest.mark.parametrize("target", [5, object(), redis.Redis, b"redis://x"])
    def test_another_target_is_refused(self, target: Any) -> None:
        with pytest.raises(ConfigError, match=r"takes a URL like redis://host:6379/0 or a redis\.Redis"):
            Client(target)

    @pytest.mark.parametrize(
        "url",
        [
            "localhost:6379",
            "http://x",
            "redis://x:port/0",
            "",
            "redis://x/a",
            "redis://x/0/1",
            "redis+cluster://x/a",
            "redis+sentinel://x/mymaster/a",
        ],
    )
    def test_a_wrong_url_is_refused_at_once(self, url: str) -> None:
        with pytest.raises(ConfigError, match="is not a Redis URL"):
            Client(url)

    def test_is_safe_for_threads(self, client: Client, db: redis.Redis) -> None:
        def work() -> None:
            for n in range(50):
                client.enqueue(send, n)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        jids = {raw.split(b'"jid":"')[1][:24] for raw in db.lrange("queue:default", 0, -1)}
        assert len(jids) == 400

    def test_is_safe_for_forks(self, client: Client, db: redis.Redis) -> None:
        client.enqueue(send, 0)
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=_enqueue_100, args=(client,)) for _ in range(3)]
        for child in children:
            child.start()
        for n in range(100):
            client.enqueue(send, n)
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0, 0]
        jids = {raw.split(b'"jid":"')[1][:24] for raw in db.lrange("queue:default", 0, -1)}
        assert len(jids) == 401

    @pytest.mark.parametrize(
        ("module", "verb"),
        [
            ("redis", "enqueue"),
            ("sidelamb.client", "enqueue"),
            ("encodings.idna", "enqueue"),
            ("sidelamb.alink", "aenqueue"),
        ],
    )
    def test_is_safe_for_a_fork_during_the_first_enqueue_of_another_thread(
        self, module: str, verb: str, redis_url: str, db: redis.Redis
    ) -> None:
        program = Path(__file__).with_name("forking.py")
        environ = {**os.environ, "SIDELAMB_REDIS_URL": redis_url}
        ended = subprocess.run([sys.executable, program, module, verb], env=environ, timeout=60, check=False)
        assert ended.returncode == 0
        assert db.llen("queue:default") == 2

    def test_serves_one_event_loop_after_the_other_and_leaves_nothing_open(
        self, redis_url: str, db: redis.Redis
    ) -> None:
        client = Client(redis_url)

        async def work() -> None:
            await asyncio.gather(*(client.aenqueue("X", n) for n in range(5)))

        gc.collect()  # what other tests have left open
        before = db.info("clients")["connected_clients"]
        for _ in range(3):
            asyncio.run(work())
            assert not loop_links_to(redis_url)._links
        gc.collect()
        until(lambda: db.info("clients")["connected_clients"] <= before)
        assert db.llen("queue:default") == 15

    def test_serves_event_loops_in_several_threads_at_once(self, client: Client, db: redis.Redis) -> None:
        async def work() -> None:
            for n in range(20):
                await client.aenqueue("X", n)

        threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert db.llen("queue:default") == 80

    def test_forgets_a_loop_that_was_closed_without_a_word(self, redis_url: str) -> None:
        client = Client(redis_url)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.aenqueue("X"))
        loop.run_until_complete(client.aclose())
        loop.run_until_complete(client.aenqueue("X"))
        links = loop_links_to(redis_url)._links
        assert list(links) == [loop]
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        asyncio.run(client.aenqueue("X"))
        assert not links

    def test_opens_anew_after_it_was_closed(self, client: Client, db: redis.Redis) -> None:
        client.enqueue("X")
        client.close()
        client.enqueue("X")
        assert db.llen("queue:default") == 2

    def test_takes_its_ids_from_where_it_is_told(self, redis_url: str, queued: Any) -> None:
        ids = iter(f"id-{n}" for n in range(10))
        client = Client(redis_url, new_jid=lambda: next(ids))
        assert client.enqueue("X") == "id-0"
        client.enqueue_many("X", [(), ()])
        client.push({"class": "X", "args": []})
        assert [p["jid"] for p in queued()] == ["id-0", "id-1", "id-2", "id-3"]

    def test_writes_times_as_floats_even_from_a_whole_clock(self, redis_url: str, db: redis.Redis) -> None:
        client = Client(redis_url, clock=lambda: 1_795_405_727)
        client.enqueue("X")
        client.enqueue_many("X", [()])
        client.push({"class": "X", "args": []})
        for raw in db.lrange("queue:default", 0, -1):
            assert raw.endswith(b'"created_at":1795405727.0,"enqueued_at":1795405727.0}')


def _enqueue_100(client: Client) -> None:
    for n in range(100):
        client.enqueue(send, n)


def test_async_jobs_can_be_enqueued_from_blocking_code(client: Client, queued: Callable[..., Any]) -> None:
    asynchronous.using(client=client).enqueue(1)
    assert queued("low")


async def test_a_thousand_tasks_may_enqueue_at_once(client: Client, db: redis.Redis) -> None:
    ids = await asyncio.gather(*(client.aenqueue("X", n) for n in range(1_000)))
    assert len(set(ids)) == db.llen("queue:default") == 1_000
    assert db.info("clients")["connected_clients"] < 100


@pytest.mark.parametrize("form", ["url", "redis-py"])
def test_hundreds_of_threads_may_enqueue_at_once(form: str, redis_url: str, db: redis.Redis) -> None:
    with redis.Redis.from_url(redis_url) as given:
        client = Client(redis_url if form == "url" else given)
        ready = threading.Barrier(250)
        failed: list[Exception] = []

        def work() -> None:
            ready.wait()
            try:
                for n in range(4):
                    client.enqueue("X", n)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(250)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
    assert failed == []
    assert db.llen("queue:default") == 1_000
