"""What a backend of `django.tasks` has to do, on a real Redis with real worker code.

The contract is that of Django's own tests for its backends (tests/tasks of Django 6.1), said anew. Run by
test_django.py in a process whose settings are those of `tests.django.settings`, with any Django that is installed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import logging
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections, transaction
from django.test import override_settings
from django.utils import timezone
from django.utils.module_loading import import_string

from sidelamb import BadArgument, cancel, default_client
from sidelamb import settings as our_settings
from sidelamb.api import DeadSet, Queue, RetrySet, ScheduledSet
from sidelamb.django import SidelambBackend, SidelambTask, conf, taskjob
from sidelamb.django import task as our_task
from sidelamb.django.compat import base, exceptions, framework, invalid_backend, invalid_task, signals
from sidelamb.payload import decode
from sidelamb.registry import registry
from sidelamb.testing import drain
from tests.django.shop import tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

Status = base.TaskResultStatus
default, retrying, committed = (framework.task_backends[alias] for alias in ("default", "retrying", "committed"))
TAKES_OPTIONS = django.VERSION >= (6, 1) or framework.__name__ == "django_tasks"
LOGGER = framework.__name__


@pytest.fixture(autouse=True)
def redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty Redis, which the environment names."""
    monkeypatch.setenv("SIDELAMB_REDIS_URL", redis_url)
    monkeypatch.setenv("SIDELAMB_JOBS", "sidelamb.django.worker")
    our_settings.reset()
    tasks.SEEN.clear()
    yield
    default_client().close()
    our_settings.reset()


@pytest.fixture
def heard() -> Iterator[list[tuple[str, str, str, list[str]]]]:
    """Signals, in order: name, status, id, errors."""
    seen: list[Any] = []
    receivers = []
    for name in ("task_enqueued", "task_started", "task_finished"):

        def hear(sender: type, task_result: Any, name: str = name, **_: Any) -> None:
            assert sender is SidelambBackend
            paths = [error.exception_class_path for error in task_result.errors]
            seen.append((name, str(task_result.status), task_result.id, paths))

        getattr(signals, name).connect(hear, weak=False)
        receivers.append((name, hear))
    yield seen
    for name, hear in receivers:
        getattr(signals, name).disconnect(hear)


def run(**options: Any) -> Any:
    return drain(raise_errors=False, **options)


def done(task: Any, *args: Any, **kwargs: Any) -> Any:
    """Enqueue, run, and return what is kept."""
    result = task.enqueue(*args, **kwargs)
    run()
    result.refresh()
    return result


def payload_of(result: Any) -> dict[str, Any]:
    raw = default_client().link.command("LINDEX", f"queue:{result.task.queue_name}", 0)
    return decode(raw)


# --- the task object ---------------------------------------------------------------------------------------------


def test_the_backend_is_what_the_settings_name():
    assert framework.default_task_backend == framework.task_backends["default"]
    assert isinstance(default, SidelambBackend)
    assert (default.alias, default.options, default.queues) == ("default", {}, {"default", "queue_1"})
    assert isinstance(tasks.nothing, SidelambTask)
    assert isinstance(tasks.bare, SidelambTask)
    assert isinstance(tasks.nothing_async, SidelambTask)


def test_what_it_supports_is_said_as_it_is():
    supports = ("supports_defer", "supports_async_task", "supports_get_result", "supports_priority")
    assert [getattr(default, name) for name in supports] == [True, True, True, False]


def test_an_enqueued_task_is_ready():
    result = tasks.nothing.enqueue(1, two=3)
    assert (result.status, result.is_finished, result.attempts) == (Status.READY, False, 0)
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (None, None, None)
    assert result.enqueued_at is not None
    assert (result.task, result.args, result.kwargs, result.errors) == (tasks.nothing, [1], {"two": 3}, [])
    assert (result.backend, len(result.id) < 64) == ("default", True)
    with pytest.raises(ValueError, match="has not finished yet"):
        _ = result.return_value


async def test_so_is_one_of_async_code():
    for task in (tasks.nothing, tasks.nothing_async):
        result = await task.aenqueue(1, two=3)
        assert (result.status, result.args, result.kwargs, result.task) == (Status.READY, [1], {"two": 3}, task)
        again = await task.aget_result(result.id)
        assert dataclasses.replace(again, enqueued_at=None) == dataclasses.replace(result, enqueued_at=None)


