"""Leases that were not run go back together and in order."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sidelamb_handlers.poller.flight import Flight
from sidelamb_handlers.poller.releaser import Releaser
from tests.handlers.kit import STORE, payload, push, reserve, waiting

if TYPE_CHECKING:
    import redis

    from sidelamb.link import Link


def flights(db: redis.Redis, link: Link, count: int, each: int = 2) -> list[Flight]:
    push(db, *(payload("work", n) for n in range(count * each)))
    leases = reserve(link, *(f"c:{n}" for n in range(count)), most_jobs=each)
    return [Flight(held, time.time() + 30, 60.0) for held in leases]


async def test_they_go_back_in_their_old_order_whoever_gives_up_first(db, link, make_patient):
    releaser = Releaser("c", STORE, make_patient())
    counts = await asyncio.gather(*(releaser.release(f) for f in reversed(flights(db, link, 10))))
    assert counts == [2] * 10
    assert waiting(db) == [payload("work", n) for n in range(20)]
    assert set(db.keys("*")) == {b"queues", b"queue:default"}


async def test_one_that_was_claimed_meanwhile_stays_and_is_told_as_none(db, link, make_patient):
    releaser = Releaser("c", STORE, make_patient())
    every = flights(db, link, 3)
    link.run(STORE.claim("c:1", request_id="r", now=time.time(), deadline=time.time() + 60))
    assert await asyncio.gather(*(releaser.release(f) for f in every)) == [2, 0, 2]
    assert link.run(STORE.lease("c:1")).jobs


async def test_one_whose_queue_another_program_has_overwritten_holds_up_no_other(db, link, make_patient):
    releaser = Releaser("c", STORE, make_patient())
    ours = flights(db, link, 2)
    push(db, payload("work", 9), queue="theirs")
    (lost,) = reserve(link, "c:lost", queues=["theirs"])
    db.set("queue:theirs", "not a list")
    every = [ours[0], Flight(lost, time.time() + 30, 60.0), ours[1]]
    counts = await asyncio.wait_for(asyncio.gather(*(releaser.release(f) for f in every)), 5)
    assert counts == [2, 0, 2]
    assert waiting(db) == [payload("work", n) for n in range(4)]
    assert link.run(STORE.lease("c:lost")).jobs == lost.jobs
    db.delete("queue:theirs")
    assert await releaser.release(every[1]) == 1


async def test_what_comes_while_others_go_back_goes_back_after_them(db, link, make_patient):
    releaser = Releaser("c", STORE, make_patient())
    first, second = flights(db, link, 2)
    one = asyncio.create_task(releaser.release(first))
    await asyncio.sleep(0.021)
    two = asyncio.create_task(releaser.release(second))
    assert await asyncio.wait_for(asyncio.gather(one, two), 5) == [2, 2]
    assert len(waiting(db)) == 4


async def test_one_who_no_longer_waits_is_no_trouble_for_the_others(db, link, make_patient):
    releaser = Releaser("c", STORE, make_patient())
    first, second = flights(db, link, 2)
    impatient = asyncio.create_task(releaser.release(first))
    patient = asyncio.create_task(releaser.release(second))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await asyncio.wait_for(patient, 5) == 2
    assert len(waiting(db)) == 4


async def test_a_second_round_works_as_the_first(db, link, make_patient):
    releaser = Releaser("c", STORE, make_patient())
    for _ in range(3):
        db.delete("queue:default")
        assert await asyncio.gather(*(releaser.release(f) for f in flights(db, link, 3))) == [2, 2, 2]
