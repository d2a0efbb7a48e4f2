"""What we write beside what a real Sidekiq 7.3.10 wrote: the same keys, types, fields and JSON types."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from sidelamb import Client
from sidelamb.alink import AsyncLink
from sidelamb.payload import decode, encode
from sidelamb.store import Held, Store
from sidelamb_handlers.attempt import Attempt, Runner
from sidelamb_handlers.config import CapsuleConfig
from sidelamb_handlers.metrics import Tally
from sidelamb_handlers.poller.flight import Flight
from sidelamb_handlers.poller.heartbeat import Heartbeat
from sidelamb_handlers.poller.patient import Patient
from sidelamb_handlers.promotion import promotion
from tests.handlers.kit import golden
from tests.wire.foreign import lines_of
from tests.wire.kit import fields_of, form, golden_dump, ours, payloads_in, run_pushed, types_of

STAMPS = ("created_at", "enqueued_at", "jid")
FAILURE = {"error_message", "error_class", "failed_at", "retry_count", "retried_at", "error_backtrace"}


def beside(golden: dict[str, Any], found: dict[str, Any], *keys: str) -> None:
    """Fail unless `keys` (all, if none is named) have one form in both dumps."""
    names = keys or tuple(golden)
    assert form({key: found[key] for key in names}) == form({key: golden[key] for key in names})


def jobs_of(dump: dict[str, Any], key: str) -> list[bytes]:
    return payloads_in(dump[key][2])


class TestClient:
    def test_push(self, client, db):
        client.enqueue("HardJob", 1, "two", {"k": None, "f": 1.5, "arr": [True]})
        client.enqueue("HardJob")
        there, here = golden_dump("01-push"), ours(db)
        assert set(there) == set(here)
        beside(there, here)
        for ruby, python in zip(jobs_of(there, "queue:default"), jobs_of(here, "queue:default"), strict=True):
            assert fields_of(ruby, *STAMPS) == fields_of(python, *STAMPS)
            assert [*decode(ruby)] == [*decode(python)]
            assert len(decode(ruby)["jid"]) == len(decode(python)["jid"])

    def test_push_special_gives_the_same_bytes(self, redis_url, db):
        """But for a number beyond 64 bits, which our client refuses, and an exponent, which it writes shorter."""
        (raw,) = jobs_of(golden_dump("02-push-special"), "queue:default")
        ruby = decode(raw)
        kept = [arg for arg in ruby["args"] if arg not in (2**70, 1.0e300)]
        client = Client(redis_url, clock=lambda: ruby["created_at"], new_jid=lambda: ruby["jid"])
        client.enqueue("HardJob", *kept)
        (mine,) = jobs_of(ours(db), "queue:default")
        expected = raw.replace(b"1180591620717411303424,", b"").replace(b"1.0e+300,", b"")
        assert mine == expected.replace(b"%r}" % ruby["enqueued_at"], b"%r}" % ruby["created_at"])

    def test_bulk(self, client, db):
        client.enqueue_many("HardJob", [(n,) for n in (1, 2, 3)])
        client.push_many([{"class": "HardJob", "args": [n]} for n in (4, 5)])
        there, here = golden_dump("03-bulk"), ours(db)
        assert set(there) == set(here)
        for ruby, python in zip(jobs_of(there, "queue:default"), jobs_of(here, "queue:default"), strict=True):
            assert dict(types_of(ruby)) == dict(types_of(python))
            assert fields_of(ruby, *STAMPS) == fields_of(python, *STAMPS)

    def test_scheduled(self, client, db):
        client.enqueue_in(3600, "HardJob", "in")
        client.enqueue_at(2000000000.25, "HardJob", "at")
        client.push_many([{"class": "HardJob", "args": [n], "at": at} for n, at in ((1, 1999999999.5), (2, 2e9))])
        client.enqueue_at(time.time() - 5, "HardJob", "past")
        there, here = golden_dump("04-scheduled"), ours(db)
        assert set(there) == set(here)
        for key in ("schedule", "queue:default"):
            for ruby, python in zip(jobs_of(there, key), jobs_of(here, key), strict=True):
                assert dict(types_of(ruby)) == dict(types_of(python))
                assert fields_of(ruby, *STAMPS) == fields_of(python, *STAMPS)
        assert [at for _, at in here["schedule"][2][1:]] == [1999999999.5, 2e9, 2000000000.25]

    def test_options(self, client, db):
        there = golden_dump("05-options")
        for key in sorted(k for k in there if k.startswith("queue:")):
            for raw in reversed(jobs_of(there, key)):
                client.push(fields_of(raw, "enqueued_at"))
        here = ours(db)
        assert set(there) == set(here)
        beside(there, here)
        for key in (k for k in there if k.startswith("queue:")):
            for ruby, python in zip(jobs_of(there, key), jobs_of(here, key), strict=True):
                assert fields_of(ruby, "enqueued_at") == fields_of(python, "enqueued_at")


def before_failure(raw: bytes, **again: Any) -> bytes:
    """A payload as it lay in the queue before Ruby's worker wrote its failure into it."""
    return encode({**{k: v for k, v in decode(raw).items() if k not in FAILURE}, **again})