def test_an_id_is_the_jobs_id_and_the_name_is_the_path():
    result = tasks.nothing.enqueue()
    payload = payload_of(result)
    assert (payload["jid"], payload["class"]) == (result.id, "tests.django.shop.tasks.nothing")
    assert import_string(payload["class"]) is tasks.nothing
    assert payload["retry"] == 0


@pytest.mark.parametrize("wrong", [dt.datetime.now(), object(), {1, 2}])  # noqa: DTZ005
def test_arguments_that_django_does_not_take_are_a_type_error(wrong):
    with pytest.raises(TypeError, match="Unsupported type"):
        tasks.nothing.enqueue(wrong)
    assert Queue("default").size() == 0


async def test_so_they_are_in_async_code():
    with pytest.raises(TypeError, match="Unsupported type"):
        await tasks.nothing.aenqueue(dt.timedelta(1))


def test_a_tuple_and_a_choice_arrive_as_django_would_store_them():
    result = done(tasks.echo, {"sizes": (tasks.Size.SMALL, b"L"), "n": True})
    assert result.return_value == {"sizes": ["S", "L"], "n": True}
    assert type(result.args[0]["sizes"][0]) is str


@pytest.mark.parametrize("wrong", [{1: 2}, float("nan"), float("inf"), 2**70, "\ud800", [{"a": {2: 1}}]])
def test_arguments_that_json_would_change_are_refused(wrong):
    with pytest.raises(BadArgument, match=r"shop\.tasks\.echo"):
        tasks.echo.enqueue(wrong)


def test_arguments_that_the_function_does_not_take_fail_the_task():
    result = done(tasks.meaning_of_life, 1)
    assert (result.status, result.errors[0].exception_class) == (Status.FAILED, TypeError)


def test_using_makes_a_variant_and_leaves_the_task_alone():
    now = timezone.now()
    variant = tasks.nothing.using(queue_name="queue_1").using(run_after=now)
    assert (variant.queue_name, variant.run_after) == ("queue_1", now)
    assert (tasks.nothing.queue_name, tasks.nothing.run_after) == ("default", None)
    assert tasks.nothing.using() == tasks.nothing
    assert tasks.nothing.using() is not tasks.nothing
    assert registry.find(tasks.nothing.module_path).options.queue == "default"
    with pytest.raises(TypeError, match=r"'max_attempt'\. Did you mean 'max_attempts'"):
        tasks.nothing.using(max_attempt=3)


def test_a_priority_is_refused_in_djangos_words():
    with pytest.raises(invalid_task, match="Backend does not support setting priority of tasks"):
        tasks.nothing.using(priority=1)


def test_a_naive_time_is_refused():
    with pytest.raises(invalid_task, match="run_after must be an aware datetime"):
        tasks.nothing.using(run_after=dt.datetime.now())  # noqa: DTZ005


def test_an_unknown_queue_is_refused_unless_all_are_allowed():
    with pytest.raises(invalid_task, match="Queue 'queue-2' is not valid for backend"):
        tasks.nothing.using(queue_name="queue-2")
    assert tasks.nothing.using(queue_name="queue-2", backend="retrying").queue_name == "queue-2"


def test_a_function_that_no_worker_could_find_is_refused():
    for wrong in (any, lambda: None, test_using_makes_a_variant_and_leaves_the_task_alone.__get__(1)):
        with pytest.raises(invalid_task, match="must be defined at a module level"):
            base.task()(wrong)


def test_a_context_needs_a_place():
    with pytest.raises(invalid_task, match="does not have a first argument of 'context'"):
        base.task(takes_context=True)(tasks.plain)


async def test_a_task_can_be_called_here():
    assert await tasks.meaning_of_life.acall() == 42
    assert await tasks.meaning_async.acall() == 42


def test_a_task_can_be_called_here_plainly():
    assert (tasks.meaning_of_life.call(), tasks.meaning_async.call()) == (42, 42)


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django pickles tasks from 6.1 on")
def test_tasks_and_results_can_be_pickled():
    result = tasks.nothing.enqueue()
    assert pickle.loads(pickle.dumps(tasks.nothing)) == tasks.nothing
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize("how", ["enqueue", "aenqueue"])
def test_a_task_is_validated_again_when_it_is_enqueued(how):
    variant = tasks.nothing.using(queue_name="queue_1")
    changed = {"default": {"BACKEND": "sidelamb.django.SidelambBackend", "QUEUES": ["default"]}}
    with override_settings(TASKS=changed), pytest.raises(invalid_task, match="Queue 'queue_1' is not valid"):
        variant.enqueue() if how == "enqueue" else asyncio.run(variant.aenqueue())


