"""What type checkers must see: checked by mypy and pyright, never run. A wrong call that they let pass is an
unused ignore, which both report."""

from __future__ import annotations

import datetime as dt
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, assert_type

from sidelamb import (
    Batch,
    Batches,
    BatchStatus,
    CallNext,
    Client,
    CurrentJob,
    Handle,
    Job,
    Payload,
    Progress,
    Status,
    cancel,
    carry,
    chain,
    configure,
    current_batch,
    delay,
    group,
    job,
    on_death,
    periodic,
)
from sidelamb.api import Holder, Limits, LimitState, Lock, Locks, Periodic, Periodics, Ticked
from sidelamb.limits import Concurrent, OverLimit
from sidelamb.notify import on_old_queue, sns, webhook
from sidelamb.outbox import Relay
from sidelamb.testing import Drained, Recorded, drain, fake
from sidelamb.workflows.steps import Run, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session, scoped_session


@job
def send(user_id: int, subject: str = "hello", *, urgent: bool = False) -> float:
    return 1.0


@job(name="app.charge", aliases=["app.pay"], queue="billing", max_retries=3, on_exhausted="discard", tags=["a"])
async def charge(amount: int) -> str:
    return ""


def of_a_coroutine(_: Handle[Coroutine[Any, Any, str]]) -> None: ...


@job(timeout=dt.timedelta(seconds=30))
def nothing() -> None: ...


@job(queue="low")
def reindex(table: str, *, cursor: int | None = None) -> Iterator[int]:
    yield 1


@job
async def areindex(table: str, *, cursor: str | None = None) -> AsyncIterator[str]:
    yield "a"


@reindex.on_start
def started(me: CurrentJob) -> int:
    return me.executions