class TestWorker:
    @pytest.fixture(autouse=True)
    def failing(self, job: Any) -> None:
        for name, error in (
            ("FailJob", ValueError('boom ["x", 1] é😀')),
            ("DeadJob", RuntimeError("dies at once")),
            ("OneRetryJob", RuntimeError("one retry then dead")),
        ):
            self._declare(job, name, error)

    @staticmethod
    def _declare(job: Any, name: str, error: Exception) -> None:
        def fails(*_args: Any) -> None:
            raise error

        fails.__name__ = name
        job(fails)

    def test_retry_and_dead(self, db, link, make_worker):
        there = golden_dump("06-retry-and-dead-stopped")
        first, second = jobs_of(there, "dead")
        count = {"failed_at": decode(second)["failed_at"], "retry_count": 0}
        run_pushed(db, link, make_worker, before_failure(first))
        run_pushed(db, link, make_worker, before_failure(second, **count), queue="critical")
        run_pushed(db, link, make_worker, before_failure(jobs_of(there, "retry")[0]))
        here = ours(db)
        assert {k for k in here if not k.startswith("stat:")} == {"queues", "retry", "dead"}
        for key in ("retry", "dead"):
            for ruby, python in zip(jobs_of(there, key), jobs_of(here, key), strict=True):
                assert {**types_of(ruby), "failures": "list"} == types_of(python)
                same = ("failed_at", "retried_at", "error_backtrace", "error_class")
                assert fields_of(ruby, *same) == fields_of(python, *same, "failures")
        assert here["retry"][0] == here["dead"][0] == "zset"

    def test_the_delay_lies_within_that_of_ruby(self, db, link, make_worker):
        there = golden_dump("06-retry-and-dead-stopped")
        (raw,) = jobs_of(there, "retry")
        run_pushed(db, link, make_worker, before_failure(raw))
        ((stored, at),) = db.zrange("retry", 0, -1, withscores=True)
        assert 15 <= at - decode(stored)["failed_at"] < 25
        assert 15 <= there["retry"][2][0][1] - decode(raw)["failed_at"] < 26

    def test_a_backtrace_is_the_same_kind_of_text(self, db, link, make_worker):
        (raw,) = jobs_of(golden_dump("06-retry-and-dead-stopped"), "retry")
        run_pushed(db, link, make_worker, before_failure(raw))
        mine = decode(db.zrange("retry", 0, -1)[0])["error_backtrace"]
        assert 0 < len(lines_of(mine)) <= 3 == len(lines_of(decode(raw)["error_backtrace"]))

    def test_second_retry(self, db, link, make_worker):
        (raw,) = jobs_of(golden_dump("07-retry-second"), "retry")
        again = {"failed_at": decode(raw)["failed_at"], "retry_count": 0}
        run_pushed(db, link, make_worker, before_failure(raw, **again))
        ((stored, at),) = db.zrange("retry", 0, -1, withscores=True)
        ruby, python = types_of(raw), types_of(stored)
        assert {**ruby, "failures": "list"} == python
        assert decode(stored)["retry_count"] == 1
        assert decode(stored)["failed_at"] == decode(raw)["failed_at"]
        assert 16 <= at - decode(stored)["retried_at"] < 36

    def test_stats(self, db, link, make_worker, job):
        @job(name="HardJob")
        def hard(*args: Any) -> None: ...

        there = golden_dump("11-stats-stopped")
        raws = [encode({"class": "HardJob", "args": [], "jid": f"h{n}", "queue": "default"}) for n in range(36)]
        dead = [before_failure(raw) for raw in jobs_of(there, "dead")]
        run_pushed(db, link, make_worker, *raws, *dead)
        here = ours(db)
        day = time.strftime("%Y-%m-%d", time.gmtime())
        for name in ("stat:processed", "stat:failed"):
            assert here[name][0] == there[name][0] == "string"
            assert here[name][1] == there[name][1] == -1
            assert here[name][2] == there[name][2]
            mine, ruby = here[f"{name}:{day}"], there[f"{name}:2026-11-23"]
            assert (mine[0], mine[2]) == (ruby[0], ruby[2])
            assert 0 <= mine[1] - ruby[1] < 120_000


async def beat(redis_url: str, *, quiet: bool = False) -> str:
    """Let a poller with two jobs in flight beat once; return its identity."""
    raw = payload_of_work(golden_dump("08-busy-heartbeat"))
    config = CapsuleConfig("default", "worker", queues=("critical", "default", "low"), in_flight=2)
    flights = {
        n: Flight(Held(f"default:{n}", {"0:low": raw}), time.time() + 30, 60.0, invoked_at=time.time())
        for n in ("a", "b")
    }
    capsule: Any = SimpleNamespace(config=config, flights=flights, metrics=Tally())
    link = AsyncLink(redis_url)
    heartbeat = Heartbeat("vm:1:0123456789ab", [capsule], store=Store(), redis=Patient(link), on_signal=print)
    heartbeat.is_quiet = quiet
    await heartbeat.beat()
    await link.close()
    return "vm:1:0123456789ab"


