"""`sidelamb cost`: the bill of a month, beside those of the two usual ways, as plain text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sidelamb_handlers.cost import (
    FARGATE_USE,
    ROWS,
    break_even_use,
    on_lambda_with_sqs,
    on_sidelamb,
    on_workers,
    runaway,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sidelamb_handlers.cost import Workload
    from sidelamb_handlers.prices import Prices

__all__ = ["KILL_SWITCH", "report"]

KILL_SWITCH = "aws lambda put-function-concurrency --function-name NAME --reserved-concurrent-executions 0"


def report(w: Workload, p: Prices) -> str:
    """Return what the command prints."""
    return "\n".join([*_given(w, p), "", *_bills(w, p), "", *_losses(w, p), "", *_worst(w, p)])


def _given(w: Workload, p: Prices) -> list[str]:
    waiting = f"{w.io_share:.0%} of it waiting"
    packed = f"{w.packing:,} an invocation, {w.threads} at once"
    return [
        f"{w.jobs:,.0f} jobs a day of {w.duration_s:g} s ({waiting}), {w.memory_mb:,} MB, {packed}",
        f"US dollars a month, {p.region}, prices of {p.date}, without free tiers",
    ]


def _bills(w: Workload, p: Prices) -> list[str]:
    bills = [on_sidelamb(w, p), on_lambda_with_sqs(w, p), on_workers(w, p)]
    idle = replace(w, jobs=0)
    floors = [on_sidelamb(idle, p), on_lambda_with_sqs(idle, p), on_workers(idle, p)]
    rows = [("", *(bill.system for bill in bills))]
    rows += [(row, *(_dollars(bill.rows.get(row)) for bill in bills)) for row in ROWS]
    rows.append(("together", *(_dollars(bill.total) for bill in bills)))
    rows.append(("with no job at all", *(_dollars(bill.total) for bill in floors)))
    per_million = [bill.total / w.jobs_month * 1e6 if w.jobs else None for bill in bills]
    rows.append(("a million jobs", *(_dollars(usd) for usd in per_million)))
    return table(rows)


def _losses(w: Workload, p: Prices) -> list[str]:
    ours, sqs = on_sidelamb(w, p), on_lambda_with_sqs(w, p)
    workers = on_workers(w, p)
    floor = on_sidelamb(replace(w, jobs=0), p).total
    even = break_even_use(w, p)
    lines = ["Where Sidelamb loses"]
    lines.append(
        f"  idle: {_dollars(floor)} a month for poller, Redis, address and alarms; SQS asks next to nothing"
    )
    lines.append(
        f"  steady load: workers that run jobs more than {even:.0%} of their time cost less than Lambda does"
    )
    lines.append(f"  (the table has them at {FARGATE_USE:.0%})")
    for other in (sqs, workers):
        less = ours.total - other.total
        if less > 0:
            lines.append(f"  here: {other.system} comes to {_dollars(less)} less")
    return lines


def _worst(w: Workload, p: Prices) -> list[str]:
    day = runaway(w, p)
    parts = ", ".join(f"{row} {_dollars(usd)}" for row, usd in day.items())
    return [
        f"At worst, a day of a job that enqueues itself for ever, {w.in_flight:,} in flight",
        f"  {_dollars(sum(day.values()))}: {parts}",
        "  the log lines of jobs that do nothing are most of it; POWERTOOLS_LOG_LEVEL=WARNING leaves them out",
        "  to stop everything now, and lose nothing:",
        f"  {KILL_SWITCH}",
    ]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_line(row, widths).rstrip() for row in rows]


def _line(row: Sequence[str], widths: Iterable[int]) -> str:
    cells = list(zip(row, widths, strict=True))
    return "   ".join(cell.rjust(width) if n else cell.ljust(width) for n, (cell, width) in enumerate(cells))


def _dollars(usd: float | None) -> str:
    return "" if usd is None else f"{usd:,.2f}"
