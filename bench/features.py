"""What each feature costs a job that uses it, beside the same job without: `python -m bench.features`.

Processor time of this process and of Redis, round trips and Redis commands, of an enqueue and of a job that is
drained. By turns (plain, unique, …, plain, unique, …), on a fresh Redis; each figure is the median of the rounds'
differences to the plain job of the same round. Jobs are drained as tests do it, one a lease, so that what a lease
costs is in both and falls out. An outbox's rows are in SQLite's memory: what is measured is ours and SQLAlchemy's.
What is periodic costs the scheduler, and has a table of its own (see `ticking`).

    python -m bench.features --json build/features.json
    python -m bench.features --page build/features.json      # writes docs/feature-costs.md
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import StaticPool, create_engine

from bench import ticking
from bench.machine import machine
from bench.meter import Clock
from bench.proxy import Proxy
from bench.redis_process import RedisProcess
from bench.stats import interval
from sidelamb import Batch, Client, carry, chain, configure, job
from sidelamb.limits import Bucket, Concurrent, Window
from sidelamb.outbox import Relay
from sidelamb.outbox.sqlalchemy import table as outbox
from sidelamb.testing import drain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FEATURES", "markdown", "measured"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "feature-costs.md"
PLAIN = "plain"
MANY = 10**9
"""Of a limit that is never reached: what is measured is asking."""
HEAD = """\
# What each feature costs

A job that does nothing, and what is added to it by each feature: processor time of the process and of Redis
together, round trips, and Redis commands, those inside scripts included. Medians of {rounds} rounds of
{jobs:,} jobs, by turns; in brackets the interval that holds the median. Each job is a lease of its own here;
packed, leases share their round trips.

```sh
python -m bench.features --json build/features.json
python -m bench.features --page build/features.json
```
"""
UNUSED = "## Where they are not used"
"""Begins what is by hand: the figures of `python -m bench.against`."""
COLUMNS = """
| | enqueue, µs | run, µs | enqueue, trips | run, trips | enqueue, commands | run, commands |
|---|--:|--:|--:|--:|--:|--:|"""
FIGURES = ("enqueue_us", "run_us", "enqueue_trips", "run_trips", "enqueue_commands", "run_commands")

tenant: ContextVar[str] = ContextVar("tenant")


@job(name="bench.plain")
def plain(n: int) -> None: ...


@job(name="bench.unique", unique_for=600)
def unique(n: int) -> None: ...


@job(name="bench.kept", result_ttl=600)
def kept(n: int) -> int:
    return n


@job(name="bench.concurrent", limit=Concurrent(MANY))
def concurrent(n: int) -> None: ...


@job(name="bench.window", limit=Window(MANY, per=60))
def window(n: int) -> None: ...


@job(name="bench.bucket", limit=Bucket(MANY, per=1))
def bucket(n: int) -> None: ...


@job(name="bench.sealed", encrypt=True)
def sealed(n: int) -> None: ...


@job(name="bench.once", idempotent=True)
def once(n: int) -> None: ...


@dataclass(frozen=True)
class Feature:
    """One of them.

    Attributes:
        page: its page in docs/how-to.
        fill: enqueues so many jobs through a client.
    """

    page: str
    fill: Callable[[Client, int], None]


def each(what: Any) -> Callable[[Client, int], None]:
    """Return what enqueues a job so many times, one call each."""

    def fill(client: Client, jobs: int) -> None:
        mine = what.using(client=client)
        for n in range(jobs):
            mine.enqueue(n)

    return fill


def with_a_tenant(client: Client, jobs: int) -> None:
    """Enqueue them where a variable is set that travels with them."""
    token = tenant.set("acme")
    each(plain)(client, jobs)
    tenant.reset(token)


def in_a_batch(client: Client, jobs: int) -> None:
    """Enqueue them in one batch."""
    with Batch(client=client):
        each(plain)(client, jobs)


def in_chains(client: Client, jobs: int) -> None:
    """Enqueue chains of ten steps."""
    for _ in range(0, jobs, 10):
        chain(*(plain.si(n) for n in range(10))).enqueue(client)


def by_an_outbox(client: Client, jobs: int) -> None:
    """Write each as a row, in a transaction of its own, and relay them."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    outbox.create(engine)
    for n in range(jobs):
        with engine.begin() as connection:
            plain.using(client=client, outbox=connection).enqueue(n)
    Relay(engine, client).drain()
    engine.dispose()


FEATURES = {
    PLAIN: Feature("", each(plain)),
    "unique": Feature("unique", each(unique)),
    "result and status": Feature("results", each(kept)),
    "Concurrent": Feature("limits", each(concurrent)),
    "Window": Feature("limits", each(window)),
    "Bucket": Feature("limits", each(bucket)),
    "batch": Feature("batches", in_a_batch),
    "chain of ten": Feature("workflows", in_chains),
    "encrypted": Feature("encryption", each(sealed)),
    "context of one variable": Feature("context", with_a_tenant),
    "idempotent": Feature("idempotency", each(once)),
    "outbox": Feature("outbox", by_an_outbox),
}


