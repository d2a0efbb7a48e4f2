"""WIRE 5.11: what Sidekiq's API and Web UI write, done by the real Ruby API (6.4.1) to data of ours.

Each class of entries is made by our own code; then Ruby acts, and we look at what it left, and read it.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from types import SimpleNamespace
from typing import Any

import pytest

from sidelamb.alink import AsyncLink
from sidelamb.payload import decode
from sidelamb.store import Store
from sidelamb_handlers.config import CapsuleConfig
from sidelamb_handlers.metrics import Tally
from sidelamb_handlers.poller.heartbeat import Heartbeat
from sidelamb_handlers.poller.patient import Patient
from sidelamb_handlers.scheduler import Scheduler
from tests.handlers.kit import STORE, payload, waiting
from tests.wire.foreign import foreign
from tests.wire.kit import run_pushed

pytestmark = pytest.mark.skipif(
    not (shutil.which("ruby") and shutil.which("sidekiq")), reason="needs Debian's ruby-sidekiq"
)


@pytest.fixture
def failed(job: Any, db: Any, link: Any, make_worker: Any) -> Any:
    """Puts jobs into retry, or dead, by failing them with our worker."""

    @job
    def fails(*args: Any) -> None:
        raise ValueError("é < ü")

    def make(*raws: bytes) -> None:
        run_pushed(db, link, make_worker, *raws)

    return make


def counted(db: Any) -> tuple[int, int, int]:
    return db.zcard("retry"), db.zcard("dead"), db.zcard("schedule")


class TestQueue:
    def test_delete_of_one_job(self, client, ruby, db):
        """WIRE 5.11: delete one queued job, LREM of the exact string."""
        keep, drop = client.enqueue("A", "é😀", {"x": 1.5}), client.enqueue("A", "ü", [1, 2**63])
        ruby.run(f'Sidekiq::Queue.new.find_job("{drop}").delete')
        assert [decode(raw)["jid"] for raw in waiting(db)] == [keep]

    def test_delete_of_a_queue(self, client, ruby, db):
        """WIRE 5.11: delete queue, UNLINK and SREM; it comes back with the next push."""
        client.enqueue("A", queue="mail")
        ruby.run('Sidekiq::Queue.new("mail").clear')
        assert not db.exists("queue:mail", "queues")
        client.enqueue("A", queue="mail")
        assert db.smembers("queues") == {b"mail"}

    def test_latency_is_read_of_our_time(self, client, ruby):
        """WIRE 5.11 and 10: every page reads the age of the oldest job of the default queue."""
        client.enqueue("A")
        assert 0 <= float(ruby.run("puts Sidekiq::Queue.new.latency")) < 60

    def test_a_paused_queue_is_left_alone(self, db, client, link):
        """WIRE 5.11: pause queue, the set that Pro writes."""
        client.enqueue("A", queue="mail")
        db.sadd("paused", "mail")
        options: dict[str, Any] = {"capsule": "c", "poller": "p", "expires": time.time() + 30, "cap": 9}
        reserved = link.run(STORE.reserve(["c:1"], ["mail"], most_jobs=9, most_bytes=10**6, **options))
        assert reserved.leases == []
        assert db.llen("queue:mail") == 1


class TestRetry:
    def test_find_and_delete(self, failed, ruby, db):
        """WIRE 5.11: find an entry by score and jid; ZREM of the string."""
        failed(payload("fails", jid="a1"), payload("fails", jid="a2"))
        score = dict((decode(raw)["jid"], at) for raw, at in db.zrange("retry", 0, -1, withscores=True))["a1"]  # noqa: C402
        found = ruby.run(f'puts Sidekiq::RetrySet.new.fetch({score!r}, "a1").map(&:jid).join')
        assert found == "a1"
        ruby.run('Sidekiq::RetrySet.new.find_job("a2").delete')
        assert [decode(raw)["jid"] for raw in db.zrange("retry", 0, -1)] == ["a1"]

    def test_retry_now_makes_the_count_minus_one_which_we_run(self, failed, ruby, db, link, make_worker):
        """WIRE 5.11: retry now pushes with retry_count - 1; -1 is legal."""
        failed(payload("fails", jid="a1"))
        ruby.run('Sidekiq::RetrySet.new.find_job("a1").retry')
        (raw,) = waiting(db)
        assert decode(raw)["retry_count"] == -1
        db.delete("queue:default")
        run_pushed(db, link, make_worker, raw)
        (again,) = map(decode, db.zrange("retry", 0, -1))
        assert again["retry_count"] == 0
        assert again["failed_at"] == decode(raw)["failed_at"]

    def test_retry_now_leaves_the_others_of_the_same_score(self, failed, ruby, db):
        """WIRE 5.11: other members of the same score are put back."""
        failed(payload("fails", jid="a1"), payload("fails", jid="a2"))
        for raw, _ in db.zrange("retry", 0, -1, withscores=True):
            db.zadd("retry", {raw: 2e9})
        ruby.run('Sidekiq::RetrySet.new.find_job("a1").retry')
        assert [decode(raw)["jid"] for raw in db.zrange("retry", 0, -1)] == ["a2"]

    def test_kill_moves_our_bytes_unchanged(self, failed, ruby, db):
        """WIRE 5.11: kill, ZADD dead now of the string unchanged."""
        failed(payload("fails", "é", jid="a1"))
        before = db.zrange("retry", 0, -1)
        ruby.run('Sidekiq::RetrySet.new.find_job("a1").kill')
        assert db.zrange("dead", 0, -1) == before
        assert counted(db) == (0, 1, 0)

    @pytest.mark.parametrize(
        ("action", "left"), [("retry_all", (0, 0, 0)), ("kill_all", (0, 3, 0)), ("clear", (0, 0, 0))]
    )
    def test_all_at_once(self, action, left, failed, ruby, db):
        """WIRE 5.11: retry all, kill all, delete all."""
        failed(*(payload("fails", n, jid=f"a{n}") for n in range(3)))
        ruby.run(f"Sidekiq::RetrySet.new.{action}")
        assert counted(db) == left
        assert db.llen("queue:default") == (3 if action == "retry_all" else 0)


class TestDead:
    def test_retry_of_a_dead_job(self, failed, ruby, db):
        """WIRE 5.11: retry now from the dead set."""
        failed(payload("fails", jid="a1", retry=0))
        ruby.run('Sidekiq::DeadSet.new.find_job("a1").retry')
        assert decode(waiting(db)[0])["jid"] == "a1"
        assert counted(db) == (0, 0, 0)


class TestSchedule:
    @pytest.mark.parametrize("kind", ["plain", "special"])
    def test_reschedule_moves_the_entry_and_makes_no_second(self, kind, client, ruby, db):
        """WIRE 5.11 and 3.1: reschedule writes the payload anew, and moves it only if it has our bytes."""
        args = [1] if kind == "plain" else ["é😀\u2028 / \x1f\x7f\n", -0.0, 1.5, 2**63, {"k": [None, True]}]
        jid = client.enqueue_in(600, "A", *args)
        before = db.zrange("schedule", 0, -1)
        ruby.run(f'Sidekiq::ScheduledSet.new.find_job("{jid}").reschedule(Time.at(2000000000.5))')
        assert db.zrange("schedule", 0, -1, withscores=True) == [(before[0], 2000000000.5)]

    @pytest.mark.parametrize("kind", ["pretty", "escapes", "iso", "tags-text", "duplicates"])
    def test_reschedule_moves_what_another_client_wrote_once_we_stored_it(self, kind, failed, ruby, db):
        """WIRE 3.1: after a failure here it has the bytes that Ruby would write."""
        failed(foreign(kind, "fails", "a1"))
        before = db.zrange("retry", 0, -1)
        ruby.run('Sidekiq::RetrySet.new.find_job("a1").reschedule(Time.at(2000000000.5))')
        assert db.zrange("retry", 0, -1, withscores=True) == [(before[0], 2000000000.5)]

    def test_add_to_queue(self, client, ruby, db):
        """WIRE 5.11: add to queue, without the decrement."""
        jid = client.enqueue_in(600, "A", "é")
        ruby.run(f'Sidekiq::ScheduledSet.new.find_job("{jid}").add_to_queue')
        (stored,) = map(decode, waiting(db))
        assert (stored["jid"], stored["args"]) == (jid, ["é"])
        assert "retry_count" not in stored
        assert counted(db) == (0, 0, 0)

    def test_rubys_scheduler_and_ours_leave_the_same(self, client, ruby, db, link):
        """WIRE 5.4 and 5.11: whichever of the two moves a due entry, it lies in the queue alike."""
        for name in ("ours", "rubys"):
            client.enqueue_in(0.05, "A", name)
            time.sleep(0.06)
            if name == "ours":
                Scheduler(link, STORE).make_pass(time.time() + 5)
            else:
                ruby.run('require "sidekiq/scheduled"; Sidekiq::Scheduled::Enq.new.enqueue_jobs')
        first, second = map(decode, waiting(db))
        assert {k: type(v) for k, v in first.items()} == {k: type(v) for k, v in second.items()}


class TestStatsAndProcesses:
    def test_reset_of_the_statistics(self, failed, ruby, db, link, make_worker):
        """WIRE 5.11: reset stats; we go on counting from zero."""
        failed(payload("fails", 1))
        assert ruby.run("s = Sidekiq::Stats.new; puts [s.processed, s.failed, s.retry_size].join(' ')") == "1 1 1"
        ruby.run("Sidekiq::Stats.new.reset")
        assert db.get("stat:processed") == db.get("stat:failed") == b"0"
        failed(payload("fails", 2))
        assert db.get("stat:processed") == b"1"

    @pytest.mark.parametrize(
        ("action", "signal"), [("quiet!", "TSTP"), ("stop!", "TERM"), ("dump_threads", "TTIN")]
    )
    def test_a_process_gets_its_signals_with_its_next_beat(self, action, signal, redis_url, ruby):
        """WIRE 5.11: quiet, stop and dump, left in <identity>-signals."""
        heard: list[str] = []

        async def live() -> None:
            link = AsyncLink(redis_url)
            capsule: Any = SimpleNamespace(config=CapsuleConfig("default", "worker"), flights={}, metrics=Tally())
            made = Heartbeat("h:1:a", [capsule], store=Store(), redis=Patient(link), on_signal=heard.append)
            await made.beat()
            await asyncio.to_thread(ruby.run, f"Sidekiq::ProcessSet.new.each(&:{action})")
            await made.beat()
            await link.close()

        asyncio.run(live())
        assert heard == [signal]

    def test_a_job_is_cancelled_as_ruby_does_it(self, db, redis_url, client):
        """WIRE 5.11: cancel, HSETNX it-<jid> cancelled, kept 30 days; with the fields that Ruby's pages need."""
        client.cancel("0123456789abcdef01234567")
        state = db.hgetall("it-0123456789abcdef01234567")
        assert abs(int(state[b"cancelled"]) - time.time()) < 60
        assert {b"ex", b"c", b"rt"} <= set(state)
        assert 0 <= 30 * 86_400 - db.ttl("it-0123456789abcdef01234567") < 60
