"""What the demo plays: two misfortunes, forty users, two thousand views; and at the end, where every job is."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import app
import database
import jobs
import redis
from models import SIZES, User, photographs
from tally import PRICES, Figures, Tally, usd

from sidelamb import Client, configure
from sidelamb_local.overview import look
from sidelamb_local.stack import Stack
from sidelamb_local.web_command import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from show import Show

    from sidelamb_local.jobline import JobLine
    from sidelamb_local.overview import Overview

USERS = 40
ONE_BY_ONE, A_SECOND = 200, 50
AT_ONCE = 2_000
REMIND_IN_S = 3.0
PATIENCE_S = 50.0


class Unaccounted(Exception):
    """A job is not where it should be."""


class Story:
    """Plays on a stack of its own, whose data is in `folder`."""

    def __init__(self, folder: Path, show: Show) -> None:
        self.folder = folder
        self.show = show
        self.tally = Tally(self.job_ended)
        self.broken = self.crash = self.reminder = ""
        self.due_at = 0.0
        self.parts: list[Figures] = []

    def play(self, app_dir: Path, *, stay: bool) -> None:
        """Play all of it; if it is to stay, until Ctrl-C.

        Raises:
            Unaccounted: Something did not come to pass; says what.
        """
        database.create()
        began = time.monotonic()
        with Stack(app_dir, data_dir=self.folder, on_line=self.tally.heard, supervise=True) as stack:
            configure(redis=stack.redis_url)
            self.show.say("✓", f"Redis, Lambda and a poller are up, in {time.monotonic() - began:.1f} s")
            with redis.Redis.from_url(stack.redis_url) as client:
                self.misfortunes()
                self.photographs()
                self.views_one_by_one()
                self.views_at_once()
                self.last_retry(client)
                self.account()
                self.summary()
                if stay:
                    self.stay(stack.redis_url)

    # --- what happens --------------------------------------------------------------------------------------

    def misfortunes(self) -> None:
        """Two jobs with a fate, alone at first, so that one can see what becomes of them."""
        self.broken = jobs.check_photo.enqueue(str(self.broken_photo()))
        self.crash = jobs.crash_once.enqueue()
        self.show.say("→", "a photograph that was cut in half, and a job that kills its sandbox")
        killed = self.tally.wait(lambda: any("ended its sandbox" in line for line in self.tally.said), PATIENCE_S)
        if not killed:
            raise Unaccounted("nobody noticed that a sandbox was killed")
        self.show.say("☠", "crash_once took its sandbox down: charged with one failure, run again alone")
        if not self.tally.wait(lambda: self.ended(self.crash) == "succeeded", PATIENCE_S):
            raise Unaccounted("crash_once did not succeed after its sandbox was killed")
        self.show.say("✓", f"crash_once succeeded in attempt {self.attempt(self.crash)}; nobody else was harmed")

    def photographs(self) -> None:
        """The talk's own example."""
        with self.part("sync_images", User.sync_images.name, USERS):
            for number in range(USERS):
                app.sign_up(number, f"user {number}")
            what = f"{USERS} users with {len(photographs())} photographs each"
            self.show.say("→", f"{what}: [bold]delay(User.sync_images)(user_id)[/]")
        self.show.say("✓", f"{USERS * len(photographs()) * len(SIZES):,} thumbnails made")

    def views_one_by_one(self) -> None:
        """How soon a job starts when nothing waits."""
        photo = photographs()[0].name
        with self.part("views, one by one", jobs.count_view.name, ONE_BY_ONE):
            what = f"{ONE_BY_ONE} views, {A_SECOND} a second, and one job for {REMIND_IN_S:g} s later"
            self.show.say("→", f"{what}: how soon do they start?")
            self.due_at = time.time() + REMIND_IN_S
            self.reminder = app.remind_in(REMIND_IN_S, 1)
            began = time.monotonic()
            for number in range(ONE_BY_ONE):
                app.photo_seen(photo)
                time.sleep(max(0.0, began + (number + 1) / A_SECOND - time.monotonic()))
        self.show.say("✓", f"half of them started within {self.parts[-1].wait_p50_ms:.0f} ms of their enqueue")

    def views_at_once(self) -> None:
        """How many go through, packed into few invocations."""
        photo = photographs()[0].name
        with self.part("views, all at once", jobs.count_view.name, AT_ONCE):
            began = time.monotonic()
            app.photos_seen([photo] * AT_ONCE)
            took_ms = (time.monotonic() - began) * 1000
            self.show.say("→", f"{AT_ONCE:,} views at once, enqueued in {took_ms:.0f} ms")
        part = self.parts[-1]
        self.show.say(
            "✓", f"counted, {part.jobs / part.seconds:,.0f} a second, in {len(part.reports)} invocations"
        )

    def last_retry(self, client: redis.Redis) -> None:
        """Sidekiq's schedule: the first retry comes after 15 to 24 seconds."""
        at, over = self.next_try(client, self.broken), lambda: self.ended(self.broken) == "dead"
        if not self.show.countdown("waiting for the retry of check_photo", at, over, PATIENCE_S):
            raise Unaccounted("the retry of check_photo has not come to its end")

    def job_ended(self, job: JobLine) -> None:
        """Tell about the special ones, as it happens."""
        match (job.jid, job.outcome):
            case (self.reminder, "succeeded"):
                late = f"{self.lateness_ms():.0f} ms after it was due, the scheduler's cold start included"
                self.show.say("⏰", f"remind began {late}")
            case (self.broken, "retry"):
                again = f"again in {(job.next_at or 0.0) - time.time():.0f} s"
                self.show.say("↻", f"check_photo failed, {again}: {job.error}")
            case (self.broken, "dead"):
                self.show.say("✗", "check_photo failed again, no retry is left: [bold]dead[/], kept for a person")

    # --- the end -------------------------------------------------------------------------------------------

    def account(self) -> None:
        """Every job must be where it should be: out of Redis, and in the database exactly once."""
        if self.ended(self.reminder) != "succeeded":
            raise Unaccounted("the reminder has not run")
        # A job's line is written a moment before its end is: they are settled in groups.
        self.until(lambda: not _left(look(Client())), lambda: f"still in Redis: {_left(look(Client()))}")
        expected = {
            "images": USERS * len(photographs()) * len(SIZES),
            "views": ONE_BY_ONE + AT_ONCE,
            "reminders": 1,
            "marks": 2,
        }
        with database.database() as db:
            for table, number in expected.items():
                [count] = db.execute(f"SELECT count(*) FROM {table}").fetchone()
                if count != number:
                    raise Unaccounted(f"the table {table} has {count} rows and should have {number}")

    def summary(self) -> None:
        """The closing table, and where to go from here."""
        reports = list(self.tally.reports.values())
        cold = sum(report.init_ms is not None for report in reports)
        total = USERS + ONE_BY_ONE + AT_ONCE + 3
        everything = Figures("everything", total, _retries(self.tally.jobs), reports)
        self.show.table([*self.parts, everything])
        self.show.end(
            "",
            f"[bold green]All {total:,} jobs are accounted for[/]: {total - 1:,} succeeded, 1 is dead as it "
            f"should be. {cold} of the invocations were cold starts.",
            f"On Lambda, with this machine's milliseconds, all of it would cost USD {usd(reports):.5f}. {PRICES}",
            "",
            "[bold]Where to look next[/]",
            f"  {'examples/photos/app.py, models.py, jobs.py, template.yaml':<60}the whole app",
            f"  {f'cd examples/photos && {_command(Path(__file__).parent)} dev':<60}run it yourself",
            f"  {'docs/architecture.md':<60}how it works",
        )

    def stay(self, url: str) -> None:
        """Serve the web page, for whoever wants to put the dead job right."""
        page = Background(Client(url))
        self.show.end(
            "",
            f"[bold]The web page is at {page.url}[/]",
            "check_photo is among its dead jobs: read why, give it a photograph that is whole, and retry it.",
            f"  {photographs()[0]}",
            "The same on the command line:",
            f"  {_command(Path.cwd())} jobs list dead --redis {url}",
            "Ctrl-C ends it all.",
        )
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
        page.close()

    # --- small things --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def part(self, what: str, name: str, count: int) -> Iterator[None]:
        """Measure `count` jobs, from the first enqueue in the body to the end of the last job."""
        at, before, began = len(self.tally.jobs), self.tally.succeeded(name), time.monotonic()
        yield
        if not self.show.bar(what, count, lambda: self.tally.succeeded(name) - before, PATIENCE_S):
            missing = before + count - self.tally.succeeded(name)
            raise Unaccounted(f"{missing} of {count} jobs {name} have not succeeded")
        seconds = time.monotonic() - began
        ran = [job for job in self.tally.jobs[at:] if job.name == name and job.outcome == "succeeded"]
        requests = {job.request_id for job in ran}
        self.tally.wait(lambda: requests <= self.tally.reports.keys(), 5)
        reports = [self.tally.reports[request] for request in requests if request in self.tally.reports]
        waits_ms = [job.queue_ms or 0.0 for job in ran]
        self.parts.append(Figures(what, len(ran), _retries(ran), reports, seconds, waits_ms))

    def until(self, holds: Callable[[], bool], sentence: str | Callable[[], str]) -> None:
        """Wait for something in Redis; Unaccounted if it does not come."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                raise Unaccounted(sentence if isinstance(sentence, str) else sentence())
            time.sleep(0.02)

    def ended(self, jid: str) -> str:
        """How a job's last attempt ended."""
        last = self.tally.last(jid)
        return last.outcome if last else ""

    def attempt(self, jid: str) -> int:
        """Which attempt its last one was."""
        last = self.tally.last(jid)
        return last.attempt if last else 0

    def next_try(self, client: redis.Redis, jid: str) -> float:
        """When a job that failed is tried again, epoch s; 0 if it is not waiting for that."""
        entries = client.zrange("retry", 0, -1, withscores=True)
        return next((score for raw, score in entries if jid.encode() in raw), 0.0)

    def lateness_ms(self) -> float:
        """Between the reminder's time and the start of its job."""
        with database.database() as db:
            [began_at] = db.execute("SELECT began_at FROM reminders").fetchone()
        return float(began_at - self.due_at) * 1000

    def broken_photo(self) -> Path:
        """The first half of a photograph."""
        whole = photographs()[0]
        path = self.folder / f"cut{whole.suffix}"
        data = whole.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        return path


def _retries(jobs: Iterable[JobLine]) -> int:
    return sum(job.attempt > 1 for job in jobs)


def _command(folder: Path) -> str:
    """How to type `sidelamb` in a folder."""
    beside = os.path.relpath(Path(sys.executable).with_name("sidelamb"), folder)
    return min(beside, str(Path(sys.executable).with_name("sidelamb")), key=len)


def _left(seen: Overview) -> str:
    """What is in Redis and should not be."""
    counts = {
        "waiting": seen.waiting,
        "in flight": seen.in_flight,
        "to be retried": seen.retries,
        "scheduled": seen.scheduled,
        "dead that should not be": seen.dead - 1,
    }
    return ", ".join(f"{count} {where}" for where, count in counts.items() if count)