def timed(feature: Feature, client: Client, clock: Clock, jobs: int) -> dict[str, float]:
    """Return what it takes, µs a job."""
    began = clock.now()
    feature.fill(client, jobs)
    filled = clock.now()
    drain(client=client, most=jobs * 2)
    return {"enqueue_us": (filled - began) / jobs, "run_us": (clock.now() - filled) / jobs}


def counted(feature: Feature, client: Client, redis: RedisProcess, proxy: Proxy, jobs: int) -> dict[str, float]:
    """Return its round trips and commands, a job."""
    marks = []
    for step in (lambda: None, lambda: feature.fill(client, jobs), lambda: drain(client=client, most=jobs * 2)):
        step()
        marks.append((proxy.counts()["round_trips"], sum(redis.commands().values())))
    (trips, calls), (trips_filled, calls_filled), (trips_run, calls_run) = marks
    return {
        "enqueue_trips": (trips_filled - trips) / jobs,
        "run_trips": (trips_run - trips_filled) / jobs,
        "enqueue_commands": (calls_filled - calls) / jobs,
        "run_commands": (calls_run - calls_filled) / jobs,
    }


def measured(jobs: int, rounds: int) -> dict[str, Any]:
    """Return what all cost: of the plain job its figures, of the others what is added to it."""
    configure(keys={"k1": os.urandom(32)})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in FEATURES}
    with tempfile.TemporaryDirectory() as folder, RedisProcess(folder) as redis:
        clock, client = Clock(redis.pid), Client(redis.url)
        with Proxy(redis.port, 0.0) as proxy:
            through = Client(f"redis://127.0.0.1:{proxy.port}/0")
            counts = {}
            for name, feature in FEATURES.items():
                counted(feature, through, redis, proxy, 10)  # scripts are loaded, connections open
                redis.db.flushall()
                counts[name] = counted(feature, through, redis, proxy, min(jobs, 200))
                redis.db.flushall()
            through.close()
            periodic = ticking.ticking(redis, proxy, clock, rounds)
        for number in range(rounds + 1):
            for name, feature in FEATURES.items():
                redis.db.flushall()
                figures = timed(feature, client, clock, jobs if number else 20)
                if number:  # the first round is for warming up
                    found[name].append(figures)
        client.close()
    base = found[PLAIN]
    told = {name: _told(runs, base, counts[name], counts[PLAIN]) for name, runs in found.items()}
    return {"machine": machine(), "jobs": jobs, "rounds": rounds, "features": told, "periodic": periodic}


def _told(
    runs: Sequence[Mapping[str, float]],
    base: Sequence[Mapping[str, float]],
    counts: Mapping[str, float],
    plain_counts: Mapping[str, float],
) -> dict[str, Any]:
    is_plain = runs is base
    told: dict[str, Any] = {}
    for figure in FIGURES[:2]:
        values = [
            one[figure] - (0.0 if is_plain else other[figure]) for one, other in zip(runs, base, strict=True)
        ]
        told[figure] = {"median": statistics.median(values), "interval": interval(values)}
    return told | {name: value - (0.0 if is_plain else plain_counts[name]) for name, value in counts.items()}


def markdown(found: Mapping[str, Any], before: str = "") -> str:
    """Return the page; what `bench.against` has shown stays from the page `before`."""
    lines = [
        HEAD.format(rounds=found["rounds"], jobs=found["jobs"]),
        *(f"- {name}: {value}" for name, value in found["machine"].items()),
        COLUMNS,
    ]
    for name, told in found["features"].items():
        page = FEATURES[name].page
        sign = "" if name == PLAIN else "+"
        times = [
            f"{told[f]['median']:{sign}.0f} ({told[f]['interval'][0]:.0f} to {told[f]['interval'][1]:.0f})"
            for f in FIGURES[:2]
        ]
        counts = [f"{told[f]:{sign}.2f}" for f in FIGURES[2:]]
        title = f"[{name}](how-to/{page}.md)" if page else "a plain job"
        lines.append("| " + " | ".join([title, *times, *counts]) + " |")
    lines += ticking.rows(found["periodic"])
    _, unused, figures = before.partition(f"\n{UNUSED}\n")
    return "\n".join(lines) + "\n" + unused + figures


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500, help="a feature and round (500)")
    parser.add_argument("--rounds", type=int, default=11, help="rounds (11)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--page", type=Path, help="measure nothing: write docs/feature-costs.md of these figures")
    asked = parser.parse_args(argv)
    if asked.page:
        PAGE.write_text(markdown(json.loads(asked.page.read_text()), PAGE.read_text()))
        return
    carry(tenant)
    found = measured(asked.jobs, asked.rounds)
    sys.stdout.write(markdown(found))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