def test_a_thread_has_a_backend_of_its_own_and_all_share_the_connections():
    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.append(framework.task_backends["default"]))
    thread.start()
    thread.join()
    assert made[0] is not default
    assert made[0].client is default.client


# --- results -----------------------------------------------------------------------------------------------------


def test_a_result_of_another_task_is_a_mismatch():
    result = tasks.nothing.enqueue()
    with pytest.raises(exceptions.TaskResultMismatch, match="Task does not match"):
        tasks.meaning_of_life.get_result(result.id)


async def test_so_it_is_in_async_code():
    result = await tasks.nothing.aenqueue()
    with pytest.raises(exceptions.TaskResultMismatch):
        await tasks.meaning_of_life.aget_result(result.id)


async def test_a_result_that_is_not_there_is_said_so():
    with pytest.raises(exceptions.TaskResultDoesNotExist, match="123"):
        default.get_result("123")
    with pytest.raises(exceptions.TaskResultDoesNotExist):
        await default.aget_result("123")


def test_a_result_is_refreshed():
    result = tasks.meaning_of_life.enqueue()
    assert run().succeeded == 1
    assert result.status == Status.READY
    result.refresh()
    assert (result.status, result.return_value) == (Status.SUCCESSFUL, 42)


async def test_a_result_is_refreshed_by_async_code():
    result = await tasks.meaning_async.aenqueue()
    await asyncio.to_thread(run)
    await result.arefresh()
    assert (result.status, result.return_value) == (Status.SUCCESSFUL, 42)


def test_a_result_has_the_variant_it_was_enqueued_as():
    when = timezone.now() + dt.timedelta(hours=1)
    result = tasks.nothing.using(queue_name="queue_1", run_after=when).enqueue()
    found = default.get_result(result.id)
    assert (found.task.queue_name, found.task.backend) == ("queue_1", "default")
    assert abs(found.task.run_after - when) < dt.timedelta(milliseconds=1)


def test_a_result_goes_after_its_time():
    result = done(tasks.nothing.using(backend="retrying"))
    link = default_client().link
    key = f"sidelamb:status:{result.id}"
    assert 55_000 < link.command("PTTL", key) <= 60_000
    waiting = tasks.nothing.using(run_after=timezone.now() + dt.timedelta(days=90)).enqueue()
    assert link.command("PTTL", f"sidelamb:status:{waiting.id}") > 100 * 86_400_000


def test_what_is_kept_may_not_name_what_was_not_declared_here():
    result = tasks.nothing.enqueue()
    said = json.dumps({"path": "os.system", "backend": "default", "queue": "default", "run_after": None})
    default_client().link.command("HSET", f"sidelamb:status:{result.id}", "task", said)
    with pytest.raises(exceptions.TaskResultDoesNotExist, match=r"os\.system is not declared"):
        default.get_result(result.id)
    said = said.replace("os.system", "tests.django.shop.tasks.no_task")
    default_client().link.command("HSET", f"sidelamb:status:{result.id}", "task", said)
    with pytest.raises(exceptions.TaskResultDoesNotExist):
        default.get_result(result.id)


def test_a_worker_runs_nothing_because_a_payload_names_it():
    default_client().push({"class": "tests.django.shop.tasks.no_task", "args": [1], "retry": 0})
    (ran,) = run()
    assert ran.outcome == "dead"
    assert "no job is named" in str(ran.error)


# --- runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [tasks.nothing, tasks.nothing_async])
def test_a_task_that_has_run_is_successful(task):
    result = done(task, 1, two=3)
    assert (result.status, result.is_finished, result.return_value) == (Status.SUCCESSFUL, True, None)
    assert result.enqueued_at <= result.started_at == result.last_attempted_at <= result.finished_at
    assert (result.task, result.args, result.kwargs, result.attempts) == (task, [1], {"two": 3}, 1)
    assert result.worker_ids[0].startswith("drain-")
    assert tasks.SEEN == [((1,), {"two": 3})]


