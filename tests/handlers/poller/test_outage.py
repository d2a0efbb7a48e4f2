"""One line when something goes away, one when it is back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sidelamb_handlers.poller import outage as module
from sidelamb_handlers.poller.outage import Outage

if TYPE_CHECKING:
    import pytest


def test_an_outage_is_one_warning_however_many_calls_fail(caplog):
    outage = Outage("Redis at nowhere")
    for n in range(50):
        outage.failed(OSError(f"refused {n}"))
    assert caplog.messages == ["Redis at nowhere: refused 0; trying again until it works"]


def test_its_end_is_one_more_that_says_how_long_it_lasted(caplog):
    outage = Outage("X")
    outage.worked()
    outage.failed(OSError("no"))
    outage.worked()
    outage.worked()
    assert len(caplog.messages) == 2
    assert caplog.messages[1].startswith("X works again, after 0.")


def test_the_next_outage_is_said_again(caplog):
    outage = Outage("X")
    for _ in range(3):
        outage.failed(OSError("no"))
        outage.worked()
    assert len(caplog.messages) == 6


async def test_pauses_grow_up_to_a_limit_and_shrink_with_success(monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    now = 100.0
    outage = Outage("X", clock=lambda: now)
    outage.failed(OSError("no"))
    first, most = module.PAUSE_FIRST_S, module.PAUSE_MOST_S
    for _ in range(20):
        outage.failed(OSError("no"))
        await outage.pause()
        assert first / 2 <= slept[-1] <= first, "however many wait at once"
    now += 60
    await outage.pause()
    assert most / 2 <= slept[-1] <= most
    outage.worked()
    await outage.pause()
    assert slept[-1] <= first


def test_a_call_from_before_its_end_does_not_begin_another(caplog):
    now = 100.0
    outage = Outage("X", clock=lambda: now)
    outage.failed(OSError("no"), tried_at=99.0)
    outage.worked()
    outage.failed(OSError("no answer in time"), tried_at=98.0)
    assert len(caplog.messages) == 2
    outage.failed(OSError("no"), tried_at=101.0)
    assert len(caplog.messages) == 3


async def test_a_pause_is_a_real_one():
    began = time.monotonic()
    await Outage("X").pause()
    assert time.monotonic() - began >= module.PAUSE_FIRST_S / 2
