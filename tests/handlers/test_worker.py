"""The worker: claims, runs, settles, on a real Redis."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Discard, Kill, Retry, Snooze, current_job, server_middleware
from sidelamb.errors import ConfigError
from sidelamb.payload import decode
from sidelamb_handlers import ending
from sidelamb_handlers import judge as judge_module
from sidelamb_handlers import watch as watch_module
from sidelamb_handlers import worker as worker_module
from sidelamb_handlers.event import BadEvent
from sidelamb_handlers.worker import Worker
from tests.handlers.kit import (
    STORE,
    Context,
    event_for,
    everything,
    payload,
    places,
    waiting,
)
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

    from tests.handlers.proxy import Proxy

LEASE = "sidelamb:lease:c:1"


def quick(monkeypatch: pytest.MonkeyPatch, margin_s: float = 0.3, **constants: float) -> None:
    monkeypatch.setattr(ending, "MARGIN_S", margin_s)
    for name, value in {"TICK_S": 0.02, **constants}.items():
        monkeypatch.setattr(watch_module, name, value)


def spin(seconds: float = 5.0) -> None:
    """Work that an exception can interrupt."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.002)


class TestColdStart:
    def test_without_jobs_it_says_what_to_set(self):
        with pytest.raises(ConfigError, match="SIDELAMB_JOBS is not set; name the modules"):
            Worker({})

    @pytest.mark.parametrize("nothing", ["", " ", ",", " , "])
    def test_an_empty_list_of_modules_is_none(self, nothing):
        with pytest.raises(ConfigError, match="SIDELAMB_JOBS"):
            Worker({"SIDELAMB_JOBS": nothing})

    def test_a_module_that_is_not_there_is_named(self):
        with pytest.raises(ConfigError, match="no_such_module"):
            Worker({"SIDELAMB_JOBS": "json, no_such_module"})

    def test_the_modules_are_imported(self, make_worker, jobs):
        make_worker(SIDELAMB_JOBS="json, string")
        assert jobs.modules() == ["json", "string"]

    def test_importing_it_loads_no_aws_sdk_and_nothing_of_the_poller(self):
        code = "import sys, sidelamb_handlers.worker as w; print(','.join(sorted(sys.modules)))"
        environ = {**os.environ, "SIDELAMB_JOBS": "json", "SIDELAMB_REDIS_URL": "redis://127.0.0.1:1/0"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        )
        loaded = set(done.stdout.strip().split(","))
        assert "sidelamb_handlers.worker" in loaded
        # Powertools looks whether botocore is there, which loads no more than its name.
        assert not [name for name in loaded if name.startswith(("boto3", "botocore."))]
        assert not loaded & {"aiohttp", "pydantic", "aws_xray_sdk"}
        assert not [name for name in loaded if name.startswith("sidelamb_handlers.poller")]
        modules = Counter(name.partition(".")[0] for name in loaded)
        assert {name: modules[name] for name in MOST_MODULES if modules[name] > MOST_MODULES[name]} == {}


MOST_MODULES = {"sidelamb": 43, "sidelamb_handlers": 28, "redis": 75, "aws_lambda_powertools": 45, "asyncio": 35}
"""A cold start pays for each: a new one needs a reason (`python bench/cold_start.py` says what it costs).

Of Sidelamb's own: `effects` is asked for each job whether it uses a feature; `handle` and `results` are what a job
gets that enqueues another; `channel` sends it.
"""


class TestEvent:
    @pytest.mark.parametrize("event", [{}, {"Records": []}, None, []])
    def test_an_event_that_is_not_ours_is_an_error(self, make_worker, event):
        with pytest.raises(BadEvent):
            make_worker().handle(event, Context())

    def test_the_handler_is_the_worker_of_the_sandbox(self, monkeypatch):
        monkeypatch.setenv("SIDELAMB_JOBS", "json")
        with pytest.raises(BadEvent):
            worker_module.handler({}, Context())


