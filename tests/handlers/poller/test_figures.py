"""A poller's own figures: a line a minute."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from sidelamb_handlers.poller import figures as module
from sidelamb_handlers.poller.circuit import Circuit
from sidelamb_handlers.poller.figures import Figures
from sidelamb_handlers.poller.limit import Limit
from tests.handlers.kit import NOW, api_error, payload, push, soon


def capsule(flying: int = 0) -> Any:
    return SimpleNamespace(flights=dict.fromkeys(range(flying)), limit=Limit(10), circuit=Circuit())


def figures(*capsules: Any, stack: str = "shop") -> tuple[Figures, list[dict[str, Any]]]:
    put: list[dict[str, Any]] = []
    return Figures(stack, capsules, put=lambda line: put.append(json.loads(line)), clock=lambda: NOW), put


def test_what_flew_over_all_capsules_is_told_as_it_was_seen():
    one, other = capsule(2), capsule(1)
    f, put = figures(one, other)
    f.look()
    one.flights.clear()
    f.look()
    f.write()
    (line,) = put
    assert (line["Stack"], line["InFlight"]) == ("shop", [3, 1])
    assert not {"Throttles", "CircuitOpen"} & set(line)


def test_throttles_are_told_once_even_those_within_one_surge():
    one = capsule()
    f, put = figures(one)
    for at in (1.0, 1.1, 1.2):
        one.limit.throttled(at, 5)
    for _ in range(2):
        f.look()
        f.write()
    assert [line.get("Throttles") for line in put] == [3, None]


def test_an_open_circuit_is_told_as_long_as_it_is_open_and_one_that_closed_again_once():
    one = capsule()
    f, put = figures(one)
    for _ in range(3):
        one.circuit.failed(1.0, "it cannot be imported")
    for _ in range(2):
        f.look()
        f.write()
    one.circuit.closed_by_success(2.0)
    f.look()
    f.write()
    for _ in range(3):
        one.circuit.failed(3.0, "again")
    one.circuit.closed_by_success(4.0)
    for _ in range(2):
        f.look()
        f.write()
    assert [line.get("CircuitOpen") for line in put] == [1, 1, None, 1, None]


def test_nothing_was_seen_and_nothing_is_written():
    f, put = figures(capsule())
    f.write()
    assert put == []


async def test_it_looks_for_ever_and_writes_every_sixth_time(background, monkeypatch):
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    f, put = figures(capsule(1))
    background(f.run())
    await soon(lambda: len(put) >= 2)
    assert put[0]["InFlight"] == [1] * 6


async def test_without_a_stack_it_writes_nothing(background, monkeypatch):
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    f, put = figures(capsule(1), stack="")
    task = background(f.run())
    await soon(lambda: task._fut_waiter is not None)
    f.write()
    assert put == []


@pytest.mark.parametrize("reason", ["ConcurrentInvocationLimitExceeded", "CallerRateLimitExceeded"])
async def test_a_real_capsule_counts_what_lambda_throttles(make_capsule, background, sandboxes, db, job, reason):
    job(lambda: None, name="work")
    told = iter([api_error(429, "TooManyRequestsException", Reason=reason)])

    async def throttle(*_: Any) -> Any:
        return next(told, None)

    sandboxes.instead = throttle
    made = make_capsule(sandboxes)
    push(db, payload("work"))
    background(made.run())
    await soon(lambda: db.get("stat:processed") == b"1")
    f, put = figures(made)
    f.look()
    f.write()
    assert put[0]["Throttles"] == 1
