"""Waiting for a job without polling."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb_handlers.poller.peek import Peek
from tests.handlers.kit import STORE, everything, payload, push, soon

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

    from tests.handlers.proxy import Proxy


class Hungry:
    """What a peek needs of its capsule."""

    def __init__(self) -> None:
        self.hungry = asyncio.Event()
        self.hungry.set()
        self.woken_at: list[float] = []
        self.held_back: tuple[str, ...] = ()
        self.on_room: list[Callable[[], None]] = []

    def wake(self) -> None:
        self.woken_at.append(time.monotonic())
        self.hungry.clear()


@pytest.fixture
def make_peek(
    make_patient: Callable[..., Any], background: Callable[..., Any]
) -> Callable[..., tuple[Peek, Hungry]]:
    def build(url: str | None = None) -> tuple[Peek, Hungry]:
        capsule = Hungry()
        patient = make_patient(url) if url else make_patient()
        peek = Peek(capsule, "default", STORE.keys, patient)  # type: ignore[arg-type]
        background(peek.run())
        return peek, capsule

    return build


def blocked(db: redis.Redis) -> int:
    return db.info("clients")["blocked_clients"]


async def test_it_wakes_within_fifty_milliseconds_of_a_push(make_peek, db):
    _, capsule = make_peek()
    delays = []
    for n in range(9):
        await soon(lambda: blocked(db) == 1)
        pushed = time.monotonic()
        push(db, payload("work", n))
        await soon(lambda n=n: len(capsule.woken_at) == n + 1)
        delays.append(capsule.woken_at[-1] - pushed)
        db.delete("queue:default")
        capsule.hungry.set()
    assert statistics.median(delays) < 0.05


async def test_it_changes_nothing(make_peek, db):
    raws = push(db, *(payload("work", n) for n in range(3)))
    before = everything(db)
    _, capsule = make_peek()
    await soon(lambda: capsule.woken_at)
    assert everything(db) == before
    assert db.lrange("queue:default", -1, -1) == [raws[0]]


async def test_everyone_who_peeks_is_woken_by_one_job(make_peek, db):
    capsules = [make_peek()[1] for _ in range(5)]
    await soon(lambda: blocked(db) == 5)
    push(db, payload("work", 1))
    await soon(lambda: all(capsule.woken_at for capsule in capsules))
    assert db.llen("queue:default") == 1


async def test_it_peeks_only_while_its_capsule_is_hungry(make_peek, db):
    _, capsule = make_peek()
    push(db, payload("work", 1))
    await soon(lambda: capsule.woken_at)
    db.config_resetstat()
    await asyncio.sleep(0.1)
    assert "cmdstat_blmove" not in db.info("commandstats")
    assert len(capsule.woken_at) == 1


async def test_a_peek_whose_connection_is_dead_is_made_anew_when_jobs_wait(make_peek, db, proxy: Proxy):
    peek, capsule = make_peek(proxy.url)
    await soon(lambda: blocked(db) == 1)
    proxy.freeze()
    push(db, payload("work", 1))
    peek.looked(1)
    await soon(lambda: capsule.woken_at)


async def test_one_that_waits_in_vain_is_left_alone_by_a_look_that_sees_nothing(make_peek, db):
    peek, _ = make_peek()
    await soon(lambda: blocked(db) == 1)
    db.config_resetstat()
    for _ in range(5):
        peek.looked(0)
        await asyncio.sleep(0.01)
    assert "cmdstat_blmove" not in db.info("commandstats")


async def test_a_paused_queue_is_not_peeked_at(make_peek, db):
    peek, capsule = make_peek()
    await soon(lambda: blocked(db) == 1)
    peek.looked(None)
    push(db, payload("work", 1))
    await soon(lambda: capsule.woken_at)  # by the peek that was under way
    capsule.hungry.set()
    db.config_resetstat()
    for _ in range(5):
        peek.looked(None)
        await asyncio.sleep(0.01)
    assert "cmdstat_blmove" not in db.info("commandstats")
    woken = len(capsule.woken_at)
    peek.looked(1)
    await soon(lambda: len(capsule.woken_at) > woken)


@pytest.mark.parametrize("trouble", ["full", "away", "wrong type"])
async def test_where_it_is_not_allowed_it_waits_for_the_next_look_and_tries_again(
    make_peek, db, proxy: Proxy, trouble
):
    match trouble:
        case "full":
            db.config_set("maxmemory", 1)
        case "away":
            proxy.cut()
        case _:
            db.set("queue:default", "someone else's")
    peek, capsule = make_peek(proxy.url)
    await soon(lambda: peek._peeking is not None)
    await asyncio.sleep(0.05)
    db.config_resetstat()
    await asyncio.sleep(0.05)
    assert "cmdstat_blmove" not in db.info("commandstats")
    db.config_set("maxmemory", 0)
    if trouble == "away":
        proxy.mend()
    db.delete("queue:default")
    push(db, payload("work", 1))
    await soon(lambda: peek.looked(1) or capsule.woken_at)


async def test_it_can_be_stopped_while_it_waits(make_patient, db):
    capsule = Hungry()
    peek = Peek(capsule, "default", STORE.keys, make_patient())  # type: ignore[arg-type]
    task = asyncio.create_task(peek.run())
    await soon(lambda: blocked(db) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    await soon(lambda: blocked(db) == 0)


async def test_it_can_be_stopped_in_the_moment_in_which_its_connection_is_made_anew(make_patient, db):
    capsule = Hungry()
    peek = Peek(capsule, "default", STORE.keys, make_patient())  # type: ignore[arg-type]
    task = asyncio.create_task(peek.run())
    await soon(lambda: blocked(db) == 1)
    assert peek._peeking is not None
    peek._peeking.add_done_callback(lambda _: task.cancel())
    peek.looked(1)
    _, pending = await asyncio.wait([task], timeout=0.3)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert not pending
