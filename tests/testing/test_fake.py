"""`fake`, `inline` and what goes with them: tests of apps without Redis and without Lambda."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Client, Discard, configure, default_client, delay, settings
from sidelamb.errors import BadArgument, ConfigError, PayloadTooLarge, SidelambError
from sidelamb.testing import LambdaContext, fake, inline, lambda_event

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def send(job: Any) -> Any:
    @job(queue="mail")
    def send(user: int, items: Any = None, *, subject: str = "") -> None: ...

    return send


async def test_every_verb_is_recorded_and_no_redis_is_needed(send) -> None:
    with fake() as jobs:
        jid = send.enqueue(1, subject="hi")
        send.enqueue_in(60, 2)
        delay(send)(3)
        send.enqueue_many([(4,), {"user": 5}])
        send.using(queue="low").enqueue(6)
        default_client().push({"class": "Ruby::Job", "args": [7], "queue": "r"})
        Client("redis://127.0.0.1:1/0").enqueue("send", 8)
        await send.aenqueue(9)
        await send.aenqueue_many((n,) for n in (10, 11))
    assert [job.args or job.kwargs for job in jobs] == [
        [1], [2], [3], [4], {"user": 5}, [6], [7], [8], [9], [10], [11],
    ]  # fmt: skip
    assert jobs[0].jid == jid
    assert jobs[0].payload["retry"] is True
    jobs.assert_enqueued(send, 1, kwargs={"subject": "hi"}, queue="mail", times=1)
    jobs.assert_enqueued(send, 2, at=time.time() + 60)
    jobs.assert_enqueued(send, 2, at=dt.datetime.fromtimestamp(time.time() + 60, dt.UTC))
    jobs.assert_enqueued("Ruby::Job", 7)
    assert len(jobs.of(send)) == 10


def test_what_would_be_refused_is_refused(send) -> None:
    with fake() as jobs:
        with pytest.raises(BadArgument):
            send.enqueue(object())
        with pytest.raises(PayloadTooLarge):
            send.enqueue("x" * 300_000)
    jobs.assert_nothing_enqueued()


def test_arguments_are_compared_as_json_has_them(send) -> None:
    with fake() as jobs:
        send.enqueue(1, [1, 2])
    assert jobs[0].args == [1, [1, 2]]
    jobs.assert_enqueued(send, 1, (1, 2))
    jobs.assert_enqueued(send, ..., [1, 2])
    jobs.assert_enqueued(send)
    jobs.assert_not_enqueued(send, 2, ...)


def test_a_failed_assertion_shows_what_was_enqueued(send) -> None:
    with fake() as jobs:
        with pytest.raises(AssertionError, match=r"send\(1\) was not enqueued; nothing was enqueued at all"):
            jobs.assert_enqueued(send, 1)
        send.enqueue(12)
        with pytest.raises(AssertionError) as said:
            jobs.assert_enqueued(send, 13, queue="mail")
        assert str(said.value) == "send(13) queue='mail' was not enqueued. Enqueued were:\n  send(12) queue='mail'"
        with pytest.raises(AssertionError, match=r"2 times but 1"):
            jobs.assert_enqueued(send, 12, times=2)
        with pytest.raises(AssertionError, match="Did you mean 'send'"):
            jobs.assert_enqueued("sent")
        with pytest.raises(AssertionError, match=r"send\(12\) was enqueued"):
            jobs.assert_not_enqueued(send, 12)


def test_after_it_all_is_as_before(send, configured, db) -> None:
    before = settings.default_client()
    with fake(), inline() as inner:
        send.enqueue(1)
    assert len(inner) == 1
    assert settings.default_client() is before
    send.enqueue(2)
    assert db.llen("queue:mail") == 1
    settings.reset()
    with fake():
        send.enqueue(3)
    with pytest.raises(ConfigError, match="no Redis is set"):
        send.enqueue(4)


def test_client_middleware_sees_what_is_faked(send) -> None:
    configure(middleware=[lambda payload, call_next: None if payload["args"] == [1] else call_next(payload)])
    with fake() as jobs:
        assert send.enqueue(1) == ""
        send.enqueue(2)
    assert [job.args for job in jobs] == [[2]]


def test_inline_runs_each_job_where_it_is_enqueued_from_its_bytes(job) -> None:
    seen: list[Any] = []

    @job
    def child(pair: Any) -> None:
        seen.append((pair, threading.current_thread()))

    @job
    async def parent(pair: Any) -> None:
        child.enqueue_in(60, pair)

    with inline() as jobs:
        given = [1, 2]
        parent.enqueue(given)
    assert seen[0][0] == given
    assert seen[0][0] is not given
    assert [each.name for each in jobs] == ["parent", "child"]
    with inline():
        child.enqueue(3)
    assert seen[1] == (3, threading.current_thread())


async def test_inline_runs_async_jobs_in_async_tests(job) -> None:
    seen: list[int] = []

    @job
    async def works(n: int) -> None:
        seen.append(n)

    with inline():
        await works.aenqueue(1)
        works.enqueue(2)
    assert seen == [1, 2]


def test_inline_raises_what_a_job_raises_but_not_its_own_word(job) -> None:
    @job
    def breaks(error: str) -> None:
        raise Discard if error == "discard" else ValueError(error)

    with inline():
        breaks.enqueue("discard")
        with pytest.raises(ValueError, match="no"):
            breaks.enqueue("no")
        with pytest.raises(SidelambError, match=r"no job is named 'else\.where'"):
            default_client().enqueue("else.where")


def test_a_handler_can_be_called_as_lambda_calls_it(send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDELAMB_JOBS", "sidelamb")
    from sidelamb_handlers import coldstart, worker

    monkeypatch.setattr(worker, "_worker", coldstart.once(lambda: worker.Worker({"SIDELAMB_JOBS": "sidelamb"})))
    with fake() as jobs:
        send.enqueue(1)
        send.using(max_retries=0).enqueue(2, 3)
        default_client().push({"class": "send", "args": []})
    answer = worker.handler(lambda_event(*jobs), LambdaContext(seconds=30))
    assert answer["ran"] == 3
    assert [outcome[0] for outcome in answer["outcomes"].values()] == ["succeeded", "succeeded", "retry"]


@pytest.mark.parametrize(
    ("deed", "outcome"),
    [("succeed", "succeeded"), ("fail", "retry"), ("retry", "retry"), ("snooze", "snoozed"), ("bow", "retry"),
     ("discard", "discarded"), ("kill", "dead"), ("eat", "succeeded"), ("sleep", "succeeded"),
     ("return", "succeeded")],
)  # fmt: skip
def test_a_scripted_job_ends_as_it_is_told(deed: str, outcome: str, configured) -> None:
    from sidelamb import registry
    from sidelamb.testing import drain
    from sidelamb.testing.scripted import scripted

    registry.add(scripted)
    scripted.enqueue(deed, 0.01 if deed in {"sleep", "return"} else 60)
    (run,) = drain(raise_errors=False)
    assert run.outcome == outcome


def test_a_scripted_job_can_end_its_process() -> None:
    code = "from sidelamb.testing.scripted import scripted; scripted('exit', 7)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 7


def test_pytest_has_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text("""
from sidelamb import job
from sidelamb.testing import drain
seen = []
@job(name="note")
def note(n): seen.append(n)
def test_fake(sidelamb_fake):
    note.enqueue(1)
    sidelamb_fake.assert_enqueued(note, 1)
    assert seen == []
def test_inline(sidelamb_inline):
    note.enqueue(2)
    assert seen == [2]
def test_redis(sidelamb_redis):
    note.enqueue(3)
    drain()
    assert seen == [2, 3]
""")
    plugin = [] if _has_entry_point() else ["-p", "sidelamb.testing.plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *plugin, "."]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SIDELAMB_")}
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env=environ
    )
    assert "3 passed" in ended.stdout, ended.stdout


def _has_entry_point() -> bool:
    from importlib.metadata import entry_points

    return any(point.value == "sidelamb.testing.plugin" for point in entry_points(group="pytest11"))