@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        (tasks.fails, ValueError, "as it should"),
        (tasks.exits, SystemExit, "gone"),
        (tasks.interrupts, KeyboardInterrupt, "stop"),
    ],
)
def test_a_task_that_raises_is_failed(task, error, message, caplog):
    with caplog.at_level(logging.ERROR, logger=LOGGER):
        result = done(task)
    (record,) = [each for each in caplog.records if each.name == LOGGER]
    assert message in logging.Formatter().formatException(record.exc_info)
    assert (result.status, result.is_finished) == (Status.FAILED, True)
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.errors[0].exception_class is error
    assert result.errors[0].traceback.endswith(f"{error.__name__}: {message}\n")
    assert (result.task, result.args, result.kwargs) == (task, [], {})
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value
    assert DeadSet().size() == 1


def test_an_error_may_hold_anything():
    result = done(tasks.complex_error)
    assert (result.status, result.errors[0].exception_class) == (Status.FAILED, ValueError)
    assert 'ValueError(ValueError("inner"))' in result.errors[0].traceback


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (tasks.complex_value, "Unsupported type"),
        (tasks.returns_nan, "return value"),
    ],
)
def test_what_a_task_may_not_return_fails_it(task, words):
    result = done(task)
    assert (result.status, result._return_value) == (Status.FAILED, None)
    assert result.errors[0].exception_class is TypeError
    assert words in result.errors[0].traceback


def test_a_task_may_not_return_more_than_is_kept():
    result = done(tasks.returns_much)
    assert (result.status, result.errors[0].exception_class.__name__) == (Status.FAILED, "PayloadTooLarge")


def test_the_log_tells_of_each_step(caplog):
    with caplog.at_level(logging.DEBUG, logger=LOGGER):
        result = done(tasks.nothing)
    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert [result.id in line for line in lines] == [True] * 3
    for line, word in zip(lines, ("enqueued", "state=RUNNING", "state=SUCCESSFUL"), strict=True):
        assert word in line
        assert "None" not in line


def test_signals_come_in_djangos_order(heard):
    result = done(tasks.fails)
    path = "builtins.ValueError"
    assert heard == [
        ("task_enqueued", "READY", result.id, []),
        ("task_started", "RUNNING", result.id, []),
        ("task_finished", "FAILED", result.id, [path]),
    ]


async def test_signals_of_async_code_come_too(heard):
    result = await tasks.meaning_async.aenqueue()
    await asyncio.to_thread(run)
    assert [(name, status) for name, status, *_ in heard] == [
        ("task_enqueued", "READY"),
        ("task_started", "RUNNING"),
        ("task_finished", "SUCCESSFUL"),
    ]
    assert {jid for _, _, jid, _ in heard} == {result.id}


def test_a_task_knows_itself():
    result = done(tasks.own_id)
    assert result.return_value == result.id
    assert done(tasks.attempt_async).return_value == 1


def test_a_running_task_is_running(heard):
    seen = []

    def look(task_result, **_):
        seen.append(default.get_result(task_result.id))

    signals.task_started.connect(look)
    try:
        done(tasks.nothing)
    finally:
        signals.task_started.disconnect(look)
    (found,) = seen
    assert (found.status, found.finished_at, found.attempts) == (Status.RUNNING, None, 1)


def test_an_error_that_names_no_exception_is_said_so():
    result = done(tasks.fails)
    object.__setattr__(result.errors[0], "exception_class_path", "subprocess.run")
    with pytest.raises(ValueError, match=r"'subprocess\.run' does not reference a valid exception"):
        _ = result.errors[0].exception_class
    object.__setattr__(result.errors[0], "exception_class_path", "does.not.exist")
    with pytest.raises(ImportError):
        _ = result.errors[0].exception_class


# --- what is ours ------------------------------------------------------------------------------------------------


def test_a_task_is_put_off_until_its_time():
    result = tasks.meaning_of_life.using(run_after=timezone.now() + dt.timedelta(hours=1)).enqueue()
    assert (len(run()), ScheduledSet().size(), default.get_result(result.id).status) == (0, 1, Status.READY)
    run(until=dt.timedelta(hours=2))
    result.refresh()
    assert result.return_value == 42


def test_a_run_after_may_be_a_duration():
    result = tasks.nothing.using(run_after=dt.timedelta(minutes=5)).enqueue()
    left = result.task.run_after - timezone.now()
    assert dt.timedelta(minutes=4) < left <= dt.timedelta(minutes=5)
    assert ScheduledSet().size() == 1


