"""`@job(idempotent=…)`: an effect happens once, whichever run of whichever job does it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb.control import Snooze
from sidelamb.errors import BadOption, ConfigError
from sidelamb.keys import Keys
from sidelamb.link import Link
from sidelamb.testing import drain, inline
from sidelamb_handlers.attempt import Attempt
from sidelamb_handlers.idempotent import once
from sidelamb_handlers.states import States

if TYPE_CHECKING:
    import redis


@pytest.fixture
def did() -> list[Any]:
    return []


def test_a_second_job_with_the_same_arguments_does_not_do_it_again_and_has_the_firsts_result(
    job, did, configured, db: redis.Redis
) -> None:
    @job(idempotent=True, result_ttl=60)
    def charge(order: int) -> Any:
        did.append(order)
        return {"receipt": order}

    handles = [charge.enqueue(1), charge.enqueue(1), charge.enqueue(2)]
    assert drain().succeeded == 3
    assert did == [1, 2]
    assert handles[1].result() == {"receipt": 1}
    (key, *_) = sorted(db.keys("sidelamb:effect:*"))
    assert 86_000 < db.ttl(key) <= 86_400


def test_a_function_says_what_is_the_same_and_for_how_long(job, did, configured, db: redis.Redis) -> None:
    @job(idempotent=lambda order, _note: order, idempotent_for=60)
    async def charge(order: int, note: str) -> None:
        did.append(note)

    charge.enqueue(1, "a")
    charge.enqueue(1, "b")
    drain()
    assert did == ["a"]
    assert db.ttl(db.keys("sidelamb:effect:*")[0]) <= 60


def test_an_effect_that_failed_is_tried_again(job, did, configured) -> None:
    @job(idempotent=True)
    def charge(order: int) -> None:
        did.append(order)
        if len(did) == 1:
            raise OSError

    charge.enqueue(1)
    report = drain(scheduled=True, raise_errors=False)
    assert [run.outcome for run in report] == ["retry", "succeeded"]
    assert did == [1, 1]


def test_a_result_that_json_cannot_carry_is_kept_as_none_and_the_effect_is_done(job, did, configured) -> None:
    @job(idempotent=True)
    def charge() -> Any:
        did.append(1)
        return object()

    charge.enqueue()
    charge.enqueue()
    assert drain().succeeded == 2
    assert did == [1]


def test_after_a_killed_run_others_wait_for_the_end_of_its_lease_and_then_do_it(job, did, redis_url: str) -> None:
    @job(idempotent=True)
    def charge() -> None: ...

    def attempt() -> Attempt:
        states = States(Link(redis_url), Keys())
        deadline = time.time() + 0.5
        return Attempt(
            "0:default", "default", {"class": "charge"}, "r", "l", states, deadline=deadline, job=charge
        )

    child = os.fork()
    if child == 0:
        try:
            once(attempt(), [], {}, lambda: os._exit(9))
        finally:
            os._exit(1)  # whatever goes wrong: this is no second run of the tests
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with pytest.raises(Snooze, match="in progress, or was when its sandbox died"):
        once(attempt(), [], {}, lambda: did.append(1))
    time.sleep(0.6)
    once(attempt(), [], {}, lambda: did.append(1))
    once(attempt(), [], {}, lambda: did.append(2))
    assert did == [1]


def test_a_run_makes_two_round_trips_more_and_a_skipped_one_three(job, configured, monkeypatch) -> None:
    @job(idempotent=True)
    def charge() -> None: ...

    sent: list[Any] = []
    command = Link.command

    def counted(link: Link, *words: Any) -> Any:
        sent.append(words[0])
        return command(link, *words)

    monkeypatch.setattr(Link, "command", counted)
    charge.enqueue()
    charge.enqueue()
    drain()
    assert [word for word in sent if word in {"SET", "GET", "DEL"}] == ["SET", "SET", "SET", "GET", "GET"]


def test_without_redis_it_is_refused(job) -> None:
    @job(idempotent=True)
    def charge() -> None: ...

    with inline(), pytest.raises(ConfigError, match="charge is idempotent, which needs a worker with Redis"):
        charge.enqueue()


def test_it_is_declared_and_not_sent_along(job) -> None:
    @job(idempotent=True)
    def charge() -> None: ...

    with pytest.raises(BadOption, match="declare it with @job"):
        charge.using(idempotent_for=3)
    with pytest.raises(BadOption, match="an iterable job goes on from its cursor"):

        @job(idempotent=True)
        def walks(*, cursor: int | None = None) -> Any:
            yield 1

    with pytest.raises(BadOption, match="expected True, or a function"):
        job(idempotent="yes")(lambda: None)


def test_only_who_uses_it_imports_it() -> None:
    code = (
        "import os, sys; os.environ['SIDELAMB_JOBS'] = 'json'; import sidelamb_handlers.worker; "
        "print([n for n in sys.modules if 'idempot' in n or n == 'boto3'])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[]"
