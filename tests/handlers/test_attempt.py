"""One attempt at one job, from the meaning of its bytes to its outcome."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import zlib
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import Discard, JobTimeout, Kill, Retry, SidelambError, Snooze, current_job
from sidelamb.carry import carrying
from sidelamb_handlers.attempt import Attempt, Runner
from sidelamb_handlers.decision import SUCCEEDED, Decision, Outcome
from sidelamb_handlers.judge import UNKNOWN_AGAIN_S
from tests.handlers.kit import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.registry import Registry
    from sidelamb_handlers.eventloop import KeptLoop


@pytest.fixture
def make_runner(jobs: Registry, kept: KeptLoop) -> Callable[..., Runner]:
    def build(*middleware: Any, clock: Callable[[], float] = lambda: NOW) -> Runner:
        return Runner(jobs, kept.run, middleware, clock=clock, random=lambda: 0.0)

    return build


@pytest.fixture
def runner(make_runner: Callable[..., Runner]) -> Runner:
    return make_runner()


def of(payload: Any, queue: str = "mail") -> Attempt:
    return Attempt(f"0:{queue}", queue, payload, "request-1", "c:1")


def call(name: str, *args: Any, **fields: Any) -> Attempt:
    return of({"class": name, "args": list(args), "jid": "j1", **fields})


def run(runner: Runner, a: Attempt) -> Decision:
    assert runner.decode(a) is None
    return runner.attempt(a)


def test_an_attempt_is_itself_alone():
    one, other = call("work"), call("work")
    attempts = [one, other]
    attempts.remove(other)
    assert attempts[0] is one


class TestDecode:
    @pytest.mark.parametrize(
        "payload",
        [None, 5, "work", [], [1], True, {}, {"args": []}, {"class": None}, {"class": 5}, {"class": ["a"]}],
    )
    def test_what_is_no_job_goes_to_dead_as_it_is_and_counts_as_nothing(self, runner, payload):
        decision = runner.decode(of(payload))()
        assert (decision.outcome, decision.at) == (Outcome.DEAD, NOW)
        assert (decision.failed, decision.counted) == (False, False)
        assert dict(decision.changes) == ({"queue": "mail"} if isinstance(payload, dict) else {})
        assert decision.reason.startswith("not a job: no")

    @pytest.mark.parametrize("args", [None, {}, "x", 5, True])
    def test_args_that_are_no_list_go_to_dead_with_the_reason(self, runner, job, args):
        job(lambda_free)
        decision = runner.decode(of({"class": "lambda_free", "args": args}))()
        assert (decision.outcome, decision.failed, decision.counted) == (Outcome.DEAD, True, True)
        assert decision.changes["error_class"] == "Malformed"
        assert decision.changes["error_message"] == "args must be a list and kwargs an object; not run"
        assert decision.changes["failed_at"] == NOW

    @pytest.mark.parametrize("kwargs", [None, [], "x", 5])
    def test_kwargs_that_are_no_object_go_to_dead_with_the_reason(self, runner, job, kwargs):
        job(lambda_free)
        decision = runner.decode(of({"class": "lambda_free", "args": [], "kwargs": kwargs}))()
        assert (decision.outcome, decision.changes["error_class"]) == (Outcome.DEAD, "Malformed")

    def test_args_and_kwargs_may_be_missing(self, runner, job):
        seen = []

        @job
        def work(*args: Any, **kwargs: Any) -> None:
            seen.append((args, kwargs))

        assert run(runner, of({"class": "work"})) == SUCCEEDED
        assert seen == [((), {})]

    @pytest.mark.parametrize("payload", [{"class": "work", "args": 5}, {"args": []}])
    def test_what_goes_to_dead_names_its_queue_for_the_web_page(self, runner, job, payload):
        job(work)
        assert runner.decode(of(payload))().changes["queue"] == "mail"

    def test_a_former_name_is_found(self, runner, job):
        ran = []

        @job(aliases=["app.old"])
        def new() -> None:
            ran.append(1)

        assert run(runner, call("app.old")) == SUCCEEDED
        assert ran == [1]

    @pytest.mark.parametrize(
        ("in_payload", "timeout"),
        [(7, 7.0), (0.5, 0.5), (None, 30.0), (True, 30.0), ("9", 30.0), (0, 30.0), ([], 30.0)],
    )
    def test_a_timeout_in_the_payload_stands_above_the_declared_one(self, runner, job, in_payload, timeout):
        job(work, timeout=30)
        a = call("work", timeout=in_payload)
        runner.decode(a)
        assert a.timeout_s == timeout

    def test_a_negative_timeout_in_the_payload_is_none(self, runner, job):
        job(work, timeout=30)
        a = call("work", timeout=-1)
        runner.decode(a)
        assert a.timeout_s == 30.0

    def test_a_job_without_a_timeout_has_none(self, runner, job):
        job(work)
        a = call("work")
        runner.decode(a)
        assert a.timeout_s is None


def lambda_free() -> None:
    """Never run."""


def work(*args: Any) -> None:
    """Succeeds."""


class TestUnknown:
    def test_a_name_nobody_knows_is_put_off_uncounted(self, runner):
        decision = runner.decode(call("app.mail.send"))()
        assert (decision.outcome, decision.at) == (Outcome.SNOOZED, NOW + UNKNOWN_AGAIN_S)
        assert (decision.counted, decision.failed) == (False, False)
        assert decision.changes == {"queue": "mail", "unknown_since": NOW}

    def test_the_time_since_it_is_unknown_is_kept(self, runner):
        decision = runner.decode(call("x", unknown_since=NOW - 100))()
        assert decision.changes == {"queue": "mail", "unknown_since": NOW - 100}

    def test_after_an_hour_it_fails_with_the_modules_and_the_nearest_name(self, runner, jobs, job):
        jobs.load(["json"])
        job(work, name="app.mail.send")
        decision = runner.decode(call("app.mail.sent", unknown_since=NOW - 3_600))()
        assert (decision.outcome, decision.failed) == (Outcome.RETRY, True)
        assert decision.changes["error_class"].endswith("UnknownJob")
        assert decision.changes["error_message"] == (
            "no job is named 'app.mail.sent' here (modules loaded: json). Did you mean 'app.mail.send'?"
        )

    def test_without_a_name_like_it_none_is_offered(self, runner):
        decision = runner.decode(call("zzz", unknown_since=1))()
        assert decision.changes["error_message"] == "no job is named 'zzz' here (modules loaded: none)."

    def test_its_retries_are_its_own(self, runner):
        decision = runner.decode(call("x", unknown_since=1, retry=1, retry_count=0))()
        assert decision.outcome is Outcome.DEAD

    @pytest.mark.parametrize("dead", [{}, {"dead": False}])
    @pytest.mark.parametrize(
        "retry", [{"retry": False}, {"retry": 0}, {"retry_for": 1, "failed_at": 1.5, "retry_count": 0}]
    )
    def test_one_that_will_not_be_retried_is_kept_for_a_person_whatever_it_asked_for(self, runner, retry, dead):
        assert runner.decode(call("x", unknown_since=1, **retry, **dead))().outcome is Outcome.DEAD

    @pytest.mark.parametrize("odd", [None, "yesterday", True, [], NOW + 1e9])
    def test_a_time_that_is_none_begins_now(self, runner, odd):
        assert runner.decode(call("x", unknown_since=odd))().changes["unknown_since"] == NOW

    def test_one_that_names_no_queue_comes_back_to_where_it_came_from(self, runner):
        assert runner.decode(call("x"))().changes["queue"] == "mail"


class TestPerform:
    def test_a_plain_function_gets_its_arguments(self, runner, job):
        seen = []

        @job
        def work(a: int, b: str, *, c: bool = False) -> None:
            seen.append((a, b, c))

        assert run(runner, call("work", 1, "x", kwargs={"c": True})) == SUCCEEDED
        assert seen == [(1, "x", True)]

    def test_an_async_function_is_run_to_its_end(self, runner, job):
        seen = []

        @job
        async def work(a: int, *, b: int) -> None:
            await asyncio.sleep(0)
            seen.append((a, b))

        assert run(runner, call("work", 1, kwargs={"b": 2})) == SUCCEEDED
        assert seen == [(1, 2)]

    def test_big_integers_arrive_to_the_last_digit(self, runner, job):
        seen = []
        job(_appender(seen))
        run(runner, of(json.loads('{"class":"appended","args":[123456789012345678901234567890]}')))
        assert seen == [123456789012345678901234567890]

    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {}), ((1,), {"b": 2}), ((), {"b": 1})])
    def test_the_wrong_arguments_are_a_failure(self, runner, job, is_async, args, kwargs):
        def plain(a: int) -> None: ...
        async def coroutine(a: int) -> None: ...

        job(coroutine if is_async else plain, name="work")
        decision = run(runner, call("work", *args, kwargs=kwargs))
        assert decision.outcome is Outcome.RETRY
        assert decision.changes["error_class"] == "TypeError"

    def test_it_has_a_beginning_and_an_end(self, make_runner, job):
        ticks = iter([NOW, NOW + 2.5])
        job(work)
        a = call("work")
        run(make_runner(clock=lambda: next(ticks)), a)
        assert (a.started_at, a.ended_at, a.error) == (NOW, NOW + 2.5, None)

    @pytest.mark.filterwarnings("ignore:coroutine")
    def test_a_coroutine_behind_a_decorator_is_run_too(self, runner, job):
        ran = []

        async def inner() -> None:
            ran.append(1)

        @job
        def work() -> Any:
            return inner()

        assert run(runner, call("work")) == SUCCEEDED
        assert ran == [1]


def _appender(seen: list[Any]) -> Callable[..., None]:
    def appended(value: Any) -> None:
        seen.append(value)

    return appended


class AppError(Exception):
    """An app's own."""


