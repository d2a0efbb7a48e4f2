"""Jobs in transactions of Django's. Run by test_django.py, in a process whose settings these are."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import unittest
from contextlib import suppress

import django
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.transaction import TransactionManagementError
from django.test import TestCase

if not settings.configured:
    folder = tempfile.mkdtemp()
    settings.configure(
        DATABASES={
            name: {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{folder}/{name}",
                "TEST": {"NAME": f"{folder}/{name}"},
            }
            for name in ("default", "other")
        },
        INSTALLED_APPS=["sidelamb.outbox.django"],
        USE_TZ=True,
    )
    django.setup()
    for name in ("default", "other"):
        call_command("migrate", database=name, verbosity=0)

from sidelamb import BadCall, Client, NotPushed, RedisUnreachable
from sidelamb.outbox import Relay
from sidelamb.outbox.django.models import OutboxJob
from tests.transactions.conftest import NOWHERE, charge


@pytest.fixture(autouse=True)
def rows():
    """The outboxes, empty."""
    for name in connections:
        OutboxJob.objects.using(name).all().delete()
    return OutboxJob.objects


def test_a_job_is_pushed_after_the_commit_and_its_id_is_known_before(queued, db):
    with transaction.atomic():
        jid = charge.using(on_commit=True).enqueue(1)
        assert len(jid) == 24
        assert queued() == []
    assert queued() == [1]
    assert jid.encode() in db.lindex("queue:default", 0)


def test_outside_of_a_transaction_it_is_pushed_at_once(queued):
    charge.using(on_commit=True).enqueue(1)
    assert queued() == [1]
    with pytest.raises(RedisUnreachable, match="Certainly not stored"):
        charge.using(on_commit=True, client=Client(NOWHERE)).enqueue(1)


def test_after_a_rollback_nothing_is_pushed(queued):
    with suppress(LookupError), transaction.atomic():
        charge.using(on_commit=True).enqueue(1)
        raise LookupError
    with transaction.atomic():
        charge.using(on_commit=True).enqueue(2)
        transaction.set_rollback(True)
    assert queued() == []


def test_a_savepoint_takes_its_own_jobs_with_it_and_no_others(queued):
    later = charge.using(on_commit=True)
    with transaction.atomic():
        later.enqueue(1)
        with suppress(LookupError), transaction.atomic():
            later.enqueue(2)
            with transaction.atomic():
                later.enqueue(3)
            raise LookupError
        with transaction.atomic():
            later.enqueue(4)
        later.enqueue(5)
        with suppress(LookupError), transaction.atomic():
            later.enqueue(6)
            raise LookupError
    assert queued() == [1, 4, 5]


def test_the_last_one_may_be_rolled_back_and_the_others_are_pushed(queued, trips):
    later = charge.using(on_commit=True)
    with transaction.atomic():
        for number in range(6):
            with transaction.atomic():
                later.enqueue(number)
                with transaction.atomic():
                    later.enqueue(number + 10)
                transaction.set_rollback(bool(number % 2))
    assert sorted(queued()) == [0, 2, 4, 10, 12, 14]
    assert len(trips) == 1


def test_the_jobs_of_a_transaction_are_pushed_in_one_round_trip_and_in_order(queued, trips):
    later = charge.using(on_commit=True)
    with transaction.atomic():
        for number in range(500):
            later.enqueue(number)
        later.enqueue_many((number,) for number in range(500, 600))
        for number in range(600, 700):
            with transaction.atomic():
                later.enqueue(number)
        later.enqueue_in(60, 1)
        assert trips == []
    assert trips == ["enqueue", "schedule"]
    assert queued() == list(range(700))


def test_jobs_keep_their_place_among_other_callbacks(queued):
    seen = []
    with transaction.atomic():
        charge.using(on_commit=True).enqueue(1)
        transaction.on_commit(lambda: seen.append(queued()))
        charge.using(on_commit=True).enqueue(2)
    assert seen == [[1]]
    assert queued() == [1, 2]


def test_another_database_is_named_by_its_alias(queued):
    with transaction.atomic(), suppress(LookupError), transaction.atomic(using="other"):
        charge.using(on_commit="default").enqueue(1)
        charge.using(on_commit="other").enqueue(2)
        assert queued() == []
        raise LookupError
    assert queued() == [1]
    with transaction.atomic():
        with transaction.atomic(using="other"):
            charge.using(on_commit="other").enqueue(3)
        assert queued() == [1, 3]


def test_what_is_wrong_with_a_call_is_said_where_it_stands():
    with transaction.atomic(), pytest.raises(BadCall):
        charge.using(on_commit=True).enqueue()


def test_a_push_that_fails_after_the_commit_says_which_jobs(rows):
    later = charge.using(on_commit=True, client=Client(NOWHERE))
    jids = []
    with pytest.raises(NotPushed) as caught, transaction.atomic():  # noqa: PT012 - its end raises
        charge.using(outbox=True).enqueue(1)
        jids += [later.enqueue(1), later.enqueue(2)]
    assert caught.value.jids == tuple(jids)
    assert [payload["args"] for payload in caught.value.payloads] == [[1], [2]]
    assert rows.count() == 1


def test_without_autocommit_django_says_no():
    transaction.set_autocommit(False)
    try:
        with pytest.raises(TransactionManagementError):
            charge.using(on_commit=True).enqueue(1)
    finally:
        transaction.set_autocommit(True)


async def test_async_code_without_a_transaction_pushes_at_once(queued):
    await charge.using(on_commit=True).aenqueue(1)
    assert queued() == [1]
    await sync_to_async(connections.close_all)()


def test_async_code_called_within_a_transaction_is_a_part_of_it(queued):
    async def called():
        await charge.using(on_commit=True).aenqueue(1)
        await charge.using(outbox=True).aenqueue(2)

    with transaction.atomic():
        async_to_sync(called)()
        assert queued() == []
        assert OutboxJob.objects.count() == 1
    assert queued() == [1]


def test_a_thread_has_transactions_of_its_own(queued):
    def other():
        charge.using(on_commit=True).enqueue(1)
        connection.close()

    with transaction.atomic():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert queued() == [1]


def test_djangos_tests_can_see_and_run_what_waits(queued):
    class Case(TestCase):
        databases = {"default"}  # noqa: RUF012

        def test_it(self):
            charge.using(on_commit=True).enqueue(0)
            with self.captureOnCommitCallbacks(execute=True) as callbacks:
                charge.using(on_commit=True).enqueue(1)
                charge.using(on_commit=True).enqueue(2)
            self.assertEqual(len(callbacks), 2)  # noqa: PT009
            self.assertEqual(queued(), [1, 2])  # noqa: PT009
            with self.captureOnCommitCallbacks(execute=True):
                charge.using(on_commit=True).enqueue(3)
            self.assertEqual(queued(), [1, 2, 3])  # noqa: PT009

    result = unittest.TestResult()
    unittest.TestSuite([Case("test_it")]).run(result)
    assert result.wasSuccessful(), result.errors + result.failures
    assert result.testsRun == 1
    assert queued() == [1, 2, 3]


# --- the outbox ----------------------------------------------------------------------------------------------


def test_the_outbox_has_a_job_if_and_only_if_the_transaction_was_committed(rows, queued):
    with transaction.atomic():
        jid = charge.using(outbox=True).enqueue(1)
        charge.using(outbox=True).enqueue_many([(2,), (3,)])
    with suppress(LookupError), transaction.atomic():
        charge.using(outbox=True).enqueue(4)
        raise LookupError
    assert queued() == []
    first = rows.order_by("id").first()
    assert (first.jid, first.job, first.queue, first.at) == (jid, "charge", "default", None)
    assert str(first) == f"charge (jid {jid})"
    assert first.created_at is not None
    assert Relay(True).run_once() == 3
    assert queued() == [1, 2, 3]
    assert rows.count() == 0


def test_an_outbox_of_another_database_has_its_own_relay(rows, queued):
    charge.using(outbox="other").enqueue(1)
    assert Relay(True).drain() == 0
    assert Relay("other").drain() == 1
    assert queued() == [1]


def test_what_redis_did_not_take_stays(rows, queued):
    charge.using(outbox=True).enqueue_many([(1,), (2,)])
    with pytest.raises(RedisUnreachable):
        Relay(True, Client(NOWHERE)).run_once()
    assert rows.count() == 2
    assert Relay(True).drain() == 2
    assert queued() == [1, 2]


def test_rows_that_another_relay_took_meanwhile_are_not_pushed(rows, queued, monkeypatch):
    charge.using(outbox=True).enqueue_many([(1,), (2,)])
    relay = Relay(True)
    monkeypatch.setattr("sidelamb.outbox.in_django.packed", lambda row: pytest.fail("pushed"))
    monkeypatch.setattr(type(rows.all()), "delete", lambda query: (1, {}))
    assert relay.run_once() == 0
    assert queued() == []
    assert rows.count() == 2


def test_the_command_relays(rows, queued):
    charge.using(outbox=True).enqueue(1)
    call_command("sidelamb_outbox", once=True)
    assert queued() == [1]


def test_the_migration_is_what_the_model_says():
    call_command("makemigrations", "sidelamb_outbox", check=True, dry_run=True, verbosity=0)


async def test_async_code_writes_to_the_outbox(queued):
    await charge.using(outbox=True).aenqueue(1)
    assert await asyncio.to_thread(_relayed) == 1
    assert queued() == [1]
    await sync_to_async(connections.close_all)()


def _relayed():
    try:
        return Relay(True).drain()
    finally:
        connection.close()