class TestClaim:
    def test_the_lease_is_claimed_before_the_first_job_runs_and_expires_at_its_deadline(
        self, make_worker, job, leased, db
    ):
        seen = []

        @job
        def work() -> None:
            seen.append((db.hget(LEASE, "claim"), db.hexists(LEASE, "open"), db.zscore("sidelamb:leases", "c:1")))

        event = leased(payload("work"))
        answer = make_worker().handle(event, Context(request_id="request-7"))
        ((claim, is_open, score),) = seen
        assert claim.startswith(b"request-7/")
        assert (is_open, score) == (False, event["deadline"])
        assert (answer["status"], answer["ran"], answer["lease"]) == ("settled", 1, "c:1")
        assert answer["ms"] > 0
        assert places(db) == {}

    def refused(
        self, worker: Worker, job: Any, event: Any, db: redis.Redis, context: Context | None = None
    ) -> str:
        ran = []
        job(ran_into(ran), name="work")
        before = everything(db)
        answer = worker.handle(event, context or Context())
        assert answer["status"] == "refused"
        assert answer["ran"] == 0
        assert ran == []
        assert everything(db) == before
        return answer["reason"]

    def test_one_that_starts_late_runs_nothing(self, make_worker, job, leased, db):
        event = leased(payload("work"), start_by=time.time() - 2)
        assert "after start_by" in self.refused(make_worker(), job, event, db)

    def test_one_that_may_outlive_its_lease_runs_nothing_and_says_what_to_change(
        self, make_worker, job, leased, db
    ):
        event = leased(payload("work"), deadline=time.time() + 50)
        reason = self.refused(make_worker(), job, event, db, Context(60))
        assert "longer than its lease; give the capsule the function's timeout" in reason

    def test_one_that_just_fits_its_lease_runs(self, make_worker, job, leased):
        job(lambda_free, name="work")
        event = leased(payload("work"), deadline=time.time() + 61)
        assert make_worker().handle(event, Context(60))["status"] == "settled"

    def test_a_lease_that_is_gone_runs_nothing(self, make_worker, job, leased, db):
        event = leased(payload("work"))
        db.delete(LEASE, "sidelamb:leases", "sidelamb:slots:c")
        assert "gone or claimed" in self.refused(make_worker(), job, event, db)

    def test_a_lease_that_was_released_runs_nothing(self, make_worker, job, leased, db, link):
        event = leased(payload("work"))
        link.run(STORE.release("c", [link.run(STORE.lease("c:1"))]))
        assert "gone or claimed" in self.refused(make_worker(), job, event, db)

    def test_a_lease_that_another_request_claimed_runs_nothing(self, make_worker, job, leased, db, link):
        event = leased(payload("work"))
        link.run(STORE.claim("c:1", request_id="other", now=time.time(), deadline=time.time() + 60))
        assert "claimed by another request" in self.refused(make_worker(), job, event, db)

    def test_it_tells_nobody_of_jobs_that_are_not_its_own(
        self, make_worker, job, leased, db, link, monkeypatch, capfd
    ):
        told = []
        monkeypatch.setattr(judge_module, "error_hooks", [lambda *what: told.append(what)])
        event = leased(
            b'{"class":"work","args":5,"jid":"a"}', b'{"class":"work","args":[],"jid":"b","doomed":true}'
        )
        link.run(STORE.claim("c:1", request_id="other", now=time.time(), deadline=time.time() + 60))
        self.refused(make_worker(), job, event, db)
        assert told == []
        assert "args must be a list" not in "".join(capfd.readouterr())

    def test_of_two_invocations_of_one_lease_one_runs(self, make_worker, job, leased, db):
        ran, go = [], threading.Event()

        @job
        def work() -> None:
            ran.append(1)
            go.wait(5)

        event = leased(payload("work"))
        answers: list[Any] = []
        first = threading.Thread(target=lambda: answers.append(make_worker().handle(event, Context())))
        first.start()
        until(lambda: ran)
        assert make_worker().handle(event, Context())["status"] == "refused"
        go.set()
        first.join(5)
        assert answers[0]["status"] == "settled"
        assert ran == [1]
        assert make_worker().handle(event, Context())["status"] == "refused"

    def test_a_repeated_request_runs_nothing_while_its_first_run_is_alive(self, make_worker, job, leased):
        ran, go = [], threading.Event()

        @job
        def work() -> None:
            ran.append(1)
            go.wait(0.5)

        event = leased(payload("work"))
        first = threading.Thread(target=lambda: make_worker().handle(event, Context(request_id="same")))
        first.start()
        until(lambda: ran)
        make_worker().handle(event, Context(request_id="same"))
        go.set()
        first.join(5)
        assert ran == [1]

    def test_without_redis_nothing_runs_and_the_answer_says_why(self, make_worker, job, leased, db, proxy: Proxy):
        event = leased(payload("work"))
        worker = make_worker(proxy.url)
        proxy.cut()
        assert "could not be claimed" in self.refused(worker, job, event, db)
        proxy.mend()
        assert worker.handle(event, Context())["status"] == "settled"

    def test_a_worker_without_a_redis_url_serves_detached_capsules_only(self, make_worker, job, leased):
        job(lambda_free, name="work")
        with pytest.raises(ConfigError, match="SIDELAMB_REDIS_URL is not set for the worker"):
            make_worker("").handle(leased(payload("work")), Context())