def test_a_time_without_zones_is_the_projects():
    with override_settings(USE_TZ=False):
        tasks.nothing.using(run_after=dt.datetime.now() + dt.timedelta(hours=1)).enqueue()  # noqa: DTZ005
        (entry,) = ScheduledSet()
        result = default.get_result(entry.jid)
        assert result.enqueued_at.tzinfo is None
    assert 3_500 < entry.at.timestamp() - timezone.now().timestamp() < 3_700


def test_a_retry_leaves_it_ready_with_the_error(heard):
    result = tasks.second_time_lucky.using(backend="retrying").enqueue()
    run()
    result.refresh()
    assert (result.status, result.finished_at, result.attempts, len(result.errors)) == (Status.READY, None, 1, 1)
    assert [name for name, *_ in heard] == ["task_enqueued", "task_started"]
    run(scheduled=True)
    result.refresh()
    assert (result.status, result.return_value, result.attempts, len(result.errors)) == (
        Status.SUCCESSFUL,
        1,
        2,
        1,
    )
    assert result.started_at < result.last_attempted_at
    assert heard[-1][:2] == ("task_finished", "SUCCESSFUL")
    assert heard[-1][3] == ["builtins.RuntimeError"]


def test_its_last_failure_is_the_end(heard):
    result = tasks.fails.using(backend="retrying").enqueue()
    run(scheduled=True)
    result.refresh()
    assert (result.status, result.attempts, len(result.errors), len(set(result.worker_ids))) == (
        Status.FAILED,
        3,
        3,
        3,
    )
    assert [name for name, *_ in heard].count("task_finished") == 1
    assert len(heard[-1][3]) == 3


def test_a_person_may_run_a_dead_task_again():
    result = done(tasks.says.using(max_attempts=1), "kill")
    assert (result.status, result.errors[0].exception_class.__name__) == (Status.FAILED, "Kill")
    DeadSet().retry_all()
    run()
    result.refresh()
    assert (result.status, result.attempts) == (Status.SUCCESSFUL, 1)  # Sidekiq counts that run anew


@pytest.mark.parametrize(
    ("word", "status"), [("discard", Status.FAILED), ("retry", Status.FAILED), ("snooze", Status.READY)]
)
def test_a_task_may_speak_its_own_outcome(word, status, heard):
    result = done(tasks.says, word)
    assert result.status == status
    finished = [said for name, said, *_ in heard if name == "task_finished"]
    assert finished == ([] if word == "snooze" else ["FAILED"])
    assert len(result.errors) == len(finished)


def test_a_cancelled_task_has_failed_and_so_has_a_deleted_one():
    first, second = tasks.nothing.enqueue(), tasks.nothing.using(queue_name="queue_1").enqueue()
    cancel(first.id)
    for each in list(Queue("queue_1")):
        Queue("queue_1").delete(each)
    run()
    for result in (first, second):
        result.refresh()
        assert (result.status, result.errors[0].exception_class.__name__) == (Status.FAILED, "Discard")
    assert tasks.SEEN == []


def test_options_of_a_task_reach_the_job():
    result = tasks.with_options.enqueue(7)
    payload = payload_of(result)
    assert (payload["retry"], payload["timeout"], payload["unique_for"]) == (2, 30, 600.0)
    assert tasks.with_options.enqueue(7).id == result.id
    assert Queue("default").size() == 1
    run()
    assert tasks.with_options.enqueue(7).id != result.id


def test_a_task_that_is_enqueued_by_its_name_is_a_task_too(heard):
    jid = default_client().enqueue("tests.django.shop.tasks.own_id", queue="queue_1")
    run()
    result = default.get_result(jid)
    assert (result.return_value, result.task.queue_name) == (jid, "queue_1")
    assert [name for name, *_ in heard] == ["task_started", "task_finished"]
    foreign = default_client().push({"class": "tests.django.shop.tasks.own_id", "args": []})  # by another language
    assert run().succeeded == 1
    with pytest.raises(exceptions.TaskResultDoesNotExist):
        default.get_result(foreign)


def test_a_queue_that_the_settings_lost_is_no_reason_to_fail_a_task():
    result = tasks.own_id.using(queue_name="queue_1").enqueue()
    with override_settings(TASKS={"default": {"BACKEND": "sidelamb.django.SidelambBackend"}}):
        run()
        assert framework.task_backends["default"].get_result(result.id).return_value == result.id


