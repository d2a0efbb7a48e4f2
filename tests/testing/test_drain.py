"""`drain()`: what was enqueued runs here, by the real reserve, worker, settle and scheduler."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Client, Discard, Kill, Retry, Snooze, current_job, default_client
from sidelamb.api import DeadSet, Queue, RetrySet, ScheduledSet
from sidelamb.errors import ConfigError, RedisUnreachable, SidelambError
from sidelamb.testing import adrain, drain
from sidelamb.testing import draining as module

if TYPE_CHECKING:
    import redis

pytestmark = pytest.mark.usefixtures("configured")


@pytest.fixture
def seen() -> list[Any]:
    return []


def test_jobs_run_in_the_order_they_were_enqueued_and_so_do_those_that_they_enqueue(job, seen, db) -> None:
    @job
    def child(n: int) -> None:
        seen.append(("child", n))

    @job
    def parent(n: int) -> None:
        seen.append(("parent", n))
        child.enqueue(n)

    parent.enqueue(1)
    parent.enqueue(2)
    report = drain()
    assert seen == [("parent", 1), ("parent", 2), ("child", 1), ("child", 2)]
    assert (report.ran, report.succeeded, report.failed) == (4, 4, 0)
    assert [run.name for run in report] == ["parent", "parent", "child", "child"]
    assert db.get("stat:processed") == b"4"
    assert not db.keys("sidelamb:lease*")


def test_async_and_iterable_jobs_run_too_and_on_a_thread_of_the_worker(job, seen) -> None:
    @job
    async def waits() -> None:
        await asyncio.sleep(0)
        seen.append(threading.current_thread().name)

    @job
    def counts(*, cursor: int | None = None) -> Any:
        for n in range(cursor or 0, 3):
            seen.append(n)
            yield n + 1

    waits.enqueue()
    counts.enqueue()
    drain()
    assert seen == ["sidelamb-loop", 0, 1, 2]


def test_an_error_is_raised_as_it_is_when_all_has_run_and_the_job_waits_for_its_retry(job, seen) -> None:
    @job
    def breaks(n: int) -> None:
        raise ValueError(n)

    @job
    def works() -> None:
        seen.append("ran")

    jid = breaks.enqueue(1)
    breaks.enqueue(2)
    works.enqueue()
    with pytest.raises(ValueError, match="1") as raised:
        drain()
    assert seen == ["ran"]
    (note,) = raised.value.__notes__
    assert note.startswith(f"raised by the job breaks ({jid}), attempt 1, outcome retry, and 1 more runs failed; ")
    assert RetrySet().size() == 2


@pytest.mark.parametrize(
    ("word", "outcome"),
    [(Retry(in_=60), "retry"), (Snooze(60), "snoozed"), (Discard(), "discarded"), (Kill("no"), "dead")],
    ids=["retry", "snooze", "discard", "kill"],
)
def test_a_jobs_own_word_is_an_outcome_and_not_raised(job, word, outcome) -> None:
    @job
    def speaks() -> None:
        raise word

    speaks.enqueue()
    (run,) = drain()
    assert (run.outcome, run.error) == (outcome, word)
    counts = {"retry": RetrySet().size(), "snoozed": ScheduledSet().size(), "dead": DeadSet().size()}
    assert counts == {name: int(name == outcome) for name in counts}


def test_what_is_scheduled_waits_for_its_time(job, seen) -> None:
    @job
    def late(n: int) -> None:
        seen.append(n)

    late.enqueue_in(7200, 2)
    late.enqueue_in(60, 1)
    late.enqueue_at(dt.datetime(2100, 1, 1, tzinfo=dt.UTC), 3)
    assert drain().ran == 0
    assert drain(until=dt.timedelta(hours=1)).ran == 1
    assert drain(until=time.time() + 7300).ran == 1
    assert drain(scheduled=True).ran == 1
    assert seen == [1, 2, 3]


def test_the_whole_life_of_a_job_that_never_works_passes_by(job, seen) -> None:
    @job
    def never() -> None:
        seen.append(current_job().attempt)
        raise OSError

    never.enqueue()
    report = drain(scheduled=True, raise_errors=False)
    assert seen == list(range(1, 27))
    assert (report.failed, report.retried, report.dead) == (26, 25, 1)
    assert 15 * 86_400 < next(iter(DeadSet())).score - time.time() < 40 * 86_400


def test_only_the_named_queues_run_and_paused_ones_do_not(job, seen) -> None:
    @job
    def says(what: str) -> None:
        seen.append(what)

    says.using(queue="a").enqueue("a")
    says.using(queue="b").enqueue("b")
    says.using(queue="c").enqueue("c")
    Queue("c").pause()
    drain(queues=["b"])
    assert seen == ["b"]
    drain()
    assert seen == ["b", "a"]


def test_a_job_that_enqueues_itself_for_ever_is_told(job) -> None:
    @job
    def again() -> None:
        again.enqueue()

    again.enqueue()
    with pytest.raises(SidelambError, match=r"has run 6 jobs and goes no further; the last: again\(\) attempt 1"):
        drain(most=5)


def test_a_job_that_nobody_knows_fails_at_once(job) -> None:
    default_client().enqueue("no.such", 1)
    with pytest.raises(SidelambError, match=r"no job is named 'no\.such' here"):
        drain()
    assert RetrySet().size() == 1


def test_a_timeout_is_kept(job) -> None:
    @job(timeout=0.2)
    def sleeps() -> None:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            time.sleep(0.01)

    @job
    def works() -> None: ...

    sleeps.enqueue()
    works.enqueue()
    report = drain(raise_errors=False)
    assert [run.outcome for run in report] == ["retry", "succeeded"]
    assert "timeout of 0.2 s" in str(report.runs[0].error)


def test_a_client_of_its_own_has_its_own_namespace(job, seen, redis_url: str) -> None:
    @job
    def says(what: str) -> None:
        seen.append(what)

    other = Client(redis_url, namespace="{other}")
    other.enqueue("says", "there")
    assert drain().ran == 0
    assert drain(client=other).ran == 1
    assert seen == ["there"]


def test_what_cannot_be_promoted_does_not_keep_it_for_ever(job, db: redis.Redis) -> None:
    @job
    def late() -> None: ...

    late.enqueue_in(60)
    db.set("queue:default", "no list")
    assert drain(scheduled=True).ran == 0
    assert ScheduledSet().size() == 1


async def test_an_async_test_drains_without_holding_its_loop(job, seen) -> None:
    @job
    async def works() -> None:
        seen.append("ran")

    await works.aenqueue()
    assert (await adrain()).ran == 1
    assert seen == ["ran"]


def test_nothing_is_printed(job, capsys: pytest.CaptureFixture[str]) -> None:
    @job
    def breaks() -> None:
        raise ValueError

    breaks.enqueue()
    drain(raise_errors=False)
    assert capsys.readouterr() == ("", "")


def test_a_redis_that_is_away_is_an_error() -> None:
    with pytest.raises(RedisUnreachable):
        drain(client=Client("redis://127.0.0.1:1/0"))


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sidelamb_handlers.drain", None)

    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'aws_lambda_powertools'", name="aws_lambda_powertools")

    monkeypatch.setattr(module.importlib, "import_module", missing)
    with pytest.raises(ConfigError, match=r"pip install 'sidelamb\[aws\]'"):
        drain()


@pytest.mark.parametrize("module", ["worker", "scheduler"])
def test_a_function_is_made_at_import_in_lambda_and_later_elsewhere(module: str, monkeypatch: Any) -> None:
    """In Lambda a wrong setting ends the cold start, before any job is taken."""
    monkeypatch.setenv("SIDELAMB_REDIS_URL", "")
    command = [sys.executable, "-c", f"import sidelamb_handlers.{module}"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
    ended = subprocess.run(command, capture_output=True, timeout=60, text=True, check=False)
    assert "ConfigError: SIDELAMB_" in ended.stderr