def ran_into(ran: list[Any]) -> Callable[..., None]:
    def work(*args: Any) -> None:
        ran.append(args)

    return work


def lambda_free(*args: Any) -> None:
    """Succeeds."""


class TestOutcomes:
    def test_each_goes_where_it_belongs_in_one_invocation(self, make_worker, job, leased, db):
        @job
        def work(what: str) -> None:
            match what:
                case "fail":
                    raise ValueError("no")
                case "retry":
                    raise Retry(in_=100)
                case "snooze":
                    raise Snooze(200)
                case "discard":
                    raise Discard("not needed")
                case "kill":
                    raise Kill("broken")
                case "exit":
                    sys.exit(3)

        words = ["fine", "fail", "retry", "snooze", "discard", "kill", "exit"]
        event = leased(*(payload("work", w) for w in words), b"null", b'{"class":"work","args":5}')
        now = time.time()
        answer = make_worker().handle(event, Context())
        assert (answer["status"], answer["ran"]) == ("settled", 7)
        retries = {
            decode(raw)["args"][0]: (decode(raw), at) for raw, at in db.zrange("retry", 0, -1, withscores=True)
        }
        assert set(retries) == {"fail", "retry", "exit"}
        assert now + 14 < retries["fail"][1] < now + 27
        assert now + 99 < retries["retry"][1] < now + 102
        assert retries["exit"][0]["error_class"] == "SystemExit"
        ((snoozed, at),) = db.zrange("schedule", 0, -1, withscores=True)
        assert snoozed == payload("work", "snooze")
        assert now + 199 < at < now + 202
        dead = db.zrange("dead", 0, -1)
        assert b"null" in dead
        assert {decode(raw)["error_class"] for raw in dead if raw != b"null"} == {
            "sidelamb.control.Kill",
            "Malformed",
        }
        assert (db.get("stat:processed"), db.get("stat:failed")) == (b"7", b"5")
        assert not db.exists(LEASE, "sidelamb:leases", "sidelamb:slots:c", "queue:default")

    def test_an_unknown_name_is_put_off(self, make_worker, leased, db):
        now = time.time()
        assert make_worker().handle(leased(payload("nobody")), Context())["ran"] == 0
        ((raw, at),) = db.zrange("schedule", 0, -1, withscores=True)
        assert decode(raw)["unknown_since"] == pytest.approx(now, abs=1)
        assert at == pytest.approx(now + 10, abs=1)
        assert db.get("stat:processed") is None

    def test_a_namespace_stands_before_every_key(self, make_worker, job, db, link):
        from sidelamb.store import Store

        job(lambda_free, name="work")
        store = Store("{app}")
        db.lpush("{app}:queue:default", payload("work"))
        call = store.reserve(
            ["c:1"],
            ["default"],
            capsule="c",
            poller="p",
            expires=time.time() + 30,
            cap=1,
            most_jobs=1,
            most_bytes=9_999,
        )
        (held,) = link.run(call).leases
        worker = make_worker(SIDELAMB_NAMESPACE="{app}")
        assert worker.handle(event_for(held), Context())["status"] == "settled"
        assert all(key.startswith(b"{app}:stat:") for key in db.keys("*"))

    def test_a_job_that_shouts_for_the_end_does_not_take_its_neighbours_along(
        self, make_worker, job, leased, db, exits
    ):
        @job
        def work(n: int) -> None:
            if n == 1:
                raise KeyboardInterrupt
            if n == 2:
                raise SystemExit

        answer = make_worker().handle(leased(*(payload("work", n) for n in range(4))), Context())
        assert (answer["status"], answer["ran"], exits) == ("settled", 4, [])
        assert db.zcard("retry") == 2

    def test_an_error_whose_message_cannot_be_made_harms_nobody_else(self, make_worker, job, leased, db):
        class Broken(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no")

        @job
        def work(n: int) -> None:
            if n == 1:
                raise Broken

        event = leased(*(payload("work", n) for n in range(3)))
        assert swallowed(lambda: make_worker().handle(event, Context())) is None
        assert db.zcard("retry") == 1
        assert not db.exists(LEASE)

    @pytest.mark.parametrize("field", ["retry_count"])
    def test_a_count_that_no_machine_word_can_hold_harms_nobody_else(self, make_worker, job, leased, db, field):
        @job
        def work(n: int) -> None:
            if n == 1:
                raise ValueError

        odd = payload("work", 1)[:-1] + b',"%b":123456789012345678901234567890}' % field.encode()
        event = leased(payload("work", 0), odd, payload("work", 2))
        assert swallowed(lambda: make_worker().handle(event, Context())) is None
        assert not db.exists(LEASE)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    @pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
    def test_a_hook_that_asks_for_the_end_harms_nobody(self, make_worker, job, leased, db, monkeypatch, error):
        def hook(payload: Any, reason: BaseException) -> None:
            raise error

        monkeypatch.setattr(judge_module, "error_hooks", [hook])

        @job
        def work(n: int) -> None:
            if n == 0:
                raise ValueError

        answer = make_worker().handle(leased(*(payload("work", n) for n in range(3))), Context())
        assert answer["ran"] == 3
        assert list(places(db).values()) == [["retry"]]


def swallowed(run: Callable[[], Any]) -> Exception | None:
    try:
        run()
    except Exception as error:
        return error
    return None


class TestWithCare:
    def test_what_was_not_to_run_and_each_job_is_settled_before_the_next_one_starts(
        self, make_worker, job, leased, db
    ):
        left: list[int] = []

        @job
        def work(n: int) -> None:
            left.append(len([name for name in db.hkeys(LEASE) if name[:1].isdigit()]))

        event = leased(b'"no job"', *(payload("work", n) for n in range(3)), careful=True)
        answer = make_worker().handle(event, Context())
        assert (left, answer["status"], answer["ran"]) == ([3, 2, 1], "settled", 3)

    def test_the_claim_says_so(self, make_worker, job, leased, link):
        seen = []

        @job
        def work() -> None:
            held = link.run(STORE.lease("c:1"))
            seen.append((held.was_careful, held.request_id, held.ran_alone))

        make_worker().handle(leased(payload("work"), careful=True), Context(request_id="r1"))
        make_worker().handle(leased(payload("work")), Context(request_id="r2"))
        assert seen == [(True, "r1", True), (False, "r2", True)]


class TestGroupCommit:
    def test_outcomes_are_written_down_while_a_later_job_still_runs(self, make_worker, job, leased, db):
        left = []

        @job
        def work(n: int) -> None:
            if n == 2:
                began = time.monotonic()
                until(lambda: db.hlen(LEASE) == 4, 2)  # capsule, poller, claim, and this job
                left.append(time.monotonic() - began)

        make_worker().handle(leased(*(payload("work", n) for n in range(3))), Context())
        assert left[0] < watch_module.TICK_S + 0.25

    def test_a_hundred_short_jobs_cost_a_claim_and_one_settle(self, make_worker, job, leased, db):
        job(lambda_free, name="work")
        worker = make_worker()
        worker.handle(leased(payload("work"), lease="c:warm"), Context())
        event = leased(*(payload("work", n) for n in range(100)))
        db.config_resetstat()
        assert worker.handle(event, Context())["ran"] == 100
        assert db.info("commandstats")["cmdstat_evalsha"]["calls"] <= 3
        assert "cmdstat_eval" not in db.info("commandstats")


class TestThreads:
    def test_so_many_jobs_really_run_at_once(self, make_worker, job, leased):
        met = threading.Barrier(4)

        @job
        def work(n: int) -> None:
            met.wait(5)

        answer = make_worker().handle(leased(*(payload("work", n) for n in range(8)), threads=4), Context())
        assert answer == {**answer, "status": "settled", "ran": 8}

    def test_by_default_one_runs_after_the_other(self, make_worker, job, leased):
        running, most = 0, 0

        @job
        def work(n: int) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            time.sleep(0.002)
            running -= 1

        make_worker().handle(leased(*(payload("work", n) for n in range(8))), Context())
        assert most == 1

    def test_async_jobs_share_one_loop_that_is_kept_between_invocations(self, make_worker, job, leased):
        loops: list[int] = []
        met = asyncio.Event()

        @job
        async def work(together: int) -> None:
            loops.append(id(asyncio.get_running_loop()))
            if len(loops) == together:
                met.set()
            if together > 1:
                await asyncio.wait_for(met.wait(), 5)

        worker = make_worker()
        worker.handle(leased(payload("work", 1)), Context())
        event = leased(*(payload("work", 4, jid=f"j{n}") for n in range(3)), lease="c:2", threads=3)
        assert worker.handle(event, Context())["status"] == "settled"
        assert len(loops) == 4
        assert len(set(loops)) == 1

    def test_each_job_knows_itself(self, make_worker, job, leased):
        seen = {}

        @job
        def work(n: int) -> None:
            time.sleep(0.001)
            seen[n] = (current_job().jid, current_job().request_id)

        make_worker().handle(leased(*(payload("work", n) for n in range(20)), threads=5), Context(request_id="r9"))
        assert seen == {n: (f"work-{n}", "r9") for n in range(20)}


class TestTimeouts:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        quick(monkeypatch)

    def test_a_job_that_began_first_and_cannot_finish_is_stopped_before_the_end_and_charged(
        self, make_worker, job, leased, db, exits
    ):
        @job
        def work() -> None:
            spin()

        context = Context(0.5)
        answer = make_worker().handle(leased(payload("work")), context)
        assert time.time() < context.ends
        assert answer["status"] == "settled"
        (raw,) = db.zrange("retry", 0, -1)
        assert decode(raw)["error_class"] == "sidelamb.control.JobTimeout"
        assert decode(raw)["retry_count"] == 0
        assert exits == [1]

    def test_one_that_began_late_is_served_alone_next_uncharged(self, make_worker, job, leased, db):
        @job
        def work(seconds: float) -> None:
            spin(seconds)

        long = payload("work", 5)
        make_worker().handle(leased(payload("work", 0.1), long), Context(0.6))
        assert places(db) == {long: ["sidelamb:alone:default"]}
        assert (db.get("stat:processed"), db.get("stat:failed")) == (b"1", None)

    def test_a_declared_timeout_cancels_a_coroutine_and_the_sandbox_goes_on(
        self, make_worker, job, leased, db, exits
    ):
        cancelled = []

        @job(timeout=0.1)
        async def work() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(1)
                raise

        answer = make_worker().handle(leased(payload("work")), Context())
        assert (answer["status"], cancelled, exits) == ("settled", [1], [])
        (raw,) = db.zrange("retry", 0, -1)
        assert "timeout of 0.1 s" in decode(raw)["error_message"]

    def test_a_plain_job_over_its_timeout_is_settled_and_then_the_process_ends(self, make_worker, job, leased, db):
        at_exit = []

        @job(timeout=0.1)
        def work() -> None:
            time.sleep(0.4)  # C code: nothing can stop it

        worker = make_worker(exit_process=lambda code: at_exit.append((code, places(db))))
        worker.handle(leased(payload("work", jid="j")), Context())
        ((code, where),) = at_exit
        assert code == 1
        assert list(where.values()) == [["retry"]]

    def test_what_waited_behind_it_is_returned_before_the_process_ends(self, make_worker, job, leased, db):
        at_exit = []

        @job
        def work(n: int) -> None:
            time.sleep(0.4)

        worker = make_worker(exit_process=lambda code: at_exit.append(waiting(db)))
        rest = [payload("work", n) for n in (1, 2)]
        worker.handle(leased(payload("work", 0, timeout=0.1), *rest), Context())
        assert at_exit == [rest]

    def test_behind_a_slow_neighbour_the_rest_goes_back_in_order(self, make_worker, job, leased, db, monkeypatch):
        quick(monkeypatch, PATIENCE_S=0.1)
        rest = [payload("work", n) for n in range(1, 5)]

        @job
        def work(n: int) -> None:
            if n == 0:
                until(lambda: waiting(db) == rest, 3)

        answer = make_worker().handle(leased(payload("work", 0), *rest), Context())
        assert (answer["status"], answer["ran"]) == ("settled", 1)
        assert waiting(db) == rest

    def test_tasks_that_an_async_job_leaves_behind_do_not_live_on(self, make_worker, job, leased, exits):
        alive, kept = [], set()

        async def straggler() -> None:
            while True:
                alive.append(1)
                await asyncio.sleep(0.001)

        @job
        async def work() -> None:
            kept.add(asyncio.create_task(straggler()))
            await asyncio.sleep(0)

        make_worker().handle(leased(payload("work")), Context())
        assert all(task.cancelled() for task in kept)
        assert exits == []

    def test_a_task_that_will_not_end_ends_the_process(self, make_worker, job, leased, exits, monkeypatch):
        go, kept = threading.Event(), set()

        async def stubborn() -> None:
            while not go.is_set():
                try:
                    await asyncio.sleep(0.005)
                except asyncio.CancelledError:
                    continue

        @job
        async def work() -> None:
            kept.add(asyncio.create_task(stubborn()))
            await asyncio.sleep(0)

        make_worker().handle(leased(payload("work")), Context())
        assert exits == [1]
        go.set()
        until(lambda: all(task.done() for task in kept))

    @pytest.mark.parametrize("how", ["to_thread", "executor", "thread"])
    def test_a_thread_that_a_job_leaves_running_ends_the_process(
        self, how, make_worker, job, leased, exits, lines, monkeypatch
    ):
        quick(monkeypatch)
        go = threading.Event()

        @job(timeout=0.1)
        async def work() -> None:
            match how:
                case "to_thread":
                    await asyncio.to_thread(go.wait, 10)  # the timeout cancels the waiting, not the thread
                case "executor":
                    asyncio.get_running_loop().run_in_executor(None, go.wait, 10)
                case "thread":
                    threading.Thread(target=go.wait, args=(10,)).start()

        answer = make_worker().handle(leased(payload("work")), Context(5))
        go.set()
        assert (answer["status"], exits) == ("settled", [1])
        assert any("left threads running" in line["text"] for line in lines)

    @pytest.mark.parametrize("how", ["to_thread", "daemon", "soon over"])
    def test_a_thread_that_waits_for_work_or_ends_or_is_a_daemon_does_not(
        self, how, make_worker, job, leased, exits, monkeypatch
    ):
        go = threading.Event()

        @job
        async def work() -> None:
            match how:
                case "to_thread":
                    await asyncio.to_thread(time.sleep, 0.01)
                case "daemon":
                    threading.Thread(target=go.wait, args=(10,), daemon=True).start()
                case "soon over":
                    threading.Thread(target=time.sleep, args=(0.05,)).start()

        worker = make_worker()
        for lease in ("c:1", "c:2"):
            worker.handle(leased(payload("work"), lease=lease), Context())
        go.set()
        assert exits == []

    def test_a_thread_that_the_app_has_started_before_is_the_apps_own(self, make_worker, job, leased, exits):
        go = threading.Event()

        @job
        def work() -> None: ...

        worker = make_worker()
        apps_own = threading.Thread(target=go.wait, args=(10,))
        apps_own.start()
        worker.handle(leased(payload("work")), Context())
        go.set()
        apps_own.join()
        assert exits == []

    def test_a_coroutine_that_began_late_is_given_back_only_when_it_has_ended(self, make_worker, job, leased, db):
        """Or another worker runs it while it still cleans up."""
        seen = []

        @job
        async def work(seconds: float) -> None:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                await asyncio.sleep(0.04)
                seen.append(db.llen("sidelamb:alone:default"))
                raise

        make_worker().handle(leased(payload("work", 0.1), payload("work", 60)), Context(1.5))
        assert seen == [0]

    def test_a_job_that_will_not_stop_is_given_back_no_sooner_than_its_process_ends(
        self, make_worker, job, leased, db
    ):
        """Or another worker runs it beside this one."""
        go = threading.Event()
        gave_back: list[float] = []
        left: list[float] = []

        @job
        async def work(seconds: float) -> None:
            end = time.monotonic() + seconds
            while not go.is_set() and time.monotonic() < end:
                try:
                    await asyncio.sleep(0.005)
                except asyncio.CancelledError:
                    continue

        def watch() -> None:
            until(lambda: left or db.llen("sidelamb:alone:default"), 5)
            gave_back.append(time.monotonic())

        thread = threading.Thread(target=watch)
        thread.start()
        worker = make_worker(exit_process=lambda code: left.append(time.monotonic()))
        worker.handle(leased(payload("work", 0.1), payload("work", 60)), Context(0.6))
        thread.join(5)
        go.set()
        assert left
        assert left[0] - gave_back[0] < 0.2

    def test_in_a_short_invocation_too_a_job_that_will_not_stop_is_given_up_before_the_end(
        self, make_worker, job, leased
    ):
        """The real numbers divided by four: an invocation of 3 s."""

        @job
        def work() -> None:
            time.sleep(1.2)

        context = Context(0.75)
        make_worker().handle(leased(payload("work")), context)
        assert time.time() < context.ends

    def test_after_a_job_that_blocks_the_loop_there_is_time_left_to_settle(self, make_worker, job, leased):
        """The real numbers divided by four: an invocation of 15 s or more."""

        @job
        async def work() -> None:
            time.sleep(4)  # noqa: ASYNC251 - blocks the loop

        answer = make_worker().handle(leased(payload("work")), Context(3.75))
        assert answer["status"] == "settled"


class TestRedisGoesAway:
    def cut_after_first(self, job: Any, proxy: Proxy) -> list[int]:
        ran: list[int] = []

        @job
        def work(n: int, secret: str) -> None:
            ran.append(n)
            if n == 0:
                proxy.cut()
            if n == 1:
                time.sleep(0.3)  # time to notice

        return ran

    def test_no_more_jobs_are_started_and_the_answer_carries_outcomes_but_no_payloads(
        self, make_worker, job, leased, db, proxy: Proxy
    ):
        ran = self.cut_after_first(job, proxy)
        raws = [payload("work", n, "a secret") for n in range(6)]
        context = Context(1.3)
        answer = make_worker(proxy.url).handle(leased(*raws), context)
        assert time.time() < context.ends
        assert ran == [0, 1]
        assert answer["status"] == "unsettled"
        assert {f: o[0] for f, o in answer["outcomes"].items()} == {
            "0:default": "succeeded",
            "1:default": "succeeded",
            **{f"{n}:default": "returned" for n in range(2, 6)},
        }
        assert "secret" not in json.dumps(answer)
        assert db.hlen(LEASE) == 6 + 3

    def test_a_redis_that_is_back_in_time_gets_everything(self, make_worker, job, leased, db, proxy: Proxy):
        ran = self.cut_after_first(job, proxy)
        raws = [payload("work", n, "x") for n in range(6)]
        event = leased(*raws)
        threading.Timer(0.7, proxy.mend).start()
        answer = make_worker(proxy.url).handle(event, Context(6))
        assert (answer["status"], ran) == ("settled", [0, 1])
        assert waiting(db) == raws[2:]
        assert db.get("stat:processed") == b"2"
        assert not db.exists(LEASE)

    def test_outcomes_with_changes_travel_as_changes(self, make_worker, job, leased, proxy: Proxy):
        @job
        def work(secret: str) -> None:
            proxy.cut()
            raise ValueError("no")

        answer = make_worker(proxy.url).handle(leased(payload("work", "a secret")), Context(1.0))
        ((field, (outcome, _, changes, flags)),) = answer["outcomes"].items()
        assert (field, outcome, flags) == ("0:default", "retry", "fc")
        assert changes["error_message"] == "no"
        assert "secret" not in json.dumps(answer)

    def test_a_sandbox_that_must_end_but_has_outcomes_to_hand_over_ends_with_the_next_invocation(
        self, make_worker, job, leased, db, proxy: Proxy, monkeypatch
    ):
        quick(monkeypatch)

        @job(timeout=0.1)
        def work() -> None:
            proxy.cut()
            spin()

        exits: list[int] = []

        class Gone(BaseException):
            pass

        def leave(code: int) -> None:
            exits.append(code)
            raise Gone

        worker = make_worker(proxy.url, exit_process=leave)
        assert worker.handle(leased(payload("work")), Context(1.0))["status"] == "unsettled"
        assert exits == []
        proxy.mend()
        event = leased(payload("work", jid="next"), lease="c:2")
        with pytest.raises(Gone):
            worker.handle(event, Context())
        assert exits == [1]
        assert db.hexists("sidelamb:lease:c:2", "open")

    def test_a_connection_that_died_silently_is_replaced_while_the_jobs_run(
        self, make_worker, job, leased, db, proxy: Proxy, monkeypatch
    ):
        monkeypatch.setattr(
            worker_module, "REDIS_TIMEOUTS", {"socket_connect_timeout": 0.1, "socket_timeout": 0.1}
        )
        quick(monkeypatch)
        settled = []

        @job
        def work(n: int) -> None:
            if n == 0:
                proxy.freeze()
                return
            end = time.monotonic() + 1
            while not settled and time.monotonic() < end:
                settled.extend([1] if db.hlen(LEASE) == 4 else [])
                time.sleep(0.01)

        make_worker(proxy.url).handle(leased(payload("work", 0), payload("work", 1)), Context(2))
        assert settled

    def test_a_redis_that_answers_nothing_is_given_up_before_the_end(
        self, make_worker, job, leased, proxy: Proxy, monkeypatch
    ):
        """The real numbers divided by ten: replies 2 s, connections 1 s, an invocation of 10 s."""
        monkeypatch.setattr(
            worker_module, "REDIS_TIMEOUTS", {"socket_connect_timeout": 0.1, "socket_timeout": 0.2}
        )
        quick(monkeypatch)

        @job
        def work() -> None:
            spin(0.6)
            proxy.hush()

        context = Context(1.0)
        answer = make_worker(proxy.url).handle(leased(payload("work")), context)
        assert answer["status"] == "unsettled"
        assert time.time() < context.ends

    def test_a_redis_that_does_not_answer_the_claim_costs_no_more_than_the_invocation_has(
        self, make_worker, job, leased, proxy: Proxy
    ):
        ran: list[Any] = []
        job(ran_into(ran), name="work")
        event = leased(payload("work", 1))
        worker = make_worker(proxy.url)
        proxy.hush()
        context = Context(1.0)
        answer = worker.handle(event, context)
        assert time.time() < context.ends
        assert (answer["status"], ran) == ("refused", [])
        assert "the lease could not be claimed" in answer["reason"]


class TestDetached:
    def test_a_worker_without_redis_runs_its_job_and_hands_the_outcome_over(self, make_worker, job, leased, db):
        ran: list[Any] = []
        job(ran_into(ran), name="work")
        event = leased(payload("work", 1), detached=True)
        before = everything(db)
        answer = make_worker("").handle(event, Context())
        assert (answer["status"], answer["ran"], ran) == ("unsettled", 1, [(1,)])
        assert answer["outcomes"] == {"0:default": ["succeeded", 0.0, {}, "c"]}
        assert everything(db) == before

    def test_it_answers_at_once(self, make_worker, job, leased):
        job(lambda_free, name="work")
        event = leased(payload("work"), detached=True)
        began = time.monotonic()
        make_worker("").handle(event, Context())
        assert time.monotonic() - began < 0.5

    def test_it_refuses_what_starts_late(self, make_worker, job, leased):
        event = leased(payload("work"), detached=True, start_by=time.time() - 1)
        assert make_worker("").handle(event, Context())["status"] == "refused"

    def test_a_failure_is_handed_over_with_its_changes(self, make_worker, job, leased):
        @job
        def work() -> None:
            raise ValueError("no")

        answer = make_worker("").handle(leased(payload("work"), detached=True), Context())
        assert answer["outcomes"]["0:default"][2]["error_class"] == "ValueError"


class TestMiddleware:
    def test_layers_declared_by_the_apps_modules_run_around_every_job(self, make_worker, job, leased):
        trace: list[str] = []

        @server_middleware
        def outer(attempt: Any, call: Any) -> Any:
            trace.append(f"before {attempt.name}")
            result = call()
            trace.append(f"after {result}")
            return result

        @job
        def plain() -> int:
            trace.append("plain")
            return 1

        @job
        async def coroutine() -> int:
            trace.append("coroutine")
            return 2

        make_worker().handle(leased(payload("plain"), payload("coroutine")), Context())
        assert trace == ["before plain", "plain", "after 1", "before coroutine", "coroutine", "after 2"]

    @pytest.mark.filterwarnings("ignore:coroutine")
    def test_an_async_layer_is_refused_where_it_is_declared(self):
        with pytest.raises(ConfigError, match="async"):

            @server_middleware
            async def layer(attempt: Any, call: Any) -> Any:
                return call()
