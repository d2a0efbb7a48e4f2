"""What `sidelamb dev` shows."""

from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console

from sidelamb_local.dev import shown_address
from sidelamb_local.overview import Overview, QueueState
from sidelamb_local.stack import POLLER, STACK
from sidelamb_local.view import View, duration, panel_of

NOW = 1_700_000_000.0
JOB = {
    "level": "INFO",
    "message": "",
    "jid": "ab" * 12,
    "class": "app.send",
    "queue": "mail",
    "outcome": "succeeded",
}


class Screen:
    def __init__(self, *, terminal=False, width=120):
        self.file = io.StringIO()
        self.console = Console(file=self.file, force_terminal=terminal, width=width, color_system=None)
        self.view = View(self.console, clock=lambda: NOW)

    def show(self, *lines):
        """What is shown of these (source, line) pairs, without the time of day."""
        for source, line in lines:
            self.view.heard(source, line)
        self.view.show()
        clock = time.strftime("%H:%M:%S", time.localtime(NOW))
        shown = self.file.getvalue().splitlines()
        self.file.truncate(0)
        self.file.seek(0)
        return [line.removeprefix(clock).strip() for line in shown]


@pytest.fixture
def screen():
    return Screen()


def job(**more):
    return ("worker", json.dumps(JOB | more))


def test_a_job_that_succeeded_is_a_line_with_its_times(screen):
    line = job(queue_ms=3.21, duration_ms=1234.0)
    assert screen.show(line) == [f"✓ app.send  {'ab' * 12}  waited 3.2 ms  ran 1.2 s"]


def test_a_job_that_failed_says_what_when_again_and_which_attempt(screen):
    line = job(
        outcome="retry", attempt=2, next_at=NOW + 17, error_class="ValueError", error_message="no", duration_ms=1
    )
    assert screen.show(line) == [f"↻ app.send  {'ab' * 12}  again in 17 s  attempt 2  ValueError: no  ran 1.0 ms"]


@pytest.mark.parametrize(("outcome", "sign"), [("dead", "✗"), ("discarded", "∅"), ("returned", "↩"), ("new", "?")])
def test_each_outcome_has_its_sign(screen, outcome, sign):
    [line] = screen.show(job(outcome=outcome, reason="because"))
    assert line == f"{sign} app.send  {'ab' * 12}  because"


def test_prints_of_jobs_are_shown_and_the_platforms_lines_are_not(screen):
    assert screen.show(("worker", "hello [bold]"), ("worker", "START RequestId: 1 Version: 1")) == [
        "│ hello [bold]"
    ]


def test_of_the_poller_only_what_should_worry_someone_is_shown(screen):
    shown = screen.show(
        (POLLER, "2026-11-23 07:10:23,1 INFO sidelamb.poller: capsule default: …"),
        (POLLER, "2026-11-23 07:10:23,1 WARNING sidelamb.poller: Redis is away"),
        (POLLER, "Traceback"),
        (STACK, "the poller has ended"),
    )
    assert shown == ["! Redis is away", "! Traceback", "• the poller has ended"]


def test_more_lines_than_anyone_could_read_are_counted(screen):
    shown = screen.show(*[job()] * 150, *[job(outcome="dead")] * 5)
    assert len(shown) == 101
    assert shown[-1] == "and 55 more lines (50 ✓, 5 ✗)"
    assert screen.view.counts == {"succeeded": 150, "dead": 5}


def test_on_a_terminal_a_line_is_one_line_and_elsewhere_it_is_whole():
    line = job(outcome="dead", error_class="E", error_message="x" * 300)
    assert len(Screen(terminal=True, width=80).show(line)) == 1
    assert "x" * 300 in Screen().show(line)[0]


def test_the_panel_counts_from_the_start(screen):
    seen = Overview(
        [QueueState("default", 1200, 0.25), QueueState("low", 0, None)], 2, 3, 4, 5, processed=110, failed=11
    )
    since = Overview(processed=10, failed=1)
    stats = {"worker": {"sandboxes": 3}, "scheduler": {"sandboxes": 1}}
    screen.console.print(panel_of("dev · app", "redis://here", seen=seen, since=since, stats=stats, width=90))
    text = screen.file.getvalue()
    for words in ("dev · app", "redis://here", "in flight 2", "done 90", "failed 10", "retries 3", "scheduled 4"):
        assert words in text
    for words in ("dead 5", "sandboxes 4", "1,200", "250 ms", "low"):
        assert words in text
    assert max(map(len, text.splitlines())) == 90


@pytest.mark.parametrize(
    ("ms", "said"),
    [(0.04, "0.0 ms"), (9.94, "9.9 ms"), (10, "10 ms"), (999, "999 ms"), (1500, "1.5 s"), (180_000, "3 min")],
)
def test_durations_are_said_as_people_say_them(ms, said):
    assert duration(ms) == said


def test_without_a_terminal_there_is_no_panel(screen):
    with screen.view as view:
        view.draw("a panel")
    assert screen.file.getvalue() == ""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/1", "redis://127.0.0.1:6379/1"),
        ("rediss://me:hun@ter2@cache:6379/1", "rediss://***@cache:6379"),
        ("redis://cache/1?password=hunter2", "redis://cache:6379?…"),
    ],
)
def test_the_address_of_redis_is_shown_without_its_password(url, shown):
    assert shown_address(url) == shown


def test_the_panel_takes_no_name_for_markup():
    seen = Overview(queues=[QueueState("[red]x[/nope]\x1b", 1, None)])
    screen = Screen()
    panel = panel_of("app [/nope]", "redis://h", seen=seen, since=Overview(), stats={}, width=90)
    screen.console.print(panel)
    said = screen.file.getvalue()
    assert "app [/nope]" in said
    assert "[red]x[/nope]\\x1b" in said
