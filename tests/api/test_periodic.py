"""What a person sees of periodic jobs and does to them, in blocking and in async code, on each kind of Redis."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from sidelamb import BadArgument, BadOption, ConfigError, SidelambError, job, periodic, timetable
from sidelamb.api import Periodics
from sidelamb.timetable import records_of
from sidelamb.timetable_calls import TimetableCalls
from sidelamb_handlers.scheduler import Scheduler

if TYPE_CHECKING:
    from sidelamb import Client


@job(name="periodic.api")
def tidy(where: str = "") -> None:
    """Do nothing."""


@pytest.fixture
def periodics(client: Client) -> Periodics:
    return Periodics(client)


def look(client: Client, ahead_s: float = 0.0) -> None:
    """Let a scheduler make a pass so many seconds from now."""
    now = client.now() + ahead_s
    Scheduler(client.link, client.store, clock=lambda: now).make_pass(now + 60)


def test_what_is_seen(client, periodics):
    periodics.register("night", tidy, "0 3 * * *", tz="Europe/Paris", args=["a"], missed="skip", queue="low")
    (one,) = periodics
    assert (one.name, one.job, one.cron, one.tz) == ("night", "periodic.api", "0 3 * * *", "Europe/Paris")
    assert (one.missed, one.queue, one.args, one.kwargs) == ("skip", "low", ["a"], {})
    assert (one.declared_by, one.is_paused, one.next_at, one.last) == ("", False, None, None)
    look(client)
    one = periodics.find("night")
    assert one.next_at.tzinfo is dt.UTC
    assert 0 < one.next_at.timestamp() - client.now() <= 25 * 3_600
    look(client, 86_400)
    last = periodics.find("night").last
    assert last is None, "it is skipped when it is so late"
    periodics.register("night", tidy, "0 3 * * *", tz="Europe/Paris")
    look(client, 2 * 86_400)
    (ticked,) = periodics.history("night")
    assert periodics.find("night").last == ticked
    assert len(ticked.jid) == 24
    assert 0 <= ticked.late_s == (ticked.enqueued_at - ticked.tick).total_seconds()
    assert periodics.find("nobody") is None
    assert periodics.history("nobody") == []


def test_pages(client, periodics):
    for n in range(7):
        periodics.register(f"p{n}", tidy, "0 3 * * *")
    assert periodics.size() == 7
    assert [[one.name for one in periodics.page(n, 3)] for n in range(4)] == [
        ["p0", "p1", "p2"],
        ["p3", "p4", "p5"],
        ["p6"],
        [],
    ]
    with pytest.raises(BadArgument, match=r"Periodics\.page"):
        periodics.page(-1)


def test_the_history_has_an_end(client, periodics):
    periodics.register("p", tidy, "* * * * *", missed="all")
    look(client)
    look(client, 3_600)
    look(client, 10_800)
    found = periodics.history("p")
    assert len(found) == 100
    assert found[0].tick - found[1].tick == dt.timedelta(minutes=1)


@pytest.mark.parametrize("verb", ["pause", "resume", "run_now"])
def test_a_name_that_is_none(periodics, verb):
    periodics.register("night", tidy, "0 3 * * *")
    with pytest.raises(ConfigError, match=r"there is no periodic job 'nigth'\. Did you mean 'night'"):
        getattr(periodics, verb)("nigth")


def test_a_job_that_is_none(periodics):
    with pytest.raises(BadOption, match="periodic p: 'tidy'"):
        periodics.register("p", "tidy", "* * * * *")


def test_arguments_that_are_none(periodics):
    with pytest.raises(BadOption, match="periodic p: args is 'abc'"):
        periodics.register("p", tidy, "* * * * *", args="abc")


def test_what_code_declares_is_not_registered_over(client, periodics, monkeypatch):
    monkeypatch.setattr(timetable, "declared", {})
    periodic("0 3 * * *", name="night")(tidy)
    client.link.run(
        TimetableCalls(client.store.keys).sync(records_of("app", timetable.declared.values()), client.now())
    )
    with pytest.raises(ConfigError, match="periodic night is declared by the code or the file of app"):
        periodics.register("night", tidy, "* * * * *")
    assert periodics.find("night").cron == "0 3 * * *"
    assert periodics.drop("night")
    periodics.register("night", tidy, "* * * * *")


def test_to_register_the_same_again_moves_nothing(client, periodics):
    periodics.register("p", tidy, "0 3 * * *")
    look(client)
    before = periodics.find("p").next_at
    periodics.register("p", tidy, "0 3 * * *")
    assert periodics.find("p").next_at == before is not None


def test_a_record_that_cannot_be_read_is_shown_and_not_run(client, periodics):
    client.link.command("HSET", client.store.keys.periodic, "p", "{")
    client.link.command("RPUSH", client.store.keys.periodic_history("p"), "\x00 x", "5")
    (one,) = periodics
    assert (one.name, one.job, one.cron, one.next_at) == ("p", "", "", None)
    assert len(periodics.history("p")) == 2
    with pytest.raises(SidelambError, match="its record cannot be read"):
        periodics.run_now("p")


async def test_all_of_it_in_async_code(client):
    periodics = Periodics(client)
    await periodics.aregister("p", tidy, "0 3 * * *")
    assert [one.name async for one in periodics] == ["p"]
    assert await periodics.asize() == 1
    assert len(await periodics.apage()) == 1
    assert await periodics.apause("p")
    assert (await periodics.afind("p")).is_paused
    assert await periodics.aresume("p")
    jid = await periodics.arun_now("p")
    assert [one.jid for one in await periodics.ahistory("p")] == [jid]
    assert await periodics.adrop("p")
    await client.aclose()
