"""docs/performance.md and its plots, from results: `python -m bench.page bench/results/latest.json`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.peers import OURS
from bench.plot import bars
from bench.run import WORKLOADS
from bench.sample import Results
from bench.table import cells
from bench.targets import verdicts
from bench.workloads.workload import LIMIT

if TYPE_CHECKING:
    from bench.targets import Verdict

__all__ = ["markdown", "plots"]

DOCS = Path(__file__).resolve().parent.parent / "docs"
HEAD = """\
# Performance

How fast Sidelamb is beside other job systems, how much it takes, and how near it comes to what is possible: all
in one run on one machine, by turns (A B C A B C …), each system on a fresh Redis of its own. Each figure is the
median of its rounds, or a percentile over all their samples; "Sidelamb is" says how many times better (below
1: worse). It was measured on a local Lambda service with AWS's own runtime client, not on AWS; for that there
is a [model](model.md).

```sh
{command}
python -m bench.page bench/results/latest.json
```

## On what

| | |
|---|---|
{machine}

| system | versions |
|---|---|
{versions}

Every peer has a virtual environment of its own and the settings that its manual names for speed
([peers.py](../bench/peers.py), [commands.py](../bench/commands.py)): two worker processes where we have two
sandboxes, hiredis and uvloop where they can be used, no results kept, no line a job in the log unless the table
says so. "limit" is the least program that could do the work. A job says that it ran in shared memory
([marks.py](../bench/apps/marks.py)), the same way for all.

"""
ABOUT = {
    "W1": """\
One call a job from one process; and the best that a client has for many: 1,000 a call (Sidelamb, Sidekiq, rq,
streaq), 100 calls at a time (arq, saq, taskiq), or nothing. Limit: `redis-benchmark` on one connection; and, for
what Python itself takes, a loop that only sends a push that is ready and reads its answer.""",
    "W2": """\
The queue is filled while the workers stand still. Slow systems get fewer jobs: it is the rate that counts; for
the aims ours is that of 200,000, because 20,000 are over before all is under way. The jobs of arq, taskiq, saq and
streaq are `async def`; ours are measured both ways.
Limit: for 20,000 two bare loops of blocking pops; for 200,000 two bare loops that invoke a bare function,
1,000 jobs an event.""",
    "W3": """\
One process, or one sandbox, for all at once (rq and Celery's prefork: a process each). Memory is PSS, looked
at four times a second. Sidelamb's has four processes in it where most peers have one: the poller (about 55
MB: Python, redis-py, aiohttp, and botocore for finding credentials), the local Lambda service and its guard
(18 MB, which do not exist on AWS), and a sandbox (Lambda sells 128 MB or more). Limit: one invocation of a bare
function that waits on so many threads, with no queue and no poller. That takes more than the leanest peer already,
so the aim of less memory a waiting job than any peer cannot be met with one small sandbox. The poller hardly grows
with what waits: W7 has 5,000 invocations in flight in one.""",
    "W4": """\
Limit: a bare loop of blocking pops, and on top of it one bare round trip through the local Lambda service.""",
    "W5": """\
A proxy adds 2 ms to each reply of Redis. Limit: two bare loops, each of which takes 4,000 jobs, invokes a bare
function with them, and says that they are done: two round trips an invocation, where the real ones have three.""",
    "W6": """\
Promoted by one pass of the scheduler. Limit: a script that moves the first of the set to a queue, a thousand a
call, and looks at none of them: what it loses beside a million others is what the removal in Redis loses. When a
set passes a power of two, Redis enlarges its table, a step with each access; that is over before the pass begins
(while it goes on, a pass takes half as long again). Lateness: of jobs enqueued for known times within four
seconds.""",
    "W7": "One core for the one who is measured, the other for a simulated Lambda.",
    "W8": "Counted by INFO commandstats (commands inside scripts too) and by a proxy that adds nothing.",
    "W9": "The local service is not there on AWS; with logging on it also carries the lines.",
    "W10": """\
