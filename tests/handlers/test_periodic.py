"""Periodic jobs: a tick is enqueued once, whoever dies, comes twice, or has another time on the clock."""

from __future__ import annotations

import datetime as dt
import json
import random
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from sidelamb import Client, job, periodic, registry, timetable
from sidelamb.api import Periodics
from sidelamb.errors import RedisError
from sidelamb.link import Link
from sidelamb.timetable_calls import HOLD_S, MARK, Planned, Synced, TimetableCalls
from sidelamb_handlers.declaring import Declaring
from sidelamb_handlers.scheduler import Scheduler
from tests.handlers.kit import STORE, Context, event_for, reserve, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

START = dt.datetime(2027, 3, 1, 12, 0, 30, tzinfo=dt.UTC).timestamp()
MINUTE = 60.0


@job(name="clean")
def clean(what: str = "all") -> None:
    """Do nothing."""


@job(name="lone", unique_for=3_600)
def lone() -> None:
    """Do nothing."""


class Clock:
    """The time, which goes on only when it is told."""

    def __init__(self, at: float = START) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, timetable.Entry]:
    """What this process declares: nothing yet."""
    own: dict[str, timetable.Entry] = {}
    monkeypatch.setattr(timetable, "declared", own)
    return own


@pytest.fixture
def scheduler(link: Link, clock: Clock) -> Scheduler:
    return Scheduler(link, STORE, clock=clock)


@pytest.fixture
def periodics(redis_url: str, clock: Clock) -> Iterator[Periodics]:
    """The API, on the same clock."""
    client = Client(redis_url)
    client.now = clock  # type: ignore[method-assign]
    yield Periodics(client)
    client.link.close()


@pytest.fixture
def deploy(link: Link, clock: Clock, tmp_path: Any, declared: dict[str, Any]) -> Callable[..., Scheduler]:
    """Starts a scheduler's sandbox with code that declares this, asked to look at it."""

    def start(*entries: tuple[str, str], file: str = "", ask: bool = True, **environ: str) -> Scheduler:
        declared.clear()
        for name, cron in entries:
            periodic(cron, name=name)(clean)
        (tmp_path / "sidelamb.toml").write_text(file)
        if ask:
            link.command(*TimetableCalls(STORE.keys).ask())
        environ = {"SIDELAMB_STACK": "app", "SIDELAMB_JOBS": "json", "LAMBDA_TASK_ROOT": str(tmp_path), **environ}
        return Scheduler(link, STORE, clock=clock, declaring=Declaring(environ, link, STORE))

    return start


def go(scheduler: Scheduler, *, minute: bool = True) -> int:
    """Make a pass; return how many periodic jobs it enqueued."""
    return scheduler.make_pass(float("inf"), minute=minute).ticked


def ticks(db: redis.Redis) -> list[float]:
    """For which times jobs are enqueued, in order."""
    return [json.loads(raw)["tick"] for raw in waiting(db)]


def names(periodics: Periodics) -> list[str]:
    return [one.name for one in periodics]


