"""SQLAlchemy: jobs are pushed if and only if the session commits."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sidelamb import (
    BadArgument,
    BadCall,
    BadOption,
    Client,
    NotPushed,
    RedisError,
    RedisUnreachable,
    UnknownOption,
)
from sidelamb.job import Job
from tests.transactions.conftest import NOWHERE, Base, Order, charge


def test_a_job_is_pushed_by_the_commit_and_its_id_is_known_before(maker, queued, db):
    with maker() as session:
        session.add(Order(number=1))
        jid = charge.using(on_commit=session).enqueue(1)
        assert len(jid) == 24
        assert queued() == []
        session.commit()
        assert queued() == [1]
    assert jid.encode() in db.lindex("queue:default", 0)


def test_a_job_is_not_pushed_after_a_rollback(maker, queued):
    with maker() as session:
        charge.using(on_commit=session).enqueue(1)
        session.rollback()
        session.commit()
        charge.using(on_commit=session).enqueue(2)
        session.commit()
    assert queued() == [2]


def test_a_session_that_is_closed_without_a_commit_pushes_nothing(maker, queued):
    with maker() as session:
        charge.using(on_commit=session).enqueue(1)
    with maker.begin() as session:
        charge.using(on_commit=session).enqueue(2)
    assert queued() == [2]


def test_a_commit_that_fails_pushes_nothing(maker, queued):
    with maker.begin() as session:
        session.add(Order(number=1))
    with maker() as session:
        session.add(Order(number=1))
        charge.using(on_commit=session).enqueue(1)
        with pytest.raises(IntegrityError):
            session.commit()
        session.rollback()
        session.commit()
    assert queued() == []


def test_a_savepoint_takes_its_own_jobs_with_it_and_no_others(maker, queued):
    with maker.begin() as session:
        later = charge.using(on_commit=session)
        later.enqueue(1)
        with suppress(LookupError), session.begin_nested():
            later.enqueue(2)
            with session.begin_nested():
                later.enqueue(3)
            raise LookupError
        with session.begin_nested():
            later.enqueue(4)
            with session.begin_nested():
                later.enqueue(5)
            assert queued() == []
        nested = session.begin_nested()
        later.enqueue(6)
        nested.rollback()
        later.enqueue(7)
        assert queued() == []
    assert sorted(queued()) == [1, 4, 5, 7]


def test_a_rollback_of_all_takes_the_jobs_of_open_savepoints_with_it(maker, queued):
    with maker() as session:
        session.begin_nested()
        charge.using(on_commit=session).enqueue(1)
        session.begin_nested()
        charge.using(on_commit=session).enqueue(2)
        session.rollback()
        session.commit()
        session.begin_nested()
        charge.using(on_commit=session).enqueue(3)
        session.commit()
    assert queued() == [3]


def test_the_jobs_of_a_transaction_are_pushed_in_one_round_trip_and_in_order(maker, queued, trips):
    with maker.begin() as session:
        later = charge.using(on_commit=session)
        for number in range(50):
            with session.begin_nested():
                later.enqueue(number)
        later.enqueue_many((number,) for number in range(50, 900))
        later.enqueue_in(60, 901)
        later.enqueue_in(-1, 900)
        assert trips == []
    assert trips == ["enqueue", "schedule"]
    assert queued() == list(range(901))


def test_a_job_enters_the_queue_when_it_is_pushed_not_when_it_was_called(maker, redis_url, db):
    clock = SimpleNamespace(now=1000.0)
    client = Client(redis_url, clock=lambda: clock.now)
    with maker.begin() as session:
        later = charge.using(on_commit=session, client=client)
        later.enqueue(1)
        later.enqueue_in(30, 2)
        later.enqueue_in(90, 3)
        clock.now = 1050.0
    second, first = db.lrange("queue:default", 0, -1)
    assert first.endswith(b'"created_at":1000.0,"enqueued_at":1050.0}')
    assert second.endswith(b'"created_at":1000.0,"enqueued_at":1050.0}')
    assert [score for _, score in db.zrange("schedule", 0, -1, withscores=True)] == [1090.0]


def test_what_is_wrong_with_a_call_is_said_where_it_stands(maker):
    with maker() as session:
        with pytest.raises(BadArgument, match="object"):
            charge.using(on_commit=session).enqueue(object())
        with pytest.raises(BadCall, match="missing a required argument"):
            charge.using(on_commit=session).enqueue()


def test_a_push_that_fails_after_the_commit_says_which_jobs_and_leaves_the_session_usable(maker, queued):
    with maker() as session:
        session.add(Order(number=1))
        later = charge.using(on_commit=session, client=Client(NOWHERE))
        jids = [later.enqueue(1), later.enqueue_in(60, 2)]
        with pytest.raises(NotPushed, match=f"is committed.*{jids[0]}.*{jids[1]}.*Do not repeat") as caught:
            session.commit()
        assert session.scalars(select(Order.number)).all() == [1]
        session.add(Order(number=2))
        session.commit()
    assert caught.value.jids == tuple(jids)
    assert caught.value.uncertain == ()
    assert isinstance(caught.value, RedisError)


def test_jobs_that_were_not_pushed_can_be_pushed_from_the_error(maker, queued, own_client, db):
    with pytest.raises(NotPushed) as caught, maker.begin() as session:  # noqa: PT012 - its end raises
        later = charge.using(on_commit=session, client=Client(NOWHERE))
        jids = [later.enqueue_in(60, 2), later.enqueue(1)]
    assert own_client.push_many(caught.value.payloads) == 2
    assert queued() == [1]
    assert db.zcard("schedule") == 1
    assert jids[1].encode() in db.lindex("queue:default", 0)


def test_a_unique_job_takes_its_lock_when_it_is_pushed(maker, queued, db):
    unique = Job(lambda number: None, {"name": "unique", "unique_for": 60})
    with maker.begin() as session:
        unique.using(on_commit=session).enqueue(1)
        unique.using(on_commit=session).enqueue(1)
        charge.using(on_commit=session).enqueue(2)
        assert db.keys("sidelamb:lock:*") == []
    assert sorted(queued()) == [1, 2]


def test_of_several_round_trips_the_error_names_those_that_failed(maker, own_client, monkeypatch, queued):
    run, ran = own_client.link.run, []

    def second_fails(call, **options):
        ran.append(call.script)
        if len(ran) == 2:
            raise RedisUnreachable
        return run(call, **options)

    monkeypatch.setattr(own_client.link, "run", second_fails)
    unique = Job(lambda number: None, {"name": "unique", "unique_for": 60})
    with pytest.raises(NotPushed) as caught, maker.begin() as session:  # noqa: PT012 - its end raises
        third = unique.using(on_commit=session).enqueue(1)
        second = charge.using(on_commit=session).enqueue_in(60, 2)
        charge.using(on_commit=session).enqueue(3)
    assert caught.value.jids == (second, third)
    assert queued() == [3]


def test_of_a_lost_answer_the_error_says_which_jobs_are_perhaps_pushed(maker):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up():
            connection, _ = listening.accept()
            while b"EVALSHA" not in connection.recv(65536):
                connection.sendall(b"+OK\r\n")
            connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        with pytest.raises(NotPushed) as caught, maker.begin() as session:  # noqa: PT012 - its end raises
            client = Client(f"redis://127.0.0.1:{listening.getsockname()[1]}/0?protocol=2")
            later = charge.using(on_commit=session, client=client)
            jids = (later.enqueue(1), later.enqueue_in(60, 2))
        thread.join(5)
    assert caught.value.jids == jids
    assert caught.value.uncertain == jids[:1]


def test_a_process_that_dies_between_commit_and_push_takes_its_jobs_with_it(engine, maker, queued):
    """The limit that the page states, and what the outbox is for."""
    engine.dispose()
    client = Client(NOWHERE)
    pid = os.fork()
    if pid == 0:
        client.store_packed = lambda jobs: os.kill(os.getpid(), signal.SIGKILL)
        with maker.begin() as session:
            session.add(Order(number=1))
            charge.using(on_commit=session, client=client).enqueue(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with maker() as session:
        assert session.scalars(select(Order.number)).all() == [1]
    assert queued() == []


def test_a_scoped_session_is_asked_at_each_call(maker, queued):
    scoped = scoped_session(maker)
    later = charge.using(on_commit=scoped)
    later.enqueue(1)
    scoped.commit()
    scoped.remove()
    later.enqueue(2)
    scoped.remove()
    later.enqueue(3)
    scoped.commit()
    scoped.remove()
    assert queued() == [1, 3]


def test_a_class_of_sessions_of_ones_own_will_do(engine, queued):
    class Mine(Session):
        pass

    with sessionmaker(engine, class_=Mine).begin() as session:
        charge.using(on_commit=session).enqueue(1)
    assert queued() == [1]


def test_each_client_gets_its_own(maker, queued, redis_url, db):
    with maker.begin() as session:
        charge.using(on_commit=session).enqueue(1)
        charge.using(on_commit=session, client=Client(redis_url, namespace="other")).enqueue(2)
    assert queued() == [1]
    assert db.llen("other:queue:default") == 1


def test_what_is_no_transaction_is_refused(engine):
    with pytest.raises(
        BadOption, match=r"on_commit is 5 .int.; expected True .Django's default database., the alias"
    ):
        charge.using(on_commit=5)
    with pytest.raises(BadOption, match="give one of them"):
        charge.using(on_commit=True, outbox=True)
    with engine.connect() as connection, pytest.raises(BadOption, match="only a session"):
        charge.using(on_commit=connection).enqueue(1)
    with pytest.raises(UnknownOption, match="Did you mean 'on_commit'"):
        charge.using(on_comit=True)


def test_a_false_one_is_none(queued):
    charge.using(on_commit=False, outbox=None).enqueue(1)
    assert queued() == [1]


def test_a_job_of_another_service_can_wait_for_a_commit_too(maker, own_client, queued):
    with maker.begin() as session:
        own_client.job("Billing::ChargeJob", on_commit=session).enqueue(7)
        assert queued() == []
    assert queued() == [7]


def test_what_middleware_stops_is_not_kept(maker, redis_url, queued):
    client = Client(redis_url, middleware=[lambda payload, call: call(payload) if payload["args"][0] else None])
    with maker.begin() as session:
        later = charge.using(on_commit=session, client=client)
        assert later.enqueue(0) == ""
        assert later.enqueue_many([(0,), (1,)]) == 1
    assert queued() == [1]


@pytest.fixture
async def amaker(tmp_path):
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/adb.sqlite")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield async_sessionmaker(engine, expire_on_commit=False)
    await engine.dispose()


async def test_an_async_session_pushes_at_its_commit(amaker, queued, own_client):
    async with amaker.begin() as session:
        session.add(Order(number=1))
        later = charge.using(on_commit=session)
        jid = await later.aenqueue(1)
        later.enqueue(2)
        assert await later.aenqueue_many([(3,), (4,)]) == 2
        with suppress(LookupError):
            async with session.begin_nested():
                await later.aenqueue(5)
                raise LookupError
        await later.aenqueue_in(60, 6)
        assert queued() == []
    assert len(jid) == 24
    assert queued() == [1, 2, 3, 4]
    async with amaker() as session:
        await charge.using(on_commit=session).aenqueue(7)
        await session.rollback()
        await session.commit()
    assert queued() == [1, 2, 3, 4]
    await own_client.aclose()


async def test_a_scoped_async_session_is_asked_at_each_call(amaker, queued, own_client):
    scoped = async_scoped_session(amaker, scopefunc=asyncio.current_task)
    later = charge.using(on_commit=scoped)
    await later.aenqueue(1)
    await scoped.commit()
    await later.aenqueue(2)
    await scoped.remove()
    assert queued() == [1]
    await own_client.aclose()


async def test_the_event_loop_goes_on_while_an_async_commit_waits_for_redis(amaker):
    """A server that does not answer for a while, and a task beside it that is not held up."""

    async def slow(reader, writer):
        await reader.read(1)
        await asyncio.sleep(0.3)
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    client = Client(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    gaps = []

    async def beats():
        before = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - before)
            before = time.monotonic()

    beating = asyncio.create_task(beats())
    session = amaker()
    session.add(Order(number=1))
    jid = await charge.using(on_commit=session, client=client).aenqueue(1)
    before = len(gaps)
    with pytest.raises(NotPushed) as caught:
        await session.commit()
    assert caught.value.jids == (jid,)
    assert len(gaps) - before >= 10
    assert await session.scalar(select(Order.number)) == 1
    beating.cancel()
    await session.close()
    server.close()
    await client.aclose()
