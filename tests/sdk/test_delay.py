"""delay(function)(…): the form of a plain call."""

from __future__ import annotations

import functools
import types
from typing import Any

import pytest
from jobs_of_tests import METHODS, Admin, User, asynchronous, send

from sidelamb import BadCall, JobError, NotAJob, delay, registry

pytestmark = pytest.mark.usefixtures("configured")


def test_enqueues_with_the_arguments_of_the_call(queued: Any) -> None:
    assert delay(send)(1, urgent=True) == queued()[0]["jid"]
    assert queued()[0]["kwargs"] == {"urgent": True}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("through", [User, User()])
def test_takes_static_and_class_methods(name: str, through: Any, queued: Any) -> None:
    assert delay(getattr(through, name))(7)
    assert queued()[0]["class"] == f"jobs_of_tests.User.{name}"


def test_takes_the_plain_function_of_a_job(queued: Any) -> None:
    delay(send.function)(1)
    delay(User.outer_static.function)(2)
    delay(User.inner_class.function)(3)
    delay(types.MethodType(User.inner_class.function, User))(4)
    delay(types.MethodType(registry["jobs_of_tests.User.inner_class"], User))(5)
    delay(vars(User)["inner_class"])(6)
    delay(vars(User)["inner_static"])(7)
    assert [p["args"] for p in queued()] == [[n] for n in range(1, 8)]


def test_takes_async_jobs(queued: Any) -> None:
    delay(asynchronous)(1)
    assert queued("low")


def test_checks_the_arguments() -> None:
    with pytest.raises(BadCall):
        delay(send)()


def test_refuses_a_method_of_an_object_and_says_why() -> None:
    with pytest.raises(
        NotAJob, match=r"User\.sync_images is a method of an object.*state is never stored.*takes the object's id"
    ):
        delay(User().sync_images)


def test_refuses_a_job_reached_through_a_subclass() -> None:
    with pytest.raises(JobError, match="is User's job"):
        delay(Admin.outer_class)(1)
    with pytest.raises(JobError, match="is User's job"):
        delay(types.MethodType(registry["jobs_of_tests.User.inner_class"], Admin))(1)


@pytest.mark.parametrize(
    "what", [print, len, lambda: None, functools.partial(send, 1), "jobs_of_tests.send", None, User, send.enqueue]
)
def test_refuses_what_is_not_registered_and_says_what_to_do(what: Any) -> None:
    with pytest.raises(NotAJob):
        delay(what)


def test_tells_to_add_the_decorator() -> None:
    def plain() -> None: ...

    with pytest.raises(NotAJob, match=r"plain is not a job; write @job above its def"):
        delay(plain)