assert_type(started, "Callable[[CurrentJob], int]")
reindex.enqueue("users")
reindex.enqueue("users", cursor=5)
reindex.enqueue(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
reindex.on_stop(lambda me: print(me.cursor, me.cancelled))
reindex.on_stop(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(reindex("users"), "Iterator[int]")
assert_type(areindex("users"), "AsyncIterator[str]")
cancel("jid")
cancel(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class User:
    @job
    @staticmethod
    def outer_static(user_id: int) -> str:
        return ""

    @staticmethod
    @job(queue="low")
    def inner_static(user_id: int) -> str:
        return ""

    @job
    @classmethod
    def outer_class(cls, user_id: int) -> str:
        return ""

    @classmethod
    @job(queue="low")
    def inner_class(cls, user_id: int) -> str:
        return ""

    @job(queue="low")
    @classmethod
    async def async_class(cls, user_id: int) -> str:
        return ""

    def method(self) -> None:
        self.outer_class.enqueue(1)
        self.inner_static.enqueue(1)

    @classmethod
    def class_method(cls) -> None:
        cls.outer_class.enqueue(1)
        cls.inner_static.enqueue(1)


class Admin(User):
    pass


def calling() -> None:
    assert_type(send(1), float)
    assert_type(send(1, "hi", urgent=True), float)
    assert_type(nothing(), None)
    assert_type(User.outer_static(1), str)
    assert_type(User.inner_static(1), str)
    assert_type(User.outer_class(1), str)
    assert_type(User.inner_class(1), str)
    assert_type(Admin.inner_class(1), str)
    assert_type(User().outer_class(1), str)
    send("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    User.outer_class("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaiting() -> None:
    assert_type(await charge(1), str)
    assert_type(await User.async_class(1), str)
    of_a_coroutine(await charge.aenqueue(1))
    of_a_coroutine(await charge.aenqueue_in(5, 1))
    of_a_coroutine(await charge.aenqueue_at(5.0, 1))
    assert_type(await charge.aenqueue_many([(1,)]), int)
    coroutine: Coroutine[Any, Any, str] = charge(1)
    coroutine.close()
    await charge.aenqueue("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await charge.aenqueue_in("5", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await charge.aenqueue_in(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def enqueuing() -> None:
    assert_type(send.enqueue(1), Handle[float])
    assert_type(send.enqueue(1, "hi", urgent=True), Handle[float])
    of_a_coroutine(charge.enqueue(1))
    assert_type(nothing.enqueue(), Handle[None])
    send.enqueue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.enqueue("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.enqueue(1, "hi", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.enqueue(1, urgent="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.enqueue(1, queue="low")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    nothing.enqueue(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def enqueuing_methods() -> None:
    assert_type(User.outer_static.enqueue(1), Handle[str])
    assert_type(User.inner_static.enqueue(1), Handle[str])
    assert_type(User.outer_class.enqueue(1), Handle[str])
    assert_type(User.inner_class.enqueue(1), Handle[str])
    of_a_coroutine(User.async_class.enqueue(1))
    assert_type(User().inner_class.enqueue(1), Handle[str])
    User.outer_static.enqueue("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    User.inner_static.enqueue("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    User.outer_class.enqueue("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    User.inner_class.enqueue("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    User.async_class.enqueue(User, 1)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]


def enqueuing_later() -> None:
    assert_type(send.enqueue_in(5, 1, urgent=True), Handle[float])
    assert_type(send.enqueue_in(dt.timedelta(hours=1), 1), Handle[float])
    assert_type(send.enqueue_at(dt.datetime.now(dt.UTC), 1), Handle[float])
    assert_type(send.enqueue_at(1_800_000_000, 1), Handle[float])
    assert_type(User.outer_class.enqueue_in(5, 1), Handle[str])
    send.enqueue_in("5", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.enqueue_in(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.enqueue_in(5, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.enqueue_at("2100-01-01", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    User.outer_class.enqueue_at(5, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def enqueuing_many() -> None:
    assert_type(send.enqueue_many([(1,), (2, "hi")]), int)
    assert_type(send.enqueue_many(((n,) for n in range(3)), progress=lambda done: None), int)
    assert_type(send.enqueue_many([{"user_id": 1}]), int)
    send.enqueue_many([1, 2])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    send.enqueue_many(["ab"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    send.enqueue_many([(1,)], progress=print, size=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@job
def sync(ids: list[int], *, account: int = 0) -> None: ...


async def splitting() -> None:
    assert_type(sync.enqueue_chunks(range(100), size=10), int)
    assert_type(sync.using(queue="low").enqueue_chunks([1, 2], size=1, progress=print), int)
    assert_type(await sync.aenqueue_chunks({1, 2}, size=10), int)
    sync.enqueue_chunks(["a"], size=10)  # pyright: ignore[reportArgumentType]
    sync.enqueue_chunks([1])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.enqueue_chunks([1], size=10)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def with_options(client: Client) -> None:
    assert_type(
        send.using(queue="low", tags=["a"], max_retries=0, timeout=1.5, client=client).enqueue(1), Handle[float]
    )
    assert_type(User.outer_class.using(on_exhausted="dead").enqueue_in(5, 1), Handle[str])
    send.using(queue="low").enqueue("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.using(queue="low").enqueue_in(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.using(qeue="low")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.using(max_retries="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.using(on_exhausted="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def with_delay() -> None:
    assert_type(delay(send)(1, urgent=True), str)
    assert_type(delay(charge)(1), str)
    assert_type(delay(User.outer_static)(1), str)
    assert_type(delay(User.inner_static)(1), str)
    assert_type(delay(User.outer_class)(1), str)
    assert_type(delay(User.inner_class)(1), str)
    delay(send)("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    delay(send)()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    delay(User.outer_class)("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    delay(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def by_name(client: Client) -> None:
    assert_type(client.enqueue("Billing::ChargeJob", 12, queue="billing", max_retries=0), Handle[Any])
    assert_type(client.enqueue_many("Billing::ChargeJob", [(1,)], queue="billing"), int)
    assert_type(client.push({"class": "X", "args": []}), str)
    client.enqueue("Billing::ChargeJob", 12, qeue="billing")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.enqueue(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def declaring() -> None:
    job(qeue="low")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    job(max_retries="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    job(on_exhausted="drop")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    job("mail")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


def passing_jobs_on() -> None:
    def takes(some: Job[[int], str]) -> None:
        some.enqueue(1)

    def takes_callable(some: Callable[[int], str]) -> None:
        some(1)

    takes(User.outer_static)
    takes(User.outer_class)
    takes_callable(User.inner_class)


@job
def untyped_data(data: dict[str, Any], *rest: int, **named: str) -> list[int]:
    return []


def with_loose_types() -> None:
    untyped_data.enqueue({"a": object()}, 1, 2, name="x")
    untyped_data.enqueue([])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    untyped_data.enqueue({}, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def tenant(payload: Payload, call_next: CallNext) -> Payload | None:
    return call_next({**payload, "tenant": 1})


def configuring() -> None:
    configure(redis="redis://localhost/0", middleware=[tenant], queues=["default"], max_payload=1_000)
    configure(middleware=[len])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def results() -> None:
    assert_type(send.enqueue(1).result(timeout=5), float)
    assert_type(charge.enqueue(1).result(), str)
    assert_type(await send.enqueue(1).aresult(5), float)
    assert_type(await (await charge.aenqueue(1)).aresult(), str)
    assert_type(send.enqueue(1).status(), Status)
    assert_type(send.enqueue(1).status().progress, Progress | None)
    kept: str = send.enqueue(1)
    assert_type(Handle[float](kept).result(), float)


class Order:
    number: int


@job
def ship(order: Order, when: dt.datetime) -> None: ...


def in_a_transaction(
    session: Session, asession: AsyncSession, scoped: scoped_session[Session], engine: Engine
) -> None:
    assert_type(ship.using(on_commit=session).enqueue(Order(), dt.datetime.now(dt.UTC)), "Handle[None]")
    ship.using(on_commit=True).enqueue(Order(), dt.datetime.now(dt.UTC))
    ship.using(on_commit="archive", queue="low").enqueue(Order(), dt.datetime.now(dt.UTC))
    ship.using(on_commit=scoped).enqueue(5, 6)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ship.using(outbox=asession).enqueue_many([(1,)])
    ship.using(on_commit=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client().job("Billing::ChargeJob", on_commit=session).enqueue(1)
    Relay(engine).drain()
    Relay(True).run_once()
    Relay(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


testing_tenant: ContextVar[str] = ContextVar("tenant")


def same_order(order: int, card: str) -> int:
    return order


@job(encrypt=True, idempotent=same_order, idempotent_for=60)
def pay(order: int, card: str) -> None: ...


def features() -> None:
    carry(testing_tenant)
    carry("tenant")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    configure(keys={"k1": b"0" * 32})
    pay.using(encrypt=True).enqueue(1, "4")
    pay.using(idempotent=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    on_old_queue(300)(webhook("https://example.org", secret="s"))
    on_death(sns("arn:aws:sns:eu-west-1:1:t"))


def in_tests() -> None:
    with fake() as jobs:
        pay.enqueue(1, "4")
    assert_type(jobs.assert_enqueued(pay, 1, queue="default"), Recorded)
    assert_type(drain(until=60.0), Drained)
    assert_type(drain().failed, int)


api = Concurrent(5, name="api", by=str)


@job(unique_for=60, limit=api)
def guarded(tenant: str) -> None:
    with api.hold(key=tenant, wait=1):
        pass
    try:
        with api:
            pass
    except OverLimit as over:
        assert_type(over.in_s, float)


async def of_guards() -> None:
    async with api, api.ahold(key="acme"):
        pass
    locks, limits = Locks(), Limits()
    for lock in locks:
        assert_type(lock, Lock)
        assert_type(locks.release(lock), bool)
    assert_type(locks.of(guarded, "acme"), Lock | None)
    assert_type(await locks.afind("jid"), Lock | None)
    assert_type(locks.release_lost(), list[Lock])
    locks.release(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async for limit in limits:
        assert_type(limit, LimitState)
        assert_type(limits.holders(limit), list[Holder])
        assert_type(limit.free, int)
    assert_type(limits.get(api, key="acme"), LimitState | None)
    limits.release("api", "jid")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@periodic("0 3 * * *", tz="Europe/Paris", args=[12], missed="skip", queue="low")
@job
def nightly(day: int) -> str:
    return ""


assert_type(nightly.enqueue(1), Handle[str])
periodic("0 3 * * *", name="second")(nightly)
periodic(5)(nightly)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
periodic("0 3 * * *", missed="some")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
periodic("0 3 * * *", qeue="low")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
periodic("0 3 * * *")(str)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


async def periodics(client: Client, me: CurrentJob) -> None:
    every = Periodics(client)
    every.register("p", nightly, "0 3 * * *", args=[12], kwargs={"a": 1}, missed="all", queue="low")
    every.register("p", 5, "0 3 * * *")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(list(every), list[Periodic])
    assert_type(every.page(0), list[Periodic])
    assert_type(every.find("p"), Periodic | None)
    assert_type(every.history("p"), list[Ticked])
    assert_type(every.history("p")[0].late_s, float | None)
    assert_type(every.pause("p"), bool)
    assert_type(await every.aresume("p"), bool)
    assert_type(await every.arun_now("p"), str)
    assert_type(every.drop("p"), bool)
    every.refresh()
    assert_type([one.next_at async for one in every], list[dt.datetime | None])
    assert_type(me.tick, float | None)


@job
def done(status: BatchStatus, options: dict[str, Any]) -> None: ...


@job
def add(a: int, b: int) -> int:
    return a + b


async def in_batches() -> None:
    with Batch("import", on_success=done, on_death=done.using(queue="low"), options={"file": 12}) as batch:
        assert_type(batch, Batch)
    assert_type(batch.status(), BatchStatus)
    assert_type(batch.wait(5, progress=True), BatchStatus)
    assert_type(batch.results(), dict[str, Any])
    assert_type(batch.status().dead, tuple[str, ...])
    async with Batch(autoflush=100) as batch:
        assert_type(await batch.astatus(), BatchStatus)
    assert_type(await batch.await_(5), BatchStatus)
    assert_type(current_batch(), Batch)
    assert_type(Batches().page(0), list[BatchStatus])
    Batch(on_success=webhook("https://example.org", secret="s"), on_death=sns("arn:aws:sns:eu-west-1:1:t"))
    Batch(on_success=print)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Batch(autoflush="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def in_workflows() -> None:
    assert_type(add.s(1), Step[int])
    assert_type(add.si(1, 2), Step[int])
    assert_type(add.using(queue="low").s(), Step[int])
    assert_type(chain(add.s(1, 2), group(add.s(n) for n in range(3)), add.si(1, 2)).enqueue(), Run)
    add.si(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