class TestOnce:
    def test_a_tick_is_enqueued_at_its_time_and_not_again(self, periodics, scheduler, clock, db):
        periodics.register("p", clean, "* * * * *", args=["x"], queue="default")
        assert [go(scheduler) for _ in range(3)] == [0, 0, 0]
        clock.at = START + 30
        assert [go(scheduler) for _ in range(3)] == [1, 0, 0]
        (raw,) = waiting(db)
        told = json.loads(raw)
        assert (told["class"], told["args"], told["queue"]) == ("clean", ["x"], "default")
        assert told["tick"] == START + 30
        assert told["enqueued_at"] == told["created_at"] == START + 30

    def test_sixteen_schedulers_at_once_enqueue_each_tick_once(self, periodics, redis_url, db):
        clocks = [Clock(), Clock()]
        for n in range(5):
            periodics.register(f"p{n}", clean, "* * * * *")
        links = [Link(redis_url) for _ in range(8)]
        schedulers = [Scheduler(link, STORE, clock=clocks[n % 2]) for n, link in enumerate(links)]
        go(schedulers[0])
        barrier = threading.Barrier(8)

        def race(scheduler: Scheduler) -> None:
            barrier.wait()
            for _ in range(3):
                go(scheduler)

        for minute in range(1, 4):
            clocks[0].at = START + minute * MINUTE
            clocks[1].at = clocks[0].at - 5
            threads = [threading.Thread(target=race, args=(each,)) for each in schedulers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
        found = sorted(ticks(db))
        assert found == sorted([START + 30 + n * MINUTE for n in range(3)] * 5)
        assert len({json.loads(raw)["jid"] for raw in waiting(db)}) == 15
        for link in links:
            link.close()

    @pytest.mark.parametrize("seed", range(6))
    def test_clocks_apart_and_changes_in_between_lose_nothing_and_repeat_nothing(
        self, seed, periodics, link, deploy, clock, db
    ):
        """Schedulers up to 5 s ahead and behind, deploys that change its arguments, at random moments."""
        dice, real = random.Random(seed), START
        periodics.register("p", clean, "* * * * *")
        go(Scheduler(link, STORE, clock=clock))
        for _ in range(150):
            real += dice.uniform(0.1, 8)
            clock.at = real + dice.uniform(-5, 5)
            if dice.random() < 0.2:
                periodics.register("p", clean, "* * * * *", args=[str(dice.random())])
            else:
                go(Scheduler(link, STORE, clock=clock))
        clock.at = real
        go(Scheduler(link, STORE, clock=clock))
        found = ticks(db)
        assert found == [START + 30 + n * MINUTE for n in range(len(found))]
        assert real - MINUTE - 5 < found[-1]

    def test_a_full_redis_loses_no_tick(self, periodics, scheduler, clock, db):
        periodics.register("p", clean, "* * * * *", missed="all")
        go(scheduler)
        clock.at = START + 30
        db.config_set("maxmemory", 1)
        go(scheduler)
        assert not waiting(db)
        db.config_set("maxmemory", 0)
        clock.at += MINUTE
        assert go(scheduler) == 2
        assert ticks(db) == [START + 30, START + 90]

    def test_a_unique_job_that_is_there_still_keeps_the_next_out(self, periodics, scheduler, clock, db):
        periodics.register("p", lone, "* * * * *")
        go(scheduler)
        for _ in range(2):
            clock.at += MINUTE
            go(scheduler)
        assert len(waiting(db)) == 1
        second, first = periodics.history("p")
        assert (first.kept_out_by, second.kept_out_by) == ("", first.jid)

    def test_one_that_cannot_be_enqueued_does_not_stop_the_others(self, periodics, scheduler, clock, db, lines):
        db.set("queue:broken", "no list")
        periodics.register("a", clean, "* * * * *", queue="broken")
        periodics.register("b", clean, "* * * * *")
        go(scheduler)
        clock.at += MINUTE
        assert go(scheduler) == 1
        assert any("periodic a could not be enqueued" in line["text"] for line in lines)
        db.delete("queue:broken")
        assert go(scheduler) == 1

    def test_more_than_are_read_at_a_time(self, periodics, scheduler, clock, db):
        for n in range(250):
            periodics.register(f"p{n}", clean, "* * * * *")
        go(scheduler)
        clock.at += MINUTE
        assert go(scheduler) == 250

    def test_a_record_that_somebody_else_wrote_is_named_and_left_out(self, periodics, scheduler, clock, db, lines):
        periodics.register("good", clean, "* * * * *")
        for n, raw in enumerate([b"{", b"[]", b'{"payload":{}}', b"\xff", b""]):
            db.hset("sidelamb:periodic", f"bad{n}", raw)
            db.zadd("sidelamb:periodic:due", {f"bad{n}": START})
        go(scheduler)
        clock.at += MINUTE
        assert go(scheduler) == 1
        assert sum("its record cannot be read; declare it anew" in line["text"] for line in lines) == 5
        assert periodics.find("bad0").next_at is None
        periodics.register("bad0", clean, "* * * * *")
        go(scheduler)
        clock.at += MINUTE
        assert go(scheduler) == 2

    def test_what_another_program_wrote_keeps_nobody_waiting(self, periodics, scheduler, clock, db, lines):
        periodics.register("good", clean, "* * * * *")
        right = json.loads(db.hget("sidelamb:periodic", "good"))
        odd: dict[bytes, Any] = {
            b"\xff\xfe": (right, 1),
            b"far": (right, -1e300),
            b"before all": (right, "-inf"),
            b"expires": ({**right, "expires_in": "x"}, 1),
            b"args": ({**right, "payload": {**right["payload"], "args": 5}}, 1),
            b"limit": ({**right, "payload": {**right["payload"], "limit": 5, "result_ttl": {}}}, 1),
            b"deep": ({**right, "cron": "* " * 5_000}, 1),
            b"none": (None, 1),
        }
        for name, (record, score) in odd.items():
            if record is not None:
                db.hset("sidelamb:periodic", name, json.dumps(record))
            db.zadd("sidelamb:periodic:due", {name: score})
        db.hset("sidelamb:periodic:last", "good", "never")
        go(scheduler)
        clock.at += MINUTE
        assert go(scheduler) == 2  # and the one whose features are odd, which a worker will say
        assert db.zrange("sidelamb:periodic:due", 0, -1) == [b"good", b"limit"]
        assert len(list(periodics)) == 8

    def test_run_now_is_not_sent_twice(self, periodics):
        calls = TimetableCalls(STORE.keys)
        planned = Planned("p", START, b"{}", paused=False, last=0.0)
        assert not calls.tick(planned, START, None, START, []).repeatable
        assert calls.tick(planned, START + 60, START, START, []).repeatable


class TestSummerTime:
    """A scheduler that looks every five minutes, through the nights in which clocks change."""

    @pytest.mark.parametrize(
        ("day", "tz"),
        [
            (dt.date(2026, 3, 29), "Europe/Paris"),
            (dt.date(2026, 10, 25), "Europe/Paris"),
            (dt.date(2026, 3, 8), "America/New_York"),
            (dt.date(2026, 11, 1), "America/New_York"),
        ],
    )
    def test_a_night(self, day, tz, periodics, scheduler, clock, db):
        start = clock.at = dt.datetime.combine(day, dt.time(0, 1), ZoneInfo(tz)).timestamp()
        for cron in ("*/15 * * * *", "30 1 * * *", "30 2 * * *"):
            periodics.register(cron.replace(" ", "_").replace("/", "-"), clean, cron, tz=tz, args=[cron])
        while clock.at < start + 6 * 3_600:
            go(scheduler)
            clock.at += 300
        found: dict[str, list[float]] = {}
        for raw in waiting(db):
            told = json.loads(raw)
            found.setdefault(told["args"][0], []).append(told["tick"])
        quarters = found.pop("*/15 * * * *")
        assert quarters == [start + 14 * 60 + n * 900 for n in range(23)]
        assert [len(ticks) for ticks in found.values()] == [1, 1]


class TestMissedTicks:
    @pytest.mark.parametrize(("missed", "count"), [("once", 1), ("skip", 1), ("all", 60)])
    def test_an_hour_without_a_scheduler(self, missed, count, periodics, scheduler, clock, db, lines):
        periodics.register("p", clean, "* * * * *", missed=missed)
        go(scheduler)
        clock.at += 3_600
        assert go(scheduler) == count
        assert ticks(db)[-1] == START + 3_570
        assert any("ticks were missed" in line["text"] for line in lines) is (missed != "all")

    def test_a_day_without_one(self, periodics, scheduler, clock, db):
        for missed in ("once", "skip", "all"):
            periodics.register(missed, clean, "0 3 * * *", missed=missed, args=[missed])
        go(scheduler)
        clock.at += 2 * 86_400
        go(scheduler)
        assert sorted(json.loads(raw)["args"][0] for raw in waiting(db)) == ["all", "all", "once"]

    def test_ticks_between_its_registration_and_the_first_look_count(self, periodics, scheduler, clock, db):
        periodics.register("p", clean, "* * * * *", missed="all")
        clock.at += 3 * MINUTE
        assert go(scheduler) == 3


class TestDeploys:
    def test_what_code_and_file_declare_is_enqueued(self, deploy, clock, db):
        file = '[periodic.of_file]\njob = "clean"\ncron = "* * * * *"\nargs = ["f"]\nqueue = "low"\n'
        made = deploy(("of_code", "* * * * *"), file=file)
        go(made)
        clock.at += MINUTE
        assert go(made) == 2
        assert json.loads(waiting(db, "low")[0])["args"] == ["f"]

    def test_what_is_not_declared_any_more_does_not_fire_and_what_code_registered_stays(
        self, deploy, periodics, clock, db
    ):
        periodics.register("own", clean, "* * * * *")
        go(deploy(("a", "* * * * *"), ("b", "* * * * *")))
        clock.at += MINUTE - 30.5  # the tick is half a second away
        new = deploy(("b", "* * * * *"), ask=False)
        clock.at += 1
        assert go(new, minute=False) == 2
        assert names(periodics) == ["b", "own"]

    def test_the_last_one_that_goes(self, deploy, periodics, clock):
        go(deploy(("a", "* * * * *")))
        clock.at += MINUTE
        assert go(deploy(ask=False)) == 0
        assert names(periodics) == []

    def test_another_cron_keeps_the_tick_that_is_due_and_does_not_repeat_it(self, deploy, clock, db):
        go(deploy(("a", "1 * * * *")))
        clock.at = START + 31  # 12:01:01: due, not enqueued yet
        new = deploy(("a", "*/5 * * * *"))
        assert go(new) == 1
        assert go(new) == 0
        clock.at = START + 30 + 4 * MINUTE
        assert go(new) == 1
        assert ticks(db) == [START + 30, START + 30 + 4 * MINUTE]

    def test_another_cron_right_after_a_tick_does_not_repeat_it(self, deploy, periodics, clock, db):
        go(deploy(("a", "* * * * *")))
        clock.at = START + 31
        go(deploy(("a", "* * * * *"), ask=False))
        clock.at = START + 28  # the next one's clock is three seconds behind
        new = deploy(("a", "*/1 * * * *"))
        go(new)
        clock.at = START + 32
        assert go(new) == 0
        assert ticks(db) == [START + 30]

    def test_a_sandbox_of_old_code_does_not_bring_it_back_but_a_rollback_does(self, deploy, periodics, clock):
        old = deploy(("a", "* * * * *"))
        go(old)
        clock.at += 1
        go(deploy(("b", "* * * * *")))
        clock.at += 1
        go(deploy(("a", "* * * * *")))
        assert names(periodics) == ["b"]
        clock.at += HOLD_S + 1
        go(deploy(("a", "* * * * *")))
        assert names(periodics) == ["a"]

    def test_a_pause_outlives_a_deploy(self, deploy, periodics, clock):
        go(deploy(("a", "* * * * *")))
        periodics.pause("a")
        go(deploy())
        clock.at += HOLD_S + 1
        made = deploy(("a", "* * * * *"))
        go(made)
        clock.at += MINUTE
        assert go(made) == 0

    def test_two_stacks_on_one_redis_do_not_touch_each_other(self, deploy, periodics, clock):
        go(deploy(("a", "* * * * *")))
        go(deploy(("b", "* * * * *"), SIDELAMB_STACK="other"))
        go(deploy(("c", "* * * * *")))
        assert [(one.name, one.declared_by) for one in periodics] == [("b", "other"), ("c", "app")]

    def test_what_redis_has_lost_comes_back(self, deploy, periodics, clock, db):
        made = deploy(("a", "* * * * *"))
        go(made)
        db.flushall()
        go(made)
        clock.at += MINUTE
        assert go(made) == 1

    @pytest.mark.parametrize(
        ("file", "said"),
        [
            (
                "[periodic.p]\njob = 'clean'\ncrom = '* * * * *'\n",
                "periodic p: unknown setting 'crom'. Did you mean",
            ),
            ("[periodic.p]\njob = 'cleam'\ncron = '* * * * *'\n", "periodic p: no job is named 'cleam'"),
            ("[periodic.p]\njob = 'clean'\ncron = '61 * * * *'\n", "periodic p: cron '61 * * * *'"),
            (
                "[periodic.p]\njob = 'clean'\ncron = '* * * * *'\ntz = 'Mars'\n",
                "periodic p: there is no time zone",
            ),
            ("[periodic.p]\njob = 'clean'\ncron = '* * * * *'\nargs = [1, 2]\n", "periodic p: clean"),
            ("[periodic.p]\njob = 'clean'\n", "periodic p has no cron"),
            ("[periodic.p]\njob = 5\ncron = ''\n", "periodic p: job is 5"),
            ("periodic = 5\n", "periodic must be tables"),
            ("[periodic]\np = 5\n", "periodic p must be a table"),
            ("[periodic.p\n", "cannot be read"),
        ],
    )
    def test_what_is_wrong_is_one_line_and_changes_nothing(self, file, said, deploy, periodics, clock, lines):
        go(deploy(("a", "* * * * *")))
        made = deploy(("b", "* * * * *"), file=file)
        clock.at += MINUTE
        assert go(made) == 1
        (line,) = [line["text"] for line in lines if line["levelname"] == "ERROR"]
        assert said in line
        assert "\n" not in line
        assert names(periodics) == ["a"]
        assert go(made) == 0
        assert len([1 for line in lines if line["levelname"] == "ERROR"]) == 1

    @pytest.mark.parametrize(
        "ends", ["raise RuntimeError('no database')", "import sys; sys.exit(3)", "import nowhere"]
    )
    def test_an_app_that_cannot_be_imported_stops_nothing_else(
        self, ends, deploy, periodics, clock, lines, tmp_path, monkeypatch, db
    ):
        (tmp_path / "broken_jobs.py").write_text(ends)
        monkeypatch.syspath_prepend(tmp_path)
        periodics.register("own", clean, "* * * * *")
        go(deploy(("a", "* * * * *")))
        made = deploy(SIDELAMB_JOBS="broken_jobs")
        clock.at += MINUTE
        assert go(made) == 2
        assert any("stays as it was" in line["text"] for line in lines)
        assert db.zscore("sidelamb:periodic:due", MARK) is None, "nobody is woken for it again and again"

    def test_one_whose_imports_kill_the_scheduler_stops_no_tick(
        self, deploy, periodics, clock, lines, monkeypatch
    ):
        class Killed(BaseException):
            """As the end of a process."""

        def die(_: object) -> None:
            raise Killed

        periodics.register("own", clean, "* * * * *")
        go(deploy())
        monkeypatch.setattr(registry, "load", die)
        clock.at += MINUTE
        for _ in range(3):
            with pytest.raises(Killed):
                go(deploy(("a", "* * * * *")))
        made = deploy(("a", "* * * * *"))
        assert go(made) == 1
        assert sum("have died while they imported" in line["text"] for line in lines) == 1

    def test_a_full_redis_keeps_nothing_from_being_promoted(self, deploy, periodics, clock, db, lines):
        go(deploy(("a", "* * * * *")))
        made = deploy(("b", "* * * * *"))
        db.zadd("schedule", {json.dumps({"class": "x", "queue": "default", "args": [], "jid": "s"}): START - 1})
        db.config_set("maxmemory", 1)
        assert made.make_pass(float("inf"), minute=True).promoted == 1
        assert any("what is periodic could not be written down" in line["text"] for line in lines)
        db.config_set("maxmemory", 0)
        go(made)
        assert names(periodics) == ["b"]

    def test_what_is_due_otherwise_is_promoted_before_code_is_imported(self, deploy, clock, db, monkeypatch):
        db.zadd("schedule", {json.dumps({"class": "x", "queue": "default", "args": [], "jid": "s"}): START - 1})
        seen = []
        monkeypatch.setattr(registry, "load", lambda _: seen.extend(waiting(db)))
        go(deploy(("a", "* * * * *")))
        assert len(seen) == 1


class TestWhoAsks:
    def test_a_worker_asks_for_what_is_not_in_redis(self, make_worker, leased, deploy, periodics, clock, db):
        made = deploy(("a", "* * * * *"), ask=False)
        assert go(made) == 0
        assert names(periodics) == []
        make_worker().handle(
            leased(json.dumps({"class": "x", "queue": "default", "args": [], "jid": "1"}).encode()), Context()
        )
        go(made, minute=False)
        assert names(periodics) == ["a"]

    def test_and_no_more_once_it_is_there(self, make_worker, leased, deploy, db):
        go(deploy(("a", "* * * * *")))
        make_worker().handle(
            leased(json.dumps({"class": "x", "queue": "default", "args": [], "jid": "1"}).encode()), Context()
        )
        assert db.zscore("sidelamb:periodic:due", MARK) is None

    def test_anybody_may_ask(self, deploy, periodics):
        made = deploy(("a", "* * * * *"), ask=False)
        periodics.refresh()
        go(made, minute=False)
        assert names(periodics) == ["a"]

    def test_a_file_is_seen_by_itself(self, deploy, periodics):
        go(deploy(file="[periodic.p]\njob = 'clean'\ncron = '* * * * *'\n", ask=False))
        assert names(periodics) == ["p"]

    @pytest.mark.parametrize("place", ["shop_jobs.py", "shop_jobs/mail/letters.py"])
    def test_a_first_one_is_seen_in_the_sources_of_the_modules(
        self, place, deploy, periodics, tmp_path, monkeypatch
    ):
        source = tmp_path / place
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text("# nothing of that kind\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setitem(sys.modules, "shop_jobs", ModuleType("shop_jobs"))
        go(deploy(("p", "* * * * *"), ask=False, SIDELAMB_JOBS="shop_jobs"))
        assert names(periodics) == []
        source.write_text("from sidelamb import job, periodic\n")
        go(deploy(("p", "* * * * *"), ask=False, SIDELAMB_JOBS="shop_jobs"))
        assert names(periodics) == ["p"]

    def test_a_scheduler_without_modules_says_so(self, deploy, lines):
        go(deploy(SIDELAMB_JOBS=""))
        assert any("SIDELAMB_JOBS is not set for the scheduler" in line["text"] for line in lines)

    def test_a_look_shows_the_poller_that_the_scheduler_is_asked(self, link):
        assert link.run(STORE.look(())).tick is None
        link.command(*TimetableCalls(STORE.keys).ask())
        assert link.run(STORE.look(())).tick < 0


PROMOTES = ["b'ZRANGEBYSCORE'"] * 2
"""A pass looks into `schedule` and `retry` anyway."""


class TestCost:
    @pytest.fixture
    def trips(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What was asked of Redis."""
        made: list[str] = []
        for verb in ("run", "command"):
            real = getattr(Link, verb)

            def noted(self: Link, what: Any, *rest: Any, real: Any = real, **more: Any) -> Any:
                made.append(getattr(what, "script", str(what)))
                return real(self, what, *rest, **more)

            monkeypatch.setattr(Link, verb, noted)
        return made

    def test_an_app_without_periodic_jobs_pays_a_key_in_a_call_that_is_made_anyway(
        self, deploy, trips, monkeypatch
    ):
        made = deploy(ask=False, SIDELAMB_JOBS="nowhere")
        go(made)
        trips.clear()
        go(made)
        assert trips == ["overdue", *PROMOTES]

    def test_what_a_tick_costs(self, periodics, scheduler, clock, trips):
        periodics.register("p", clean, "* * * * *")
        go(scheduler)
        trips.clear()
        go(scheduler)
        assert trips == ["overdue", *PROMOTES]
        clock.at += MINUTE
        trips.clear()
        go(scheduler)
        assert trips == ["overdue", "b'ZRANGEBYSCORE'", "read", "tick", "b'ZRANGEBYSCORE'", *PROMOTES]


class TestByHand:
    def test_a_pause_lets_ticks_pass_and_resume_makes_up_for_none(self, periodics, scheduler, clock, db):
        periodics.register("p", clean, "* * * * *", missed="all")
        go(scheduler)
        assert periodics.pause("p")
        assert not periodics.pause("p")
        clock.at += 3 * MINUTE
        assert go(scheduler) == 0
        assert periodics.resume("p")
        assert not periodics.resume("p")
        clock.at += MINUTE
        assert go(scheduler) == 1
        assert ticks(db) == [START + 30 + 3 * MINUTE]

    def test_resume_makes_up_for_nothing_that_nobody_saw_either(self, periodics, scheduler, clock, db):
        periodics.register("p", clean, "* * * * *", missed="all")
        go(scheduler)
        periodics.pause("p")
        clock.at += 3 * MINUTE
        periodics.resume("p")
        assert go(scheduler) == 0
        clock.at += MINUTE
        assert go(scheduler) == 1

    def test_run_now_is_beside_the_ticks(self, periodics, scheduler, clock, db):
        periodics.register("p", clean, "* * * * *")
        jid = periodics.run_now("p")  # before the scheduler has looked
        go(scheduler)
        periodics.pause("p")
        periodics.run_now("p")
        assert [json.loads(raw).get("tick") for raw in waiting(db)] == [None, None]
        assert json.loads(waiting(db)[0])["jid"] == jid
        assert [one.tick for one in periodics.history("p")] == [None, None]
        periodics.resume("p")
        clock.at += MINUTE
        assert go(scheduler) == 1

    def test_run_now_of_a_unique_one_returns_who_is_there(self, periodics):
        periodics.register("p", lone, "* * * * *")
        assert periodics.run_now("p") == periodics.run_now("p")

    def test_drop_takes_it_out_whole(self, periodics, scheduler, clock, db):
        periodics.register("p", clean, "* * * * *")
        go(scheduler)
        clock.at += MINUTE
        go(scheduler)
        periodics.pause("p")
        db.delete("queue:default", "queues")
        assert periodics.drop("p")
        assert not periodics.drop("p")
        assert db.keys("*") == []

    def test_a_job_expires_so_long_after_its_tick(self, periodics, scheduler, clock, db):
        periodics.register("p", clean, "* * * * *", expires_in=20)
        go(scheduler)
        clock.at += MINUTE
        go(scheduler)
        assert json.loads(waiting(db)[0])["expiry"] == START + 30 + 20

    def test_what_a_job_knows_of_its_tick(self, periodics, scheduler, clock, job, make_worker, link):
        from sidelamb import current_job

        seen = []
        job(lambda what="": seen.append(current_job().tick), name="clean")
        periodics.register("p", clean, "* * * * *")
        go(scheduler)
        clock.at += MINUTE
        go(scheduler)
        periodics.run_now("p")
        (held,) = reserve(link)
        make_worker().handle(event_for(held), Context())
        assert seen == [START + 30, None]


def test_the_scheduler_alone_imports_cron(redis_url: str) -> None:
    """Who is not periodic pays for none of it, at a cold start neither."""
    import subprocess

    code = (
        "import sys, sidelamb_handlers.worker as w, sidelamb_handlers.scheduler as s; "
        "from tests.handlers.kit import Context; s.handler({}, Context()); "
        "print([name for name in sys.modules if name in {'cronsim', 'zoneinfo', 'tomllib', 'sidelamb.timetable', "
        "'sidelamb.timetable_calls', 'sidelamb.api'}])"
    )
    environ = {"SIDELAMB_REDIS_URL": redis_url, "SIDELAMB_JOBS": "json", "PATH": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_sync_says_what_it_did(link):
    calls = TimetableCalls(STORE.keys)
    periodic("* * * * *")(clean)
    records = timetable.records_of("app", timetable.declared.values())
    assert link.run(calls.sync(records, START)) is Synced.WRITTEN
    assert link.run(calls.sync(records, START)) is Synced.SAME


def test_redis_away_is_said_and_nothing_is_lost(proxy, clock, periodics, db):
    periodics.register("p", clean, "* * * * *")
    made = Scheduler(Link(proxy.url), STORE, clock=clock)
    go(made)
    clock.at += MINUTE
    proxy.cut()
    with pytest.raises(RedisError):
        go(made)
    proxy.mend()
    assert go(made) == 1
