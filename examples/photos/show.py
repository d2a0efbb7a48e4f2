"""How the demo looks: a line for each thing that happens, a bar while there is something to wait for."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tally import Figures

SIGNS = {"✓": "green", "✗": "red", "↻": "yellow", "☠": "red", "⏰": "cyan", "→": "blue"}
HEADINGS = ("jobs", "jobs/s", "p50 ms", "p99 ms", "invocations", "jobs\neach", "retries", "USD a\nmillion")


# Where the output goes into a file or a pipe.
COLUMNS = 120


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


class Show:
    def __init__(self) -> None:
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else COLUMNS)
        self._began = time.monotonic()

    def say(self, sign: str, text: str) -> None:
        """One line, with the seconds since the start."""
        at = f"{time.monotonic() - self._began:6.1f} s"
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row(Text(at, "dim"), Text(sign, SIGNS.get(sign, "")), Text.from_markup(text))
        self.console.print(row)

    def end(self, *paragraphs: str) -> None:
        """Some last words."""
        for text in paragraphs:
            self.console.print(text)

    def bar(self, label: str, total: int, done: Callable[[], int], seconds: float) -> bool:
        """A bar until all is done; without a terminal a line for each quarter. Say whether it came to its end.

        It waits as long as something moves, and `seconds` if nothing does.
        """
        until, last = time.monotonic() + seconds, 0
        columns = (TextColumn("          [dim]{task.description}[/]"), BarColumn(40), MofNCompleteColumn())
        with Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        ) as progress:
            task = progress.add_task(label, total=total)
            quarter = 1
            while (count := done()) < total and time.monotonic() < until:
                if count > last:
                    until, last = time.monotonic() + seconds, count
                progress.update(task, completed=count)
                if not self.console.is_terminal and count >= total * quarter / 4:
                    quarter = count * 4 // total + 1
                    self.say(" ", f"{label} {count}/{total}")
                time.sleep(0.05)
        return done() >= total

    def countdown(self, label: str, ends_at: float, done: Callable[[], bool], seconds: float) -> bool:
        """Wait for something that comes at a known time. Say whether it came."""
        until = time.monotonic() + seconds
        status = self.console.status("") if self.console.is_terminal else None
        if status is None:
            self.say(" ", label)
        else:
            status.start()
        while not (came := done()) and time.monotonic() < until:
            if status is not None:
                status.update(f"[dim]{label}: {max(0.0, ends_at - time.time()):.0f} s[/]")
            time.sleep(0.05)
        if status is not None:
            status.stop()
        return came

    def table(self, parts: list[Figures]) -> None:
        """The figures of each part, within the 80 columns of a terminal."""
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
        table.add_column("", no_wrap=True)
        for heading in HEADINGS:
            table.add_column(heading, justify="right", no_wrap=True)
        for part in parts:
            timed = part.seconds > 0
            table.add_row(
                part.what,
                f"{part.jobs:,}",
                _number(part.jobs / part.seconds) if timed else "",
                f"{part.wait_p50_ms:,.0f}" if timed else "",
                f"{part.wait_p99_ms:,.0f}" if timed else "",
                f"{len(part.reports):,}",
                f"{part.jobs / len(part.reports):.1f}",
                f"{part.retries}",
                f"{part.usd / part.jobs * 1e6:.2f}",
            )
        self.console.print()
        self.console.print(table)
        self.console.print("p50, p99: milliseconds from the enqueue of a job to its start", style="dim")