def payload_of_work(dump: dict[str, Any]) -> bytes:
    (work,) = (value for key, (_, _, value) in dump.items() if key.endswith(":work"))
    payload: str = json.loads(next(iter(work.values())))["payload"]
    return payload.encode()


class TestHeartbeat:
    @pytest.mark.parametrize(("name", "quiet"), [("08-busy-heartbeat", False), ("09-quiet", True)])
    def test_busy_and_quiet(self, name, quiet, redis_url, db):
        there = golden_dump(name)
        identity = asyncio.run(beat(redis_url, quiet=quiet))
        here = ours(db)
        (theirs,) = (key for key in there if key.count(":") == 2 and not key.startswith("stat:"))
        assert here["processes"][2] == {identity.encode()}
        for end in ("", ":work"):
            assert here[identity + end][0] == there[theirs + end][0] == "hash"
            assert 0 < here[identity + end][1] <= 60_000
        mine, ruby = here[identity][2], {k.encode(): v for k, v in there[theirs][2].items()}
        assert set(mine) - set(ruby) == {b"concurrency"}  # where Sidekiq 8.1.2 looks for it
        assert set(ruby) <= set(mine)
        assert mine[b"quiet"] == ruby[b"quiet"]
        for field in (b"busy", b"rtt_us", b"rss"):
            assert int(mine[field]) >= 0
        assert float(mine[b"beat"]) == pytest.approx(time.time(), abs=60)

    def test_info_has_all_that_ruby_writes_in_the_same_types(self, redis_url, db):
        there = golden_dump("08-busy-heartbeat")
        identity = asyncio.run(beat(redis_url))
        (theirs,) = (key for key in there if key.count(":") == 2 and not key.startswith("stat:"))
        ruby, mine = json.loads(there[theirs][2]["info"]), json.loads(db.hget(identity, "info"))
        assert set(mine) - set(ruby) == {"capsules"}  # 8.0.9's
        assert {k: type(mine[k]) for k in ruby} == {k: type(v) for k, v in ruby.items()}
        assert mine["queues"] == ruby["queues"]
        assert mine["weights"] == ruby["weights"]
        assert mine["identity"] == identity

    def test_the_work_of_a_process_has_the_same_fields_and_the_payload_is_a_text(self, redis_url, db):
        (ruby,) = (v for k, (_, _, v) in golden_dump("08-busy-heartbeat").items() if k.endswith(":work"))
        identity = asyncio.run(beat(redis_url))
        for each in db.hvals(identity + ":work"):
            mine, theirs = json.loads(each), json.loads(next(iter(ruby.values())))
            assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in theirs.items()}
            assert types_of(mine["payload"].encode()) == types_of(theirs["payload"].encode())


class TestReading:
    @pytest.mark.parametrize("version", ["sidekiq-641", "sidekiq-7310"])
    def test_every_job_that_sidekiq_wrote_runs_here(self, version, job, jobs):
        seen: list[Any] = []
        raws = list(golden(version))
        for name in {decode(raw)["class"] for raw in raws}:
            job(name=name)(lambda *args: seen.append(list(args)))
        runner = Runner(jobs, lambda _a, c: c, clock=time.time, random=lambda: 0.5)
        for raw in raws:
            attempt = Attempt("0:default", "default", decode(raw), "r", "l")
            assert runner.decode(attempt) is None
            assert runner.attempt(attempt).outcome == "succeeded"
            assert attempt.enqueued_at is None or attempt.enqueued_at > 1.7e9
        assert seen == [decode(raw)["args"] for raw in raws]

    @pytest.mark.parametrize("version", ["sidekiq-641", "sidekiq-7310"])
    def test_every_job_that_sidekiq_wrote_fails_as_it_would_there(self, version, job, jobs):
        for raw in golden(version):
            payload = decode(raw)
            runner = Runner(jobs, lambda _a, c: c, clock=time.time, random=lambda: 0.5)
            decision = runner.decide(Attempt("0:default", "default", payload, "r", "l"), ValueError("x"))
            retries = payload["retry"] if type(payload["retry"]) is int else 25 if payload["retry"] else None
            done = payload.get("retry_count", -1) + 1
            expected = "discarded" if retries is None else "dead" if done >= retries else "retry"
            assert decision.outcome == expected

    def test_what_sidekiq_scheduled_enters_its_queue(self):
        for raw in jobs_of(golden_dump("04-scheduled"), "schedule"):
            _, new, queue = promotion(raw, 2e9)
            assert queue == "default"
            assert new == raw[:-1] + b',"enqueued_at":2000000000.0}'