def test_enqueueing_is_one_round_trip_and_so_is_a_result(monkeypatch):
    result = tasks.nothing.enqueue()  # loads the script
    trips = []
    link = type(default_client().link)
    exchange = link._exchange
    monkeypatch.setattr(link, "_exchange", lambda self, *args: (trips.append(1), exchange(self, *args))[1])
    tasks.with_options.enqueue(1)
    assert len(trips) == 1
    result.refresh()
    assert len(trips) == 2


def test_the_backoff_says_when():
    tasks.with_options.enqueue(-1)
    run()
    (entry,) = RetrySet()
    assert 95 < entry.at.timestamp() - timezone.now().timestamp() <= 100


def test_options_may_be_changed_for_a_call():
    variant = tasks.nothing.using(max_attempts=26, timeout=dt.timedelta(seconds=9))
    payload = payload_of(variant.enqueue())
    assert (payload["retry"], payload["timeout"]) == (True, 9)


@pytest.mark.skipif(not TAKES_OPTIONS, reason="Django's own decorator takes options from 6.1 on")
def test_djangos_own_decorator_takes_the_options():
    made = base.task(max_attempts=4, queue_name="queue_1")(tasks.plain)
    assert (made.max_attempts, made.queue_name, made.timeout) == (4, "queue_1", None)
    with pytest.raises(TypeError):
        base.task(max_attempt=4)(tasks.plain)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"max_attempts": "3"}, "whole number from 1"),
        ({"timeout": 901}, "timeout is 901"),
        ({"backoff": 3}, "backoff is 3"),
        ({"unique_for": "x"}, "unique_for is 'x'"),
    ],
)
def test_options_that_cannot_be_are_said_so(options, words):
    with pytest.raises(invalid_task, match=words):
        our_task(**options)(tasks.plain)


def test_a_task_beyond_its_time_is_failed_once(heard):
    result = done(tasks.sleeps, 3)
    assert (result.status, result.errors[0].exception_class.__name__) == (Status.FAILED, "JobTimeout")
    assert [name for name, *_ in heard].count("task_finished") == 1


def test_a_task_declared_for_another_backend_is_run_when_it_is_sent_here():
    assert declared() is not None
    result = done(tasks.declared_elsewhere.using(backend="default"))
    assert result.return_value == "and run here"
    assert result.task.backend == "default"


def declared() -> Any:
    import sidelamb.django.worker  # noqa: F401 - what a worker imports

    return taskjob.find("tests.django.shop.tasks.declared_elsewhere")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"MAX_ATTEMPT": 3}, r"no 'MAX_ATTEMPT', only .*Did you mean 'MAX_ATTEMPTS'"),
        ({"MAX_ATTEMPTS": 0}, "MAX_ATTEMPTS is 0"),
        ({"RESULT_TTL": "x"}, "RESULT_TTL is 'x'"),
        ({"ON_COMMIT": 3}, "ON_COMMIT is 3"),
    ],
)
def test_options_of_a_backend_that_cannot_be_are_said_so(options, words):
    with pytest.raises(invalid_backend, match=words):
        SidelambBackend("default", {"OPTIONS": options})


def test_the_system_check_finds_what_is_wrong(monkeypatch):
    assert list(default.check()) == []
    wrong = SidelambBackend("default", {"QUEUES": ["a b"]})
    assert [each.id for each in wrong.check()] == ["sidelamb.E001"]
    monkeypatch.delenv("SIDELAMB_REDIS_URL")
    our_settings.reset()
    assert [each.id for each in default.check()] == ["sidelamb.W001"]
    monkeypatch.setenv("SIDELAMB_REDIS_URL", "redis://127.0.0.1:1")


# --- transactions and connections --------------------------------------------------------------------------------


def test_without_on_commit_it_does_not_wait():
    with suppress(RuntimeError), transaction.atomic():
        tasks.nothing.enqueue()
        raise RuntimeError
    assert Queue("default").size() == 1


def test_on_commit_waits_for_the_commit_with_its_id_known(heard):
    with transaction.atomic():
        result = tasks.nothing.using(backend="committed").enqueue()
        assert (len(result.id), result.enqueued_at, Queue("default").size(), heard) == (24, None, 0, [])
    assert result.enqueued_at is not None
    assert [name for name, *_ in heard] == ["task_enqueued"]
    assert committed.get_result(result.id).status == Status.READY