With a warm disk cache; AWS adds its own. What an import takes has in it what it is the first to import.""",
    "W11": "The first 100,000 jobs of each queue. All pollers share the two cores with everything else.",
}
PLOTS = {
    "W1": (
        ("single", "rate", "enqueued a second, one call each"),
        ("bulk", "rate", "enqueued a second, in bulk (log)"),
    ),
    "W2": (
        ("20,000", "rate", "drained a second (log)"),
        ("20,000", "all_us", "CPU µs a job, all processes and Redis (log)"),
    ),
    "W3": (("100 ms, 50 at once", "mb_each", "MB a waiting job, 50 at once"),),
    "W4": (("idle", "start_ms.p50", "ms from enqueue to start, p50 (log)"),),
    "W5": (("2 ms added", "drain", "drained a second, 2 ms added (log)"),),
    "W8": (("drain", "commands", "Redis commands a drained job (log)"),),
}
"""By workload: (case, figure, title)."""


def plots(results: Results) -> dict[str, str]:
    """Return SVGs by file name."""
    found = {}
    for workload, wanted in PLOTS.items():
        for case, figure, title in wanted:
            peers = results.peers(workload, case)
            values = [(peer, results.median(workload, case, peer, figure)) for peer in peers]
            rows = [(peer, value) for peer, value in values if value is not None]
            if len(rows) > 1:
                form = ",.0f" if min(value for _, value in rows) > 100 else ",.2f"
                svg = bars(f"{workload}: {title}", rows, form=form, ours=OURS, log=title.endswith("(log)"))
                found[_file(workload, figure, case)] = svg
    return found


def markdown(results: Results) -> str:
    """Return the page."""
    about, machine = results.about, results.about["machine"]
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in machine.items())
    versions = "\n".join(
        f"| {peer} | {', '.join(f'{name} {version}' for name, version in each.items())} |"
        for peer, each in about["versions"].items()
    )
    head = HEAD.format(command=about["command"], machine=rows, versions=versions)
    drawn = set(plots(results))
    sections = [_section(results, name, drawn) for name in results.workloads]
    return head + _reached(verdicts(results)) + "\n" + "\n".join(sections) + _failed(about.get("failed", []))


def _reached(found: list[Verdict]) -> str:
    lines = ["## What was to be reached", "", "| | | wanted | measured | |", "|---|---|--:|--:|---|"]
    for verdict in found:
        target, form = verdict.target, verdict.target.form
        sign = "≥" if target.least else "≤"
        spread = verdict.spread
        more = f" (95 %: {format(spread[0], form)} to {format(spread[1], form)})" if spread else ""
        word = "reached" if verdict.met else "**missed**"
        value = format(verdict.value, form)
        lines.append(
            f"| {target.workload} | {target.words} | {sign} {format(target.want, form)} | {value}{more} | {word} |"
        )
    return "\n".join(lines) + "\n"


def _section(results: Results, name: str, drawn: set[str]) -> str:
    w = WORKLOADS[name]
    parts = [f"## {name}: {w.title}", ABOUT[name]]
    for case, figure, title in PLOTS.get(name, ()):
        file = _file(name, figure, case)
        if file in drawn:
            parts.append(f"![{title}](plots/{file})")
    for case in results.cases(name):
        rounds = len({s.round for s in results.samples if (s.workload, s.case) == (name, case)})
        parts += [f"### {name}, {case} ({rounds} round{'s' * (rounds > 1)})", _table(cells(results, w, case))]
    return "\n\n".join(parts) + "\n"


def _table(rows: list[list[str]]) -> str:
    titles, *others = rows
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "--:|" * (len(titles) - 1)]
    for name, *values in others:
        shown = f"**{name}**" if name == OURS else f"*{name}*" if name == LIMIT else name
        lines.append("| " + " | ".join([shown, *values]) + " |")
    return "\n".join(lines)


def _failed(lines: list[str]) -> str:
    return "" if not lines else "\n## What failed\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"


def _file(workload: str, figure: str, case: str) -> str:
    words = f"{workload}-{case}-{figure}".lower()
    return "".join(c if c.isalnum() else "-" for c in words).replace("--", "-") + ".svg"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=(__doc__ or "").split(": `")[0])
    parser.add_argument("results", type=Path, help="what `python -m bench --json` has written")
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder for performance.md and plots/ (docs)")
    options = parser.parse_args()
    results = Results.from_json(json.loads(options.results.read_text()))
    (options.out / "plots").mkdir(parents=True, exist_ok=True)
    (options.out / "performance.md").write_text(markdown(results))
    for name, svg in plots(results).items():
        (options.out / "plots" / name).write_text(svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
