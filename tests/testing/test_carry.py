"""Context variables that the app names travel with its jobs."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import carry
from sidelamb import carry as carry_function
from sidelamb.carry import carrying
from sidelamb.errors import BadArgument, ConfigError
from sidelamb.testing import drain, fake, inline
from sidelamb_handlers.joblog import _line, named

if TYPE_CHECKING:
    from collections.abc import Iterator

tenant: ContextVar[Any] = ContextVar("tenant")
locale: ContextVar[str] = ContextVar("locale", default="en")


@pytest.fixture(autouse=True)
def own_variables() -> Iterator[None]:
    carry(tenant, locale)
    tokens = tenant.set("acme"), locale.set("de")
    yield
    locale.reset(tokens[1])
    tenant.reset(tokens[0])
    carrying.clear()


def test_what_is_set_stands_in_the_payload_of_every_verb(job) -> None:
    @job
    def works(n: int) -> None: ...

    with fake() as jobs:
        works.enqueue(1)
        works.enqueue_many((n,) for n in range(20))
        works.client.push({"class": "works", "args": [1]})
    assert {str(each.payload["carried"]) for each in jobs} == {"{'tenant': 'acme', 'locale': 'de'}"}


def test_it_is_set_again_around_the_run_on_threads_and_loops_and_for_what_the_job_enqueues(
    job, configured
) -> None:
    seen: list[Any] = []

    @job
    def child() -> None:
        seen.append(("child", tenant.get(), locale.get()))

    @job
    async def waits() -> None:
        await asyncio.sleep(0)
        seen.append(("async", tenant.get(), locale.get()))
        child.enqueue()

    waits.enqueue()
    token = tenant.set("other")
    drain()
    tenant.reset(token)
    assert seen == [("async", "acme", "de"), ("child", "acme", "de")]


def test_nothing_of_it_stays_for_the_next_job_on_the_thread(job) -> None:
    seen: list[Any] = []

    @job
    def sets() -> None:
        seen.append(tenant.get())
        tenant.set("left behind")

    with inline():
        sets.enqueue()
        sets.enqueue()
    assert seen == ["acme", "acme"]
    assert tenant.get() == "acme"


def test_what_is_not_set_is_not_carried_and_a_default_is_not_either(job) -> None:
    @job
    def works() -> None: ...

    import contextvars

    with fake() as jobs:
        contextvars.Context().run(works.enqueue)
    assert "carried" not in jobs[0].payload


def test_a_value_that_json_cannot_carry_is_named(job) -> None:
    @job
    def works() -> None: ...

    token = tenant.set(object())
    with (
        fake(),
        pytest.raises(BadArgument, match="the context variable 'tenant' is carried by every job and holds"),
    ):
        works.enqueue()
    tenant.reset(token)


def test_what_is_no_variable_or_has_the_name_of_another_is_refused() -> None:
    with pytest.raises(ConfigError, match="carry takes context variables"):
        carry_function("tenant")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="two context variables are named 'tenant'"):
        carry_function(ContextVar("tenant"))
    carry_function(tenant)


def test_it_stands_on_the_lines_of_the_log(job, monkeypatch: pytest.MonkeyPatch) -> None:
    from sidelamb_handlers.attempt import Attempt
    from sidelamb_handlers.decision import SUCCEEDED

    @job
    def logs() -> None:
        record = logging.makeLogRecord({"msg": "x", "locale": "own"})
        named(record)
        assert (record.tenant, record.locale) == ("acme", "own")  # type: ignore[attr-defined]

    with inline() as jobs:
        logs.enqueue()
    payload = {**jobs[0].payload, "carried": {"tenant": "acme", "name": "x", "jid": "forged"}}
    line = _line(Attempt("0:default", "default", payload, "r", "l"), SUCCEEDED)
    assert line["tenant"] == "acme"
    assert line["jid"] == payload["jid"]
    assert "name" not in line


@pytest.mark.parametrize("carried", ["text", None, {"unknown": 1}])
def test_a_field_of_another_kind_does_no_harm(job, carried: Any) -> None:
    ran: list[int] = []

    @job
    def works() -> None:
        ran.append(1)

    with inline():
        works.client.push({"class": "works", "args": [], "carried": carried})
    assert ran == [1]
