"""docs/model.md and its plots, from what was simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.model.scenarios import LOADS
from bench.plot import lines
from sidelamb_handlers.prices import PRICES

if TYPE_CHECKING:
    from bench.model.given import Given
    from bench.model.scenarios import Load

__all__ = ["markdown", "plots"]

Found = dict[str, list[dict[str, Any]]]
"""Figures by load."""

HEAD = """\
# A model of AWS

What a backlog and a steady load come to on real Lambda, simulated: nothing here was measured on AWS. The poller's
own code decides how much is packed ([pack.py](../handlers/sidelamb_handlers/poller/pack.py)) and how many
invocations are in flight ([limit.py](../handlers/sidelamb_handlers/poller/limit.py)); the queue, the clock and
Lambda are simulated. Prices are those of [prices.py](../handlers/sidelamb_handlers/prices.py). This page is
written by

```sh
make model
```

## What is given

| | |
|---|---|
{given}

Each can be changed on the command line (`python -m bench.model --help`). Job durations are drawn from a
lognormal distribution with sigma 0.5; each way gets the same jobs. Threads: one. "SQS → Lambda" takes up to ten
messages at a time and runs them one by one; it starts and grows as AWS has published. "One job an invocation"
gets four pollers, so that AWS is the limit and not the one who sends; the packed ways have one.

More in flight than Lambda starts at once (the rows with 1,250) is throttled at the beginning: the limit is
halved, and finds its level again by a sixteenth a round. Without a throttle nothing is lost.

What the model leaves out: other functions of the account, failures, Redis itself, and the price of poller and
Redis, which does not grow with the jobs ([cost.md](cost.md)).

"""


def markdown(given: Given, found: Found) -> str:
    """Return the page."""
    head = HEAD.format(given="\n".join(f"| {name} | {value} |" for name, value in _given(given)))
    return head + "\n".join(_section(load, found[load.name]) for load in LOADS if load.name in found)


def _section(load: Load, rows: list[dict[str, Any]]) -> str:
    return f"## {load.title}\n\n![{load.title}](plots/model-{load.name}.svg)\n\n{_table(rows)}\n"


def plots(found: Found) -> dict[str, str]:
    """Return SVGs by file name: how many jobs wait, over time."""
    titles = {load.name: load.title for load in LOADS}
    return {
        f"model-{name}.svg": lines(
            titles[name],
            [
                (row["way"], [(t, waiting) for t, waiting, _ in [*row["line"], (row["drained_s"], 0, 0)]])
                for row in rows
            ],
            across="seconds",
            up="jobs that wait",
        )
        for name, rows in found.items()
    }


def _given(given: Given) -> list[tuple[str, str]]:
    return [
        ("an Invoke, both ways, without the function", f"{given.latency_s * 1000:g} ms median, lognormal"),
        ("a cold start", f"{given.cold_s:g} s, billed"),
        ("new environments", f"{given.new_at_once:,} at once, then {given.new_per_s:g} a second"),
        ("requests one environment takes", f"{given.requests_s:g} a second"),
        ("environments at once, at most", f"{given.concurrency:,}"),
        ("invocations one poller makes", f"{given.calls_s:,.0f} a second"),
        (
            "SQS: invocations at once",
            f"{given.sqs_start} at first, {given.sqs_per_minute} more a minute, {given.sqs_most:,}",
        ),
        ("memory", f"{given.memory_mb:,} MB"),
        ("prices", f"{PRICES.region}, {PRICES.date}"),
    ]


def _table(rows: list[dict[str, Any]]) -> str:
    titles = ("", "done after, s", "wait p50, s", "p99, s", "invocations", "throttled", "cold starts", "US$")
    out = ["| " + " | ".join(titles) + " |", "|---|" + "--:|" * (len(titles) - 1)]
    for row in rows:
        cells = [
            row["way"],
            f"{row['drained_s']:,.0f}",
            f"{row['wait_p50_s']:,.2f}",
            f"{row['wait_p99_s']:,.2f}",
            f"{row['invocations']:,}",
            f"{row['throttles']:,}",
            f"{row['cold_starts']:,}",
            f"{row['dollars']:,.2f}",
        ]
        out.append("| " + " | ".join(cells) + " |")
    return "\n".join(out)
