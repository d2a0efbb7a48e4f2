"""@job: declaring jobs and calling them plainly."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import functools
import inspect
import pickle
import types
from typing import Any

import pytest
from jobs_of_tests import METHODS, Admin, User, asynchronous, send

from sidelamb import BadOption, Job, JobError, NameTaken, UnknownOption, UnknownQueue, configure, job, registry


def named(name: str = "tests.local", **options: Any) -> Any:
    return job(name=name, **options)


class TestAPlainCall:
    def test_runs_the_function_here(self) -> None:
        assert send(1, "hi", urgent=True) == (1, "hi", True)

    def test_of_an_async_job_returns_its_coroutine(self) -> None:
        coroutine = asynchronous(1)
        assert inspect.iscoroutine(coroutine)
        assert asyncio.run(coroutine) == 1

    def test_lets_the_functions_own_error_through(self) -> None:
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            send()

    @pytest.mark.parametrize("name", METHODS)
    @pytest.mark.parametrize("through", [User, User(), registry])
    def test_of_a_static_or_class_method_works_from_everywhere(self, name: str, through: Any) -> None:
        found = through[f"jobs_of_tests.User.{name}"] if through is registry else getattr(through, name)
        assert found(7) == (User if "class" in name else name, 7)

    @pytest.mark.parametrize("name", ["outer_class", "inner_class"])
    def test_of_a_classmethod_through_a_subclass_gets_the_subclass(self, name: str) -> None:
        assert getattr(Admin, name)(7) == (Admin, 7)
        assert getattr(User, name)(7) == (User, 7)

    def test_of_an_async_classmethod_returns_its_coroutine(self) -> None:
        assert asyncio.run(User.async_class(7)) == (User, 7)

    def test_works_when_a_newer_python_binds_the_job_below_classmethod_by_itself(self) -> None:
        found: Any = registry["jobs_of_tests.User.inner_class"]
        assert types.MethodType(found, User)(7) == (User, 7)
        assert types.MethodType(found, Admin)(7) == (Admin, 7)


class TestAJob:
    def test_looks_like_its_function(self) -> None:
        assert send.__name__ == "send"
        assert send.__doc__ == "Send a mail."
        assert list(inspect.signature(send).parameters) == ["user_id", "subject", "urgent"]

    def test_tells_what_it_is(self) -> None:
        assert isinstance(send, Job)
        assert (send.name, send.aliases, send.is_async) == ("jobs_of_tests.send", (), False)
        assert asynchronous.is_async
        assert User.async_class.is_async
        assert inspect.isfunction(send.function)
        assert repr(send) == "<Job jobs_of_tests.send>"

    def test_has_sidekiqs_defaults(self) -> None:
        o = send.options
        assert (o.queue, o.max_retries, o.on_exhausted, o.timeout_s, o.tags) == ("default", 25, "dead", None, ())

    def test_has_the_options_that_were_declared(self) -> None:
        o = asynchronous.options
        assert (o.queue, o.max_retries, o.on_exhausted, o.timeout_s, o.tags) == (
            "low",
            3,
            "discard",
            30.0,
            ("a", "b"),
        )

    def test_has_options_that_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError):
            send.options.queue = "other"

    @pytest.mark.parametrize("found", [send, User.outer_static, User.outer_class])
    def test_is_pickled_and_copied_by_name(self, found: Any) -> None:
        assert copy.deepcopy(found) is found
        assert pickle.loads(pickle.dumps(found)) is found

    def test_may_be_an_attribute_of_another_class(self) -> None:
        class Holder:
            handler = send

        assert Holder.handler is send
        assert Holder().handler(1) == (1, "hello", False)


class TestAName:
    def test_is_module_and_qualified_name(self) -> None:
        assert User.outer_class.name == "jobs_of_tests.User.outer_class"

    def test_can_be_given(self) -> None:
        assert named("billing:charge.v2")(lambda: None).name == "billing:charge.v2"

    @pytest.mark.parametrize("name", ["", "a b", "a|b", "<a>", "a/b", "a$b", "a\n", "\ta", "\ud800", 1, b"a"])
    def test_that_cannot_travel_is_refused(self, name: Any) -> None:
        with pytest.raises(BadOption, match="name is"):
            named(name)(lambda: None)

    def test_of_a_lambda_must_be_given(self) -> None:
        with pytest.raises(JobError, match=r"a lambda has no name.*@job\(name="):
            job(lambda: None)

    def test_of_a_local_function_must_be_given(self) -> None:
        def local() -> None: ...

        with pytest.raises(JobError, match=r"local to another function.*@job\(name="):
            job(local)
        assert named()(local).name == "tests.local"

    def test_may_not_belong_to_another_function(self) -> None:
        named("tests.taken")(lambda: 1)

        def other() -> None: ...

        with pytest.raises(NameTaken, match=r"'tests\.taken' is taken by .*test_job\.py:\d+"):
            named("tests.taken")(other)

    def test_is_not_taken_by_a_declaration_that_was_refused(self) -> None:
        with pytest.raises(BadOption):
            named("tests.refused", max_retries=-1)(lambda: None)
        assert "tests.refused" not in registry

    @pytest.mark.parametrize("aliases", ["old", 5, [""], ["a b"], [None], ["tests.local"]])
    def test_has_aliases_that_are_names(self, aliases: Any) -> None:
        with pytest.raises(BadOption, match="alias"):
            named(aliases=aliases)(lambda: None)


class TestAnOption:
    @pytest.mark.parametrize(
        ("option", "value", "expected"),
        [
            ("queue", "", "letters, digits"),
            ("queue", "a b", "letters, digits"),
            ("queue", "größe", "letters, digits"),
            ("queue", "a\n", "letters, digits"),
            ("queue", None, "letters, digits"),
            ("max_retries", -1, "an int from 0"),
            ("max_retries", True, "an int from 0"),
            ("max_retries", "3", "an int from 0"),
            ("max_retries", 3.0, "an int from 0"),
            ("max_retries", None, "an int from 0"),
            ("max_retries", 10**9, "an int from 0"),
            ("on_exhausted", "drop", "'dead' or 'discard'"),
            ("on_exhausted", None, "'dead' or 'discard'"),
            ("on_exhausted", False, "'dead' or 'discard'"),
            ("timeout", 0, "at most 900"),
            ("timeout", -1, "at most 900"),
            ("timeout", 901, "at most 900"),
            ("timeout", "30", "at most 900"),
            ("timeout", True, "at most 900"),
            ("timeout", float("nan"), "at most 900"),
            ("timeout", float("inf"), "at most 900"),
            ("timeout", None, "at most 900"),
            ("tags", "a", "a list of texts"),
            ("tags", [1], "a list of texts"),
            ("tags", [""], "a list of texts"),
            ("tags", ["a\nb"], "a list of texts"),
            ("tags", ["\ud800"], "a list of texts"),
            ("tags", {"a": 1}, "a list of texts"),
        ],
    )
    def test_with_a_wrong_value_is_refused_where_it_is_written(
        self, option: str, value: Any, expected: str
    ) -> None:
        with pytest.raises(BadOption) as caught:
            named(**{option: value})(lambda: None)
        message = str(caught.value)
        assert option in message
        assert repr(value) in message
        assert expected in message
        assert "test_with_a_wrong_value" in message

    @pytest.mark.parametrize(
        ("wrong", "right"),
        [("qeue", "queue"), ("retries", "max_retries"), ("alias", "aliases"), ("tag", "tags"), ("nam", "name")],
    )
    def test_that_is_none_is_refused_with_the_nearest(self, wrong: str, right: str) -> None:
        with pytest.raises(UnknownOption, match=rf"no option '{wrong}'.*Did you mean '{right}'\?"):
            named(**{wrong: 1})(lambda: None)

    def test_timeout_may_be_a_timedelta(self) -> None:
        assert named(timeout=dt.timedelta(minutes=2))(lambda: None).options.timeout_s == 120.0

    def test_queue_must_be_one_of_the_declared_queues(self) -> None:
        configure(queues=["default", "low", "mail"])
        with pytest.raises(UnknownQueue, match=r"'mial' is not declared.*Did you mean 'mail'\?"):
            named(queue="mial")(lambda: None)


class TestAnIterableJob:
    def test_returns_its_generator_when_it_is_called(self) -> None:
        def count(up_to: int, *, cursor: int | None = None) -> Any:
            yield from range(cursor or 0, up_to)

        made = named()(count)
        assert made.is_iterable
        assert list(made(3)) == [0, 1, 2]
        assert list(made(3, cursor=2)) == [2]

    async def test_may_be_async(self) -> None:
        async def count(*, cursor: int | None = None) -> Any:
            yield 1

        made = named()(count)
        assert made.is_iterable
        assert not made.is_async
        assert [n async for n in made()] == [1]

    def test_may_be_a_classmethod(self) -> None:
        class Table:
            @named()
            @classmethod
            def walk(cls, *, cursor: int | None = None) -> Any:
                yield cls

        assert list(Table.walk()) == [Table]
        assert Table.walk.is_iterable

    def test_is_enqueued_as_any_job(self, configured: None, queued: Any) -> None:
        def walk(table: str, *, cursor: int | None = None) -> Any:
            yield 1

        named("tests.walk")(walk).enqueue("users")
        (payload,) = queued()
        assert payload["args"] == ["users"]
        assert "kwargs" not in payload


class TestWhatCannotBeAJob:
    def test_is_a_method_of_an_instance(self) -> None:
        with pytest.raises(JobError, match=r"method of an instance.*state is not stored"):

            class Account:
                @job
                def close(self) -> None: ...

    def test_is_a_bound_method(self) -> None:
        with pytest.raises(JobError, match="state is not stored"):
            named()(User().sync_images)

    def test_is_a_class(self) -> None:
        with pytest.raises(JobError, match="goes on functions"):
            job(User)

    def test_is_a_partial(self) -> None:
        with pytest.raises(JobError, match="goes on functions"):
            named()(functools.partial(print, 1))

    def test_is_a_generator_without_a_cursor(self) -> None:
        def generator() -> Any:
            yield 1

        async def async_generator() -> Any:
            yield 1

        def positional(cursor: int | None = None) -> Any:
            yield 1

        def needed(*, cursor: int | None) -> Any:
            yield 1

        for function in (generator, async_generator, positional, needed):
            with pytest.raises(
                JobError, match=r"takes no keyword cursor=None(.|\n)*\*, cursor=None(.|\n)*yield row"
            ):
                named()(function)

    def test_is_a_job_already(self) -> None:
        with pytest.raises(JobError, match="is a job already"):
            job(send)

    def test_is_a_name(self) -> None:
        with pytest.raises(JobError, match=r"write @job\(name='mail'\)"):
            job("mail")