class TestDecide:
    def outcome(self, runner: Runner, job: Any, error: BaseException, *, is_async: bool = False, **fields: Any):
        def plain() -> None:
            raise error

        async def coroutine() -> None:
            raise error

        job(coroutine if is_async else plain, name="work")
        return run(runner, call("work", **fields))

    @pytest.mark.parametrize("is_async", [False, True])
    def test_an_exception_is_a_failure_with_its_class_and_message(self, runner, job, is_async):
        decision = self.outcome(runner, job, AppError("no"), is_async=is_async)
        assert (decision.outcome, decision.failed, decision.at) == (Outcome.RETRY, True, NOW + 15)
        assert decision.changes["error_class"] == f"{__name__}.AppError"
        assert decision.changes["error_message"] == "no"
        assert decision.changes["queue"] == "mail"

    def test_it_is_remembered_with_the_time_it_took(self, make_runner, job):
        now = iter([NOW, NOW + 1.25, NOW + 2])
        runner = make_runner(clock=lambda: next(now, NOW + 2))
        decision = self.outcome(runner, job, KeyError("x"), retry_count=3, failed_at=NOW - 60)
        ((attempt, ended, ms, name),) = decision.changes["failures"]
        assert (attempt, ended, name) == (5, NOW + 2, "KeyError")
        assert ms in {1_250, 2_000}

    def test_a_builtin_exception_is_named_without_its_module(self, runner, job):
        assert self.outcome(runner, job, KeyError("x")).changes["error_class"] == "KeyError"

    def test_a_local_class_has_a_name_that_web_pages_can_show(self, runner, job):
        class Local(Exception):
            pass

        name = self.outcome(runner, job, Local()).changes["error_class"]
        assert name.endswith("test_a_local_class_has_a_name_that_web_pages_can_show.Local")
        assert "<" not in name

    @pytest.mark.parametrize("error", [SystemExit(3), SystemExit(), KeyboardInterrupt(), GeneratorExit()])
    def test_an_exit_that_a_job_asks_for_is_that_jobs_failure(self, runner, job, error):
        decision = self.outcome(runner, job, error)
        assert (decision.outcome, decision.failed) == (Outcome.RETRY, True)
        assert decision.changes["error_class"] == type(error).__name__

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
    def test_an_exit_that_an_async_job_asks_for_leaves_the_loop_alive_for_the_next(self, runner, kept, job, error):
        @job
        async def after() -> None: ...

        done: list[Decision] = []

        def both() -> None:
            done.append(self.outcome(runner, job, error, is_async=True))
            done.append(run(runner, call("after")))

        thread = threading.Thread(target=both, daemon=True)
        thread.start()
        thread.join(0.5)
        assert [decision.outcome for decision in done] == [Outcome.RETRY, Outcome.SUCCEEDED]

    @pytest.mark.parametrize("is_async", [False, True])
    def test_snooze_puts_off_uncounted(self, runner, job, is_async):
        decision = self.outcome(runner, job, Snooze(timedelta(minutes=1), "later"), is_async=is_async)
        assert (decision.outcome, decision.at) == (Outcome.SNOOZED, NOW + 60)
        assert (decision.counted, decision.failed, decision.reason) == (False, False, "later")
        assert "retry_count" not in decision.changes

    def test_a_snoozed_job_that_names_no_queue_comes_back_to_where_it_came_from(self, runner, job):
        assert self.outcome(runner, job, Snooze(1)).changes["queue"] == "mail"

    def test_discard_drops_it_as_processed(self, runner, job):
        decision = self.outcome(runner, job, Discard("nobody needs it"))
        assert (decision.outcome, decision.failed, decision.counted) == (Outcome.DISCARDED, False, True)
        assert decision.reason == "nobody needs it"

    def test_retry_names_its_own_time(self, runner, job):
        assert self.outcome(runner, job, Retry(in_=3)).at == NOW + 3
        assert self.outcome(runner, job, Retry()).at == NOW + 15

    def test_retry_counts_as_a_failure_and_has_an_end(self, runner, job):
        decision = self.outcome(runner, job, Retry("again", in_=1), retry=0)
        assert decision.outcome is Outcome.DEAD
        assert decision.changes["error_message"] == "again"

    @pytest.mark.parametrize(
        ("word", "outcome"),
        [
            (Snooze(60), Outcome.SNOOZED),
            (Discard(), Outcome.DISCARDED),
            (Kill(), Outcome.DEAD),
            (Retry(in_=60), Outcome.RETRY),
        ],
    )
    def test_a_word_from_within_a_task_group_is_the_jobs_own(self, runner, job, word, outcome):
        async def speaks() -> None:
            raise word

        @job
        async def work() -> None:
            async with asyncio.TaskGroup() as outer:
                outer.create_task(nested())

        async def nested() -> None:
            async with asyncio.TaskGroup() as inner:
                inner.create_task(speaks())

        decision = run(runner, call("work"))
        assert decision.outcome is outcome
        assert decision.at == NOW + (60 if outcome in {Outcome.SNOOZED, Outcome.RETRY} else 0)

    def test_of_several_errors_in_a_group_none_is_the_jobs_word(self, runner, job):
        @job
        async def work() -> None:
            raise ExceptionGroup("two", [Discard(), AppError()])

        decision = run(runner, call("work"))
        assert (decision.outcome, decision.changes["error_class"]) == (Outcome.RETRY, "ExceptionGroup")

    @pytest.mark.parametrize("retry", [True, 10, 0, False, None])
    def test_kill_goes_to_dead_at_once_whatever_retries_are_left(self, runner, job, retry):
        decision = self.outcome(runner, job, Kill("broken"), retry=retry)
        assert (decision.outcome, decision.failed) == (Outcome.DEAD, True)
        assert decision.changes["error_message"] == "broken"

    def test_kill_goes_to_dead_at_once_from_within_a_retry_window_too(self, runner, job):
        assert self.outcome(runner, job, Kill("broken"), retry_for=3600).outcome is Outcome.DEAD

    def test_a_cancelled_coroutine_is_a_failure(self, runner, job):
        decision = self.outcome(runner, job, asyncio.CancelledError(), is_async=True)
        assert decision.outcome is Outcome.RETRY
        assert decision.changes["error_class"].endswith(("CancelledError", "JobTimeout"))

    def test_a_timeout_is_a_failure(self, runner, job):
        decision = self.outcome(runner, job, JobTimeout("too long"))
        assert (decision.outcome, decision.changes["error_message"]) == (Outcome.RETRY, "too long")

    def test_the_declaration_counts_where_the_payload_is_silent(self, runner, job):
        def plain() -> None:
            raise AppError

        job(plain, name="work", max_retries=0, on_exhausted="discard")
        assert run(runner, call("work")).outcome is Outcome.DISCARDED
        assert run(runner, call("work", dead=True)).outcome is Outcome.DEAD
        assert run(runner, call("work", retry=True)).outcome is Outcome.RETRY

    def test_the_lines_of_the_error_are_kept_if_they_are_wanted(self, runner, job):
        packed = self.outcome(runner, job, AppError("x"), backtrace=True).changes["error_backtrace"]
        lines = json.loads(zlib.decompress(base64.b64decode(packed, validate=True)))
        assert "test_attempt.py" in lines[-1]
        assert lines[-1].endswith("in plain")
        assert not any(sign in line for line in lines for sign in "<>")
        assert "error_backtrace" not in self.outcome(runner, job, AppError("x")).changes

    def test_an_error_whose_message_cannot_be_made_is_a_failure_all_the_same(self, runner, job):
        class Broken(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no")

        decision = self.outcome(runner, job, Broken())
        assert decision.changes["error_message"] == "(its message could not be made)"

    @pytest.mark.parametrize("base", [Snooze, Retry, Discard])
    def test_an_apps_own_kind_of_control_that_is_broken_is_a_failure(self, runner, job, base):
        class Broken(base):
            def __init__(self) -> None:
                """Without calling its base."""

            def __str__(self) -> str:
                raise RuntimeError("no")

        assert self.outcome(runner, job, Broken()).outcome in {Outcome.RETRY, Outcome.DISCARDED}


class TestDeclared:
    """What a job's declaration says about its failures."""

    def failing(self, runner: Runner, job: Any, error: BaseException | None = None, **options: Any) -> Decision:
        def plain() -> None:
            raise error or AppError("no")

        fields = options.pop("fields", {})
        job(plain, name="work", **options)
        return run(runner, call("work", **fields))

    def test_its_own_backoff_names_the_delay_by_attempt_and_error(self, runner, job):
        seen = []

        def backoff(attempt: int, error: BaseException) -> timedelta:
            seen.append((attempt, type(error)))
            return timedelta(minutes=attempt)

        assert self.failing(runner, job, backoff=backoff, fields={"retry_count": 1}).at == NOW + 180
        assert seen == [(3, AppError)]

    @pytest.mark.parametrize("said", [None, -1, float("nan"), "soon", 1e12])
    def test_a_backoff_that_says_nothing_usable_is_sidekiqs_formula(self, runner, job, said):
        assert self.failing(runner, job, backoff=lambda attempt, error: said).at == NOW + 15

    def test_a_backoff_that_fails_is_sidekiqs_formula(self, runner, job):
        def backoff(attempt: int, error: BaseException) -> float:
            raise ZeroDivisionError

        assert self.failing(runner, job, backoff=backoff).at == NOW + 15

    def test_the_jobs_own_word_stands_above_its_backoff(self, runner, job):
        assert self.failing(runner, job, Retry(in_=3), backoff=lambda attempt, error: 99).at == NOW + 3

    def test_a_hook_for_the_exhausted_may_drop_the_job(self, runner, job):
        seen = []

        def drop(payload: dict[str, Any], error: BaseException | None) -> str:
            seen.append((payload["error_message"], type(error)))
            return "discard"

        decision = self.failing(runner, job, max_retries=0, on_exhausted=drop)
        assert (decision.outcome, decision.failed) == (Outcome.DISCARDED, True)
        assert seen == [("no", AppError)]

    def test_a_hook_for_the_exhausted_that_fails_leaves_it_to_the_dead_set(self, runner, job):
        def fails(payload: dict[str, Any], error: BaseException | None) -> str:
            raise ZeroDivisionError

        assert self.failing(runner, job, max_retries=0, on_exhausted=fails).outcome is Outcome.DEAD

    @pytest.mark.parametrize(
        ("fields", "asked"),
        [({"dead": False}, True), ({"dead": True}, True), ({"retry": False}, False), ({"retry": 1}, False)],
    )
    def test_a_hook_for_the_exhausted_is_asked_whether_or_not_the_job_would_be_kept(
        self, runner, job, fields, asked
    ):
        seen = []

        def hook(payload: dict[str, Any], error: BaseException | None) -> None:
            seen.append(payload["jid"])

        decision = self.failing(runner, job, max_retries=0, on_exhausted=hook, fields=fields)
        assert seen == ["j1"] * asked
        assert decision.outcome is not Outcome.DEAD or fields.get("dead")

    @pytest.mark.parametrize(
        ("fields", "dropped"), [({"retry": False}, True), ({"dead": False}, True), ({"dead": True}, False)]
    )
    def test_the_hooks_of_deaths_see_when_a_job_was_dropped(self, runner, job, monkeypatch, fields, dropped):
        seen = []
        monkeypatch.setattr("sidelamb_handlers.judge.death_hooks", [lambda payload, error: seen.append(payload)])
        self.failing(runner, job, max_retries=0, fields=fields)
        assert [payload.get("discarded_at") for payload in seen] == [round(NOW * 1000) if dropped else None]

    def test_one_that_was_unknown_for_a_while_and_fails_may_be_unknown_for_as_long_again(self, runner, job):
        decision = self.failing(runner, job, fields={"unknown_since": NOW - 5000})
        assert decision.changes["unknown_since"] is None

    def test_so_may_one_that_puts_itself_off(self, runner, job):
        decision = self.failing(runner, job, Snooze(5), fields={"unknown_since": NOW - 5000})
        assert decision.changes["unknown_since"] is None


class TestNotRun:
    """Payloads that say themselves that they are not to be run."""

    @pytest.mark.parametrize("expiry", [NOW - 1, int(NOW) - 1])
    def test_one_that_has_expired_is_dropped_and_counts_as_no_failure(self, runner, job, expiry):
        job(work)
        decision = runner.decode(call("work", expiry=expiry))()
        assert (decision.outcome, decision.failed) == (Outcome.DISCARDED, False)
        assert "expired" in decision.reason

    @pytest.mark.parametrize("expiry", [NOW + 1, None, True, "2020", []])
    def test_one_that_has_not_is_run(self, runner, job, expiry):
        job(work)
        assert run(runner, call("work", expiry=expiry)) == SUCCEEDED

    def test_one_that_is_doomed_is_laid_to_rest_and_can_be_revived_from_the_web_page(self, runner, job):
        job(work)
        decision = runner.decode(call("work", doomed=True, kills=3, error_message="killed"))()
        assert (decision.outcome, decision.counted, decision.reason) == (Outcome.DEAD, False, "killed")
        assert decision.changes["doomed"] is False

    @pytest.mark.parametrize("fields", [{"retry": False}, {"dead": False}])
    def test_one_that_is_doomed_and_was_not_to_be_kept_is_dropped(self, runner, job, fields):
        job(work)
        assert runner.decode(call("work", doomed=True, **fields))().outcome is Outcome.DISCARDED

    @pytest.mark.parametrize("doomed", [False, None, 1, "true"])
    def test_only_true_dooms(self, runner, job, doomed):
        job(work)
        assert run(runner, call("work", doomed=doomed)) == SUCCEEDED


class TestMiddleware:
    @pytest.mark.parametrize("is_async", [False, True])
    def test_the_first_is_the_outermost(self, make_runner, job, is_async):
        trace: list[str] = []

        def layer(name: str) -> Any:
            def around(attempt: Any, call: Any) -> Any:
                trace.append(f"{name} before {attempt.name}")
                result = call()
                trace.append(f"{name} after {result}")
                return result

            return around

        def plain() -> int:
            trace.append("run")
            return 7

        async def coroutine() -> int:
            trace.append("run")
            return 7

        job(coroutine if is_async else plain, name="work")
        assert run(make_runner(layer("a"), layer("b")), call("work")) == SUCCEEDED
        assert trace == ["a before work", "b before work", "run", "b after 7", "a after 7"]

    def test_one_that_does_not_call_skips_the_job_which_then_is_done(self, make_runner, job):
        ran = []
        job(_appender(ran))
        assert run(make_runner(lambda a, call: None), call("appended", 1)) == SUCCEEDED
        assert ran == []

    def test_an_error_of_one_is_the_jobs_own(self, make_runner, job):
        def layer(attempt: Any, call: Any) -> None:
            call()
            raise Discard("the layer said so")

        job(work)
        assert run(make_runner(layer), call("work")).outcome is Outcome.DISCARDED

    def test_one_may_swallow_the_jobs_error(self, make_runner, job):
        def layer(attempt: Any, call: Any) -> None:
            with pytest.raises(AppError):
                call()

        def plain() -> None:
            raise AppError

        job(plain, name="work")
        assert run(make_runner(layer), call("work")) == SUCCEEDED

    def test_it_sees_the_current_job(self, make_runner, job):
        seen = []

        def layer(attempt: Any, call: Any) -> None:
            seen.append(current_job() is attempt)
            call()

        job(work)
        run(make_runner(layer), call("work"))
        assert seen == [True]


class TestOnLoop:
    """Attempts that need no thread."""

    @staticmethod
    def on_loop(runner: Runner, a: Attempt) -> Decision:
        assert runner.decode(a) is None
        assert a.on_loop
        asyncio.run(runner.arun(a))
        return SUCCEEDED if a.error is None else runner.decide(a, a.error)

    def test_it_is_called_with_its_arguments_and_timed(self, make_runner, job):
        seen = []
        ticks = iter(range(100))

        @job
        async def work(a: int, *, b: int) -> None:
            await asyncio.sleep(0)
            seen.append((a, b))

        a = call("work", 1, kwargs={"b": 2})
        assert self.on_loop(make_runner(clock=lambda: float(next(ticks))), a) == SUCCEEDED
        assert seen == [(1, 2)]
        assert (a.started_at, a.ended_at) == (0.0, 1.0)

    @pytest.mark.parametrize("error", [AppError("no"), SystemExit(3), KeyboardInterrupt()])
    def test_whatever_it_raises_is_its_failure(self, runner, job, error):
        @job
        async def work() -> None:
            raise error

        decision = self.on_loop(runner, call("work"))
        assert (decision.outcome, decision.failed) == (Outcome.RETRY, True)

    def test_the_wrong_arguments_are_a_failure(self, runner, job):
        @job
        async def work(a: int) -> None: ...

        decision = self.on_loop(runner, call("work"))
        assert decision.changes["error_class"] == "TypeError"

    def test_its_own_word_counts(self, runner, job):
        @job
        async def work() -> None:
            raise Snooze(timedelta(minutes=1), "later")

        assert self.on_loop(runner, call("work")).outcome is Outcome.SNOOZED

    def test_it_knows_itself_and_what_it_carries(self, runner, job, monkeypatch: pytest.MonkeyPatch):
        tenant: ContextVar[str] = ContextVar("tenant")
        monkeypatch.setitem(carrying, "tenant", tenant)
        seen = []

        @job
        async def work() -> None:
            await asyncio.sleep(0)
            seen.append((current_job().jid, tenant.get()))

        self.on_loop(runner, call("work", carried={"tenant": "acme"}))
        assert seen == [("j1", "acme")]

    def test_only_a_coroutine_that_nothing_is_put_around_is(self, runner, make_runner, job):
        @job
        async def plain() -> None: ...

        @job
        def function() -> None: ...

        @job(idempotent=True)
        async def once() -> None: ...

        @job
        async def iterable(*, cursor=None):
            yield 1

        def decoded(by: Runner, a: Attempt) -> bool:
            assert by.decode(a) is None
            return a.on_loop

        assert decoded(runner, call("plain"))
        assert not decoded(runner, call("function"))
        assert not decoded(runner, call("once"))
        assert not decoded(runner, call("iterable"))
        assert not decoded(runner, call("plain", result_ttl=60))
        assert not decoded(make_runner(lambda _a, call_next: call_next()), call("plain"))


class TestCurrentJob:
    def facts(self) -> tuple[Any, ...]:
        now = current_job()
        return now.jid, now.name, now.queue, now.attempt, now.enqueued_at, now.started_at, now.request_id

    EXPECTED = ("j1", "work", "mail", 3, 1_795_405_700.5, NOW, "request-1")
    FIELDS: dict[str, Any] = {"retry_count": 1, "enqueued_at": 1_795_405_700_500}  # noqa: RUF012

    def test_a_plain_job_knows_itself(self, runner, job):
        seen = []

        def plain() -> None:
            seen.append(self.facts())

        job(plain, name="work")
        assert run(runner, call("work", **self.FIELDS)) == SUCCEEDED
        assert seen == [self.EXPECTED]

    def test_an_async_job_its_tasks_and_its_threads_know_it(self, runner, job):
        seen = []

        async def note() -> None:
            await asyncio.sleep(0)
            seen.append(self.facts())

        async def coroutine() -> None:
            await note()
            await asyncio.create_task(note())
            async with asyncio.TaskGroup() as group:
                group.create_task(note())
            seen.append(await asyncio.to_thread(self.facts))

        job(coroutine, name="work")
        assert run(runner, call("work", **self.FIELDS)) == SUCCEEDED
        assert seen == [self.EXPECTED] * 4

    def test_async_jobs_side_by_side_each_know_themselves(self, make_runner, job):
        met = threading.Barrier(3)
        seen = {}

        async def coroutine(n: int) -> None:
            await asyncio.to_thread(met.wait, 5)
            await asyncio.sleep(0.01)
            seen[n] = current_job().jid

        job(coroutine, name="work")
        runner = make_runner()
        threads = [
            threading.Thread(target=run, args=(runner, of({"class": "work", "args": [n], "jid": f"j{n}"})))
            for n in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert seen == {0: "j0", 1: "j1", 2: "j2"}

    def test_outside_of_a_job_there_is_none(self, runner, job):
        job(work)
        run(runner, call("work"))
        with pytest.raises(SidelambError, match="outside of a job"):
            current_job()

    @pytest.mark.parametrize("count", [None, True, "1"])
    def test_the_first_run_is_attempt_one(self, count):
        assert call("work", retry_count=count).attempt == 1

    def test_a_retry_from_the_web_page_is_counted_as_its_payload_says(self):
        assert [call("work", retry_count=n).attempt for n in (-1, 0, 1)] == [1, 2, 3]

    @pytest.mark.parametrize("payload", [None, [], 5, {}, {"jid": None}])
    def test_a_payload_that_is_no_job_has_a_name_and_an_id_all_the_same(self, payload):
        assert isinstance(of(payload).jid, str)
        assert of(payload).name == ""
