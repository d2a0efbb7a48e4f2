"""What `sidelamb dev` shows: a line for each thing that happens and, on a terminal, a panel of what is where.

Lines come from many threads into one queue, and go out on the thread that calls `show`. More of them than anyone
could read are counted instead of shown.
"""

from __future__ import annotations

import queue
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sidelamb_local.jobline import JobLine, Message, Report, read_line
from sidelamb_local.plain import harmless, plain
from sidelamb_local.stack import POLLER, STACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from rich.console import Console

    from sidelamb_local.overview import Overview

# In one call of `show`, ten times a second: what a terminal can take, and more than an eye can.
MOST_LINES = 100
MOST_COLUMNS = 97

SIGNS = {
    "succeeded": ("✓", "green"),
    "retry": ("↻", "yellow"),
    "dead": ("✗", "bold red"),
    "discarded": ("∅", "yellow"),
    "snoozed": ("…", "cyan"),
    "interrupted": ("…", "cyan"),
    "returned": ("↩", "dim"),
}
QUIET_POLLER = (" INFO ", ": TERM: ", ": INT: ", ": stopped")


class View:
    """Shows what a stack does.

    Args:
        console: Where to.
        clock: epoch s.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.time) -> None:
        self._console = console
        self._clock = clock
        self._lines: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._live: Live | None = None
        self.counts: Counter[str] = Counter()
        """Jobs that ended, by outcome."""

    def heard(self, source: str, line: str) -> None:
        """Take a line of the stack, on any thread."""
        self._lines.put((source, line))

    def show(self) -> None:
        """Show what has been heard since the last call."""
        shown = 0
        skipped: Counter[str] = Counter()
        while True:
            try:
                source, line = self._lines.get_nowait()
            except queue.Empty:
                break
            text = self._line(source, line)
            if text is None:
                continue
            if shown < MOST_LINES:
                shown += 1
                self.say(text)
            else:
                skipped[text.plain.split(" ", 2)[1]] += 1
        if skipped:
            how = ", ".join(f"{count} {sign}" for sign, count in skipped.most_common())
            self.say(Text(f"         and {skipped.total()} more lines ({how})", "dim"))

    def say(self, text: Text) -> None:
        """Show one line; on a terminal, of a text that is not to be wrapped, no more than fits."""
        if self._console.is_terminal:
            self._console.print(text, no_wrap=text.no_wrap, overflow=text.overflow, highlight=False)
        else:
            self._console.print(text, soft_wrap=True, highlight=False)

    def draw(self, panel: RenderableType) -> None:
        """Show the panel below the lines, if this is a terminal."""
        if self._live is not None:
            self._live.update(panel, refresh=True)

    @property
    def width(self) -> int:
        """Of a panel, in columns: such that a ^C that the terminal echoes stays on its last line."""
        return min(MOST_COLUMNS, self._console.width - 3)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _line(self, source: str, line: str) -> Text | None:
        said = read_line(line) if source not in {STACK, POLLER} else line
        if isinstance(said, JobLine):
            self.counts[said.outcome] += 1
        at = self._clock()
        return line_text(source, said, time.strftime("%H:%M:%S", time.localtime(at)), at)


def line_text(source: str, said: JobLine | Report | Message | str | None, now: str, clock: float) -> Text | None:
    """Return a line as it is shown, None if it is nothing for a person.

    Args:
        source: A function's name, POLLER or STACK.
        said: What `read_line` made of it; of the stack and of a poller that speaks text, the line.
        now: When it was said, as it is shown.
        clock: The same, epoch s.
    """
    text = _line_text(source, said, now, clock)
    if text is not None:
        text.plain = harmless(text.plain, kept="" if isinstance(said, JobLine) else "\n\t")
    return text


def _line_text(source: str, said: JobLine | Report | Message | str | None, now: str, clock: float) -> Text | None:
    if source == STACK:
        return Text.assemble((now, "dim"), " ", ("• ", "magenta"), (str(said), "magenta"))
    if source == POLLER and isinstance(said, str):
        return _poller_line(now, said)
    match said:
        case JobLine() as job:
            return job_text(now, job, clock)
        case Message() as message:
            loud = message.level in {"WARNING", "ERROR", "CRITICAL"}
            return Text.assemble((now, "dim"), (" │ ", "dim"), (message.text, "yellow" if loud else "dim"))
        case str() as printed:
            return Text.assemble((now, "dim"), (" │ ", "dim"), (printed, "dim"))
    return None


def job_text(now: str, job: JobLine, clock: float) -> Text:
    """Return the line about a job that has ended."""
    sign, style = SIGNS.get(job.outcome, ("?", ""))
    text = Text.assemble((now, "dim"), " ", (sign, style), " ", (job.name, "bold"), "  ", (job.jid, "dim"))
    text.no_wrap, text.overflow = True, "ellipsis"
    if job.next_at is not None:
        text.append(f"  again in {max(0.0, job.next_at - clock):.0f} s", "yellow")
    if job.attempt > 1:
        text.append(f"  attempt {job.attempt}", "yellow")
    if job.error or job.reason:
        text.append(f"  {job.error or job.reason}", "red" if job.outcome in {"retry", "dead"} else "dim")
    if job.queue_ms is not None and not job.error:
        text.append(f"  waited {duration(job.queue_ms)}", "dim")
    if job.duration_ms is not None:
        text.append(f"  ran {duration(job.duration_ms)}")
    return text


def panel_of(
    title: str,
    url: str,
    *,
    seen: Overview,
    since: Overview,
    stats: Mapping[str, Mapping[str, Any]],
    width: int,
) -> RenderableType:
    """Return the panel.

    Args:
        title: The app.
        url: Its Redis.
        seen: What is where now.
        since: What it was at the start: counters are shown from there.
        stats: Counters of the Lambda service, by function.
        width: In columns.
    """
    queues = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    queues.add_column("queue")
    queues.add_column("size", justify="right")
    queues.add_column("latency", justify="right")
    for one in seen.queues:
        latency = "" if one.latency_s is None else duration(one.latency_s * 1000)
        queues.add_row(Text(plain(one.name)), f"{one.size:,}", latency, style="" if one.size else "dim")
    failed = seen.failed - since.failed
    done = seen.processed - since.processed - failed
    sandboxes = sum(one["sandboxes"] for one in stats.values())
    numbers = Table(box=None, padding=(0, 3, 0, 0), show_header=False)
    numbers.add_row(
        _number("in flight", seen.in_flight, "cyan"),
        _number("done", done, "green"),
        _number("failed", failed, "red"),
    )
    numbers.add_row(
        _number("retries", seen.retries, "yellow"),
        _number("scheduled", seen.scheduled, "cyan"),
        _number("dead", seen.dead, "red"),
    )
    numbers.add_row(_number("sandboxes", sandboxes, "cyan"))
    both = Table.grid(padding=(0, 4, 0, 0))
    both.add_row(queues, numbers)
    address = Text.assemble(("redis ", "dim"), url)
    return Panel(
        Group(both),
        title=Text(plain(title), "bold"),
        title_align="left",
        subtitle=address,
        subtitle_align="left",
        box=box.ROUNDED,
        border_style="dim",
        width=width,
    )


def duration(ms: float) -> str:
    """Return milliseconds as people say them."""
    if ms < 10:  # noqa: PLR2004 - one more digit where it matters
        return f"{ms:.1f} ms"
    if ms < 1_000:  # noqa: PLR2004
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 120_000 else f"{ms / 60_000:.0f} min"  # noqa: PLR2004


def _number(name: str, value: int, style: str) -> Text:
    return Text.assemble((f"{name} ", "dim"), (f"{value:,}", style if value else "dim"))


def _poller_line(now: str, line: str) -> Text | None:
    """What the poller warns of; its everyday news is in the panel."""
    if any(sign in line for sign in QUIET_POLLER):
        return None
    _, _, said = line.partition("sidelamb.poller: ")
    return Text.assemble((now, "dim"), (" ! ", "yellow"), (said or line, "yellow"))