def test_what_was_rolled_back_is_not_enqueued():
    later = tasks.echo.using(backend="committed")
    with transaction.atomic():
        later.enqueue("outer")
        with suppress(RuntimeError), transaction.atomic():
            later.enqueue("inner")
            raise RuntimeError
        with transaction.atomic():
            later.enqueue("kept")
    assert sorted(record.args[0] for record in Queue("default")) == ["kept", "outer"]
    with suppress(RuntimeError), transaction.atomic():
        later.enqueue("gone")
        raise RuntimeError
    assert Queue("default").size() == 2


def test_another_databases_transaction_is_none_of_its():
    with transaction.atomic(using="other"):
        tasks.nothing.using(backend="committed").enqueue()
        assert Queue("default").size() == 1


def test_its_errors_come_where_the_call_stands():
    with transaction.atomic(), pytest.raises(BadArgument):
        tasks.nothing.using(backend="committed").enqueue(float("nan"))


async def test_async_code_outside_of_transactions_enqueues_at_once(heard):
    await tasks.nothing.using(backend="committed").aenqueue()
    assert Queue("default").size() == 1
    assert [name for name, *_ in heard] == ["task_enqueued"]


@pytest.fixture
def persistent():
    """Connections that would outlive a request."""
    for each in connections.all():
        each.close()
    connections.settings["default"]["CONN_MAX_AGE"] = None
    yield
    connections.settings["default"]["CONN_MAX_AGE"] = 0


@pytest.mark.parametrize("name", ["queries", "queries_async", "count_orders"])
def test_a_job_leaves_no_connection_open(name, persistent, monkeypatch):
    closed = []
    close = type(connections["default"])._close
    monkeypatch.setattr(type(connections["default"]), "_close", lambda self: (closed.append(self), close(self)))
    if name == "count_orders":
        from tests.django.shop.jobs import count_orders

        count_orders.enqueue()
    else:
        getattr(tasks, name).enqueue()
    assert run().succeeded == 1
    assert closed
    assert all(each.connection is None for each in closed)


# --- the project -------------------------------------------------------------------------------------------------


def test_a_worker_finds_the_jobs_and_tasks_of_installed_apps(redis_url):
    code = "import sidelamb.django.worker; from sidelamb import registry; print(*registry.names())"
    environ = {"DJANGO_SETTINGS_MODULE": "tests.django.settings", "PYTHONPATH": ":".join(sys.path)}
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert {"tests.django.shop.jobs.count_orders", "tests.django.shop.tasks.declared_elsewhere"} <= set(said)


def test_settings_configure_the_process(monkeypatch):
    monkeypatch.delenv("SIDELAMB_REDIS_URL")
    with override_settings(SIDELAMB={"redis": "redis://127.0.0.1:6/0", "namespace": "{shop}"}):
        conf.apply()
        assert default_client().store.keys.namespace == "{shop}"
        assert conf.environ()["SIDELAMB_REDIS_URL"] == "redis://127.0.0.1:6/0"
        monkeypatch.setenv("SIDELAMB_REDIS_URL", "redis://127.0.0.1:7/0")
        our_settings.reset()
        conf.apply()
        assert "127.0.0.1:7" in default_client().link.address
    with override_settings(SIDELAMB={"reddis": 1}), pytest.raises(ImproperlyConfigured, match="mean 'redis'"):
        conf.apply()
    with (
        override_settings(SIDELAMB={"namespace": "a b"}),
        pytest.raises(ImproperlyConfigured, match="white space"),
    ):
        conf.apply()


def test_manage_py_enqueues_shows_and_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call_command("sidelamb", "enqueue", "shop.tasks.nothing", "7")
    assert len(capsys.readouterr().out.strip()) == 24
    assert Queue("default").size() == 1
    call_command("sidelamb", "status", "--json")
    assert json.loads(capsys.readouterr().out)["queues"][0]["size"] == 1
    call_command("sidelamb", "run", "tests.django.shop.jobs.count_orders")
    call_command("sidelamb", "run", "shop.tasks.own_id")
    assert "1" in capsys.readouterr().out
    with pytest.raises(CommandError, match="ended with status 2"):
        call_command("sidelamb", "enqueue", "shop.tasks.nothink")
    assert "did you mean" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["dev", "--help"], ["poller", "--help"], ["status", "--help"]])
def test_manage_py_knows_every_command(words, redis_url):
    code = "import sys; from django.core.management import execute_from_command_line as run; run(sys.argv)"
    environ = {"DJANGO_SETTINGS_MODULE": "tests.django.settings", "PYTHONPATH": ":".join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", code, "sidelamb", *words],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert "sidelamb" in ended.stdout
