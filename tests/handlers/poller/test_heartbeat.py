"""The poller as one Sidekiq process."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.errors import RedisError
from sidelamb_handlers.poller.heartbeat import Heartbeat, new_identity
from tests.handlers.kit import STORE, payload, push, soon

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.handlers.proxy import Proxy

ME = "host:1:abcdef123456"


@pytest.fixture
def make_heartbeat(make_patient: Callable[..., Any]) -> Callable[..., Heartbeat]:
    def build(*capsules: Any, url: str = "", on_signal: Callable[[str], None] = lambda name: None) -> Heartbeat:
        redis = make_patient(url) if url else make_patient()
        return Heartbeat(ME, capsules, store=STORE, redis=redis, on_signal=on_signal)

    return build


def work(db: Any) -> list[Any]:
    return [json.loads(entry) for entry in db.hvals(f"{ME}:work")]


def test_an_identity_is_host_process_and_twelve_digits():
    host, pid, digits = new_identity().rsplit(":", 2)
    assert host
    assert int(pid) == os.getpid()
    assert len(digits) == 12
    assert int(digits, 16) >= 0
    assert new_identity() != new_identity()


class TestFields:
    async def test_the_hash_has_every_field_in_the_type_that_sidekiqs_pages_need(
        self, make_heartbeat, make_capsule, sandboxes, db
    ):
        fast = make_capsule(sandboxes, name="fast", queues=("critical", "default"), in_flight=3)
        slow = make_capsule(sandboxes, name="slow", queues=("low", "default"), weights=(1, 5), in_flight=4)
        await make_heartbeat(fast, slow).beat()
        assert db.smembers("processes") == {ME.encode()}
        found = db.hgetall(ME)
        assert set(found) == {b"info", b"concurrency", b"busy", b"beat", b"rtt_us", b"quiet", b"rss"}
        assert (found[b"concurrency"], found[b"busy"], found[b"quiet"]) == (b"7", b"0", b"false")
        assert b"." in found[b"beat"]
        assert float(found[b"beat"]) == pytest.approx(time.time(), abs=5)
        assert int(found[b"rtt_us"]) > 0
        assert int(found[b"rss"]) > 1_000
        assert 50 < db.ttl(ME) <= 60

    async def test_the_info_is_json_with_every_field_in_its_type(
        self, make_heartbeat, make_capsule, sandboxes, db
    ):
        fast = make_capsule(sandboxes, name="fast", queues=("critical", "default"), in_flight=3)
        slow = make_capsule(sandboxes, name="slow", queues=("low", "default"), weights=(1, 5), in_flight=4)
        await make_heartbeat(fast, slow).beat()
        info = json.loads(db.hget(ME, "info"))
        assert {k: type(v) for k, v in info.items()} == {
            "hostname": str,
            "started_at": float,
            "pid": int,
            "tag": str,
            "concurrency": int,
            "capsules": dict,
            "queues": list,
            "weights": list,
            "labels": list,
            "identity": str,
            "version": str,
            "embedded": bool,
        }
        assert info["queues"] == ["critical", "default", "low"]
        assert info["weights"] == [{"critical": 0, "default": 0}, {"low": 1, "default": 5}]
        assert info["capsules"] == {
            "fast": {"concurrency": 3, "mode": "strict", "weights": {"critical": 0, "default": 0}},
            "slow": {"concurrency": 4, "mode": "weighted", "weights": {"low": 1, "default": 5}},
        }
        assert (info["concurrency"], info["identity"], info["embedded"]) == (7, ME, False)
        assert info["started_at"] == pytest.approx(time.time(), abs=30)

    async def test_a_quiet_one_says_so(self, make_heartbeat, db):
        heartbeat = make_heartbeat()
        heartbeat.is_quiet = True
        await heartbeat.beat()
        assert db.hget(ME, "quiet") == b"true"

    async def test_every_beat_renews_it(self, make_heartbeat, db):
        heartbeat = make_heartbeat()
        await heartbeat.beat()
        first = float(db.hget(ME, "beat"))
        db.expire(ME, 3)
        db.srem("processes", ME)
        await heartbeat.beat()
        assert float(db.hget(ME, "beat")) > first
        assert db.ttl(ME) > 50
        assert db.smembers("processes") == {ME.encode()}

    async def test_it_costs_two_round_trips(self, make_heartbeat, db):
        heartbeat = make_heartbeat()
        await heartbeat.beat()
        db.config_resetstat()
        await heartbeat.beat()
        calls = {k: v["calls"] for k, v in db.info("commandstats").items()}
        assert (calls.get("cmdstat_time"), calls.get("cmdstat_evalsha")) == (1, 1)


class TestWork:
    async def flying(
        self, make_capsule: Any, background: Any, sandboxes: Any, job: Any, db: Any, *raws: bytes, **config: Any
    ) -> tuple[Any, threading.Event]:
        go, begun = threading.Event(), threading.Event()

        def busy(*args: Any, **kwargs: Any) -> None:
            begun.set()
            go.wait(5)

        job(busy, name="work")
        push(db, *raws)
        capsule = make_capsule(sandboxes, **config)
        background(capsule.run())
        await soon(begun.is_set)
        return capsule, go

    async def test_an_invocation_is_one_entry_its_payload_a_text(
        self, make_heartbeat, make_capsule, background, sandboxes, job, db
    ):
        raw = payload("work", "é", created_at=1_795_405_727.5)
        capsule, go = await self.flying(make_capsule, background, sandboxes, job, db, raw)
        await make_heartbeat(capsule).beat()
        (entry,) = work(db)
        assert entry["queue"] == "default"
        assert json.loads(entry["payload"]) == json.loads(raw)
        assert type(entry["run_at"]) is int
        assert entry["run_at"] == pytest.approx(time.time(), abs=3)
        assert db.hget(ME, "busy") == b"1"
        assert 50 < db.ttl(f"{ME}:work") <= 60
        assert db.hkeys(f"{ME}:work") == [sandboxes.events[0]["lease"].encode()]
        go.set()
        await soon(lambda: not capsule.flights)
        await make_heartbeat(capsule).beat()
        assert not db.exists(f"{ME}:work")
        assert db.hget(ME, "busy") == b"0"

    async def test_several_jobs_of_one_invocation_are_one_entry_that_says_how_many(
        self, make_heartbeat, make_capsule, background, sandboxes, job, db
    ):
        raws = [payload("work", n) for n in range(7)]
        capsule, go = await self.flying(make_capsule, background, sandboxes, job, db, *raws, in_flight=1)
        await make_heartbeat(capsule).beat()
        (entry,) = work(db)
        shown = json.loads(entry["payload"])
        assert (shown["jid"], shown["packed"]) == ("work-0", 7)
        go.set()

    async def test_a_large_payload_is_shown_without_its_arguments(
        self, make_heartbeat, make_capsule, background, sandboxes, job, db
    ):
        raw = payload("work", "x" * 200_000, jid="big", kwargs={"y": "z" * 10})
        capsule, go = await self.flying(make_capsule, background, sandboxes, job, db, raw)
        await make_heartbeat(capsule).beat()
        (entry,) = work(db)
        shown = json.loads(entry["payload"])
        assert shown["args"] == [f"({len(raw):,} bytes)"]
        assert (shown["class"], "kwargs" in shown) == ("work", False)
        assert len(entry["payload"]) < 1_000
        go.set()

    @pytest.mark.parametrize("raw", [b"junk", b"[1]", b"null", b"\xff", b'{"a":1}', b"x" * 20_000])
    async def test_whatever_flies_has_an_entry_that_the_busy_page_can_show(
        self, make_heartbeat, make_capsule, sandboxes, db, link, raw
    ):
        from sidelamb_handlers.poller.flight import Flight
        from tests.handlers.kit import reserve

        push(db, raw)
        (held,) = reserve(link, "c:1")
        capsule = make_capsule(sandboxes)
        flight = Flight(held, time.time() + 30, 5.0)
        flight.invoked_at = time.time()
        capsule.flights["c:1"] = flight
        await make_heartbeat(capsule).beat()
        (entry,) = work(db)
        shown = json.loads(entry["payload"])
        assert {"class", "args", "queue"} <= set(shown)
        assert (entry["queue"], type(entry["run_at"])) == ("default", int)


class TestSignals:
    async def test_they_are_obeyed_oldest_first_once(self, make_heartbeat, db):
        heard: list[str] = []
        heartbeat = make_heartbeat(on_signal=heard.append)
        db.lpush(f"{ME}-signals", "TSTP")
        db.lpush(f"{ME}-signals", "TERM")
        await heartbeat.beat()
        await heartbeat.beat()
        assert heard == ["TSTP", "TERM"]

    async def test_they_are_obeyed_even_if_the_metrics_could_not_be_written(self, make_heartbeat, db, monkeypatch):
        heard: list[str] = []
        heartbeat = make_heartbeat(on_signal=heard.append)

        async def fails() -> None:
            raise RedisError

        monkeypatch.setattr(heartbeat, "_write_metrics", fails)
        db.lpush(f"{ME}-signals", "TERM")
        await heartbeat.beat()
        assert heard == ["TERM"]


class TestGone:
    async def test_it_is_off_the_list(self, make_heartbeat, db):
        heartbeat = make_heartbeat()
        await heartbeat.beat()
        await heartbeat.gone()
        assert db.keys("*") == []

    async def test_without_redis_it_goes_quietly(self, make_heartbeat, proxy: Proxy):
        heartbeat = make_heartbeat(url=proxy.url)
        await heartbeat.beat()
        proxy.cut()
        await heartbeat.gone()
        await heartbeat.beat()


class TestClock:
    async def test_clocks_that_differ_are_one_warning(self, make_heartbeat, caplog, monkeypatch):
        heartbeat = make_heartbeat()
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 60)
        await heartbeat._measure()
        await heartbeat._measure()
        (line,) = caplog.messages
        assert "differ by 60.0 s; leases bear 5 s: set the clock" in line

    async def test_clocks_that_agree_are_none(self, make_heartbeat, caplog):
        await make_heartbeat().beat()
        assert caplog.messages == []


async def test_metrics_of_the_answers_are_written_in_both_of_sidekiqs_forms_and_in_ours(
    make_heartbeat, make_capsule, background, sandboxes, job, db
):
    @job
    def work(n: int) -> None:
        if n == 0:
            raise ValueError

    push(db, *(payload("work", n) for n in range(3)))
    capsule = make_capsule(sandboxes)
    background(capsule.run())
    await soon(lambda: capsule.metrics.amounts().get("work|p") == 3)
    heartbeat = make_heartbeat(capsule)
    await heartbeat.beat()
    hashes = [key for key in db.keys("j|*") if db.type(key) == b"hash"]
    assert len(hashes) == 3
    for key in hashes:
        assert (db.hget(key, "work|p"), db.hget(key, "work|f")) == (b"3", b"1")
        assert db.ttl(key) > 0
    assert len(db.keys("*work-*")) == 3
    assert len(db.keys("sidelamb:histogram:work-*")) == 1
    await heartbeat.beat()
    assert db.hget(hashes[0], "work|p") == b"3"


class TestAlive:
    @pytest.fixture
    def alive(self, tmp_path, monkeypatch):
        file = tmp_path / "alive"
        monkeypatch.setenv("SIDELAMB_ALIVE_FILE", str(file))
        return file

    async def test_the_file_is_touched_while_the_loop_turns(self, make_heartbeat, background, alive):
        background(make_heartbeat().run())
        await soon(alive.exists)

    async def test_also_while_redis_is_away(self, make_heartbeat, background, alive):
        background(make_heartbeat(url="redis://127.0.0.1:1/0").run())
        await soon(alive.exists)

    async def test_where_it_cannot_be_written_the_poller_says_so_and_goes_on(
        self, make_heartbeat, background, monkeypatch, tmp_path, caplog, db
    ):
        monkeypatch.setenv("SIDELAMB_ALIVE_FILE", str(tmp_path / "nowhere" / "alive"))
        running = background(make_heartbeat().run())
        await soon(lambda: caplog.messages)
        assert "nowhere/alive cannot be written, so this poller looks dead: No such file" in caplog.text
        assert not running.done()
