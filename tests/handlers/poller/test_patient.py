"""The poller's way to Redis tries until it works, and says once that it does not."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import pytest

from sidelamb.errors import RedisError
from tests.handlers.kit import STORE, soon

if TYPE_CHECKING:
    from tests.handlers.proxy import Proxy

LOOK = STORE.look(["default"])


async def test_it_gives_the_answer(make_patient):
    assert (await make_patient().run(LOOK)).waiting == {"default": 0}


async def test_it_waits_for_a_redis_that_is_away_and_says_so_once(make_patient, proxy: Proxy, caplog):
    patient = make_patient(proxy.url)
    proxy.cut()
    tasks = [asyncio.create_task(patient.run(LOOK)) for _ in range(3)]
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in tasks)
    proxy.mend()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert len(caplog.messages) == 2
    assert "trying again until it works" in caplog.messages[0]
    assert "works again" in caplog.messages[1]


async def test_with_a_limit_it_raises_when_the_time_is_over(make_patient, proxy: Proxy):
    patient = make_patient(proxy.url)
    proxy.cut()
    began = time.monotonic()
    with pytest.raises(RedisError):
        await patient.run(LOOK, until=time.time() + 0.15)
    assert 0.1 < time.monotonic() - began < 2


async def test_a_connection_that_was_killed_is_no_outage(make_patient, db, caplog):
    patient = make_patient()
    for _ in range(20):
        await patient.run(LOOK)
        db.client_kill_filter(_type="normal", skipme=True)
    assert caplog.messages == []


async def test_it_can_be_cancelled_while_redis_is_away(make_patient, proxy: Proxy, caplog):
    patient = make_patient(proxy.url)
    proxy.cut()
    task = asyncio.create_task(patient.run(LOOK))
    await soon(lambda: caplog.messages)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_is_cancelled_in_a_call_has_ended(make_patient, redis_url):
    patient = make_patient()
    dice = random.Random(1)

    async def busy(enough: asyncio.Event) -> None:
        while not enough.is_set():
            await patient.run(LOOK)

    for _ in range(200):
        enough = asyncio.Event()
        task = asyncio.create_task(busy(enough))
        for _ in range(dice.randrange(1, 60)):
            await asyncio.sleep(0)
        task.cancel()
        _, pending = await asyncio.wait([task], timeout=0.1)
        enough.set()
        if pending:
            await asyncio.wait([task], timeout=5)
        assert not pending


async def test_a_call_that_is_refused_for_ever_is_one_warning_though_others_work(
    make_patient, background, db, caplog
):
    """Another program's key stands where one of ours should be."""
    patient = make_patient()
    db.set("sidelamb:leases", "someone else's")
    background(patient.run(STORE.claim("c:1", request_id="r", now=0.0, deadline=1.0)))
    for _ in range(10):
        await asyncio.sleep(0.05)
        await patient.link.command("PING")
        await patient.run(STORE.payloads("c:9", ["0:q"]))
    assert len(caplog.messages) <= 1


async def test_a_redis_that_loads_its_data_is_one_warning_whatever_it_is_asked(make_patient, background, caplog):
    """It refuses every script alike, and says so each time."""

    async def loading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")
        writer.close()

    async with await asyncio.start_server(loading, "127.0.0.1", 0) as server:
        patient = make_patient(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for call in (LOOK, STORE.payloads("c:9", ["0:q"]), STORE.lease("c:9"), STORE.expired(1.0)):
            with pytest.raises(RedisError):
                await patient.run(call, until=0.0)
    assert len(caplog.messages) == 1
    assert "loading" in caplog.messages[0]


async def test_a_full_redis_is_one_warning_whatever_it_refuses(make_patient, db, caplog):
    patient = make_patient()
    calls = [STORE.schedule([(1.0, b"x")]), STORE.enqueue([("default", b"x")]), STORE.schedule([(2.0, b"y")])]
    db.config_set("maxmemory", 1)
    for call in calls:
        with pytest.raises(RedisError):
            await patient.run(call, until=0.0)
    assert (await patient.run(LOOK)).waiting == {"default": 0}
    assert len(caplog.messages) == 1
    assert "Redis is full" in caplog.messages[0]
    db.config_set("maxmemory", 0)
    for call in calls:
        await patient.run(call)
    assert len(caplog.messages) == 2
