"""What periodic jobs cost the scheduler: a pass that finds none of them due, and a tick.

Processor time of this process and of Redis, round trips and Redis commands. A pass is the scheduler's own, as the
poller wakes it; its clock is set to just before, and then to, the minute in which all are due.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from bench.stats import interval
from sidelamb import job
from sidelamb.link import Link
from sidelamb.store import Store
from sidelamb.timetable import Entry, records_of
from sidelamb.timetable_calls import TimetableCalls
from sidelamb_handlers.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.meter import Clock
    from bench.proxy import Proxy
    from bench.redis_process import RedisProcess

__all__ = ["DECLARED", "TICK", "rows", "ticking"]

DECLARED = (0, 10, 100)
TICK = f"a tick, {DECLARED[-1]} in a pass"
BEGAN = 1_795_405_740.0
"""A full minute, epoch s."""
HEAD = """
## Periodic jobs

A pass of the scheduler, as the poller wakes it, while none of the declared is due; and what a tick adds to it.
"""
COLUMNS = """
| | µs | trips | commands |
|---|--:|--:|--:|"""


@job(name="bench.tick")
def tick() -> None: ...


class _Time:
    """A scheduler's clock that stands."""

    now = BEGAN

    def __call__(self) -> float:
        return self.now


def ticking(redis: RedisProcess, proxy: Proxy, clock: Clock, rounds: int) -> dict[str, Any]:
    """Return what each case costs: a pass, and in the last case a tick."""
    found: dict[str, Any] = {}
    time, store = _Time(), Store()
    direct, through = Link(redis.url), Link(f"redis://127.0.0.1:{proxy.port}/0")
    for count in DECLARED:
        redis.db.flushall()
        time.now = BEGAN
        entries = [Entry(f"tick-{n}", tick, "* * * * *") for n in range(count)]
        direct.run(TimetableCalls(store.keys).sync(records_of("bench", entries), time.now))
        schedulers = [Scheduler(link, store, clock=time) for link in (direct, through)]
        for scheduler in schedulers:  # the times are found, connections open, scripts loaded
            _pass(scheduler, time)
            time.now += 60
            _pass(scheduler, time)
        idle = _case(schedulers, time, redis, proxy, clock, rounds, 0)
        found[f"a pass, {count} declared"] = idle
        if count == DECLARED[-1]:
            busy = _case(schedulers, time, redis, proxy, clock, rounds, 60)
            found[TICK] = _each(busy, idle, count)
    direct.close()
    through.close()
    redis.db.flushall()
    return found


def _pass(scheduler: Scheduler, time: Callable[[], float]) -> int:
    return scheduler.make_pass(time() + 60).ticked


def _case(  # noqa: PLR0917 - what is measured with what
    schedulers: list[Scheduler],
    time: _Time,
    redis: RedisProcess,
    proxy: Proxy,
    clock: Clock,
    rounds: int,
    step_s: float,
) -> dict[str, Any]:
    """Return the figures of a pass, before each of which the time goes on by so much."""
    direct, through = schedulers
    times = []
    for _ in range(rounds):
        time.now += step_s
        began = clock.now()
        _pass(direct, time)
        times.append(clock.now() - began)
    time.now += step_s
    trips, commands = proxy.counts()["round_trips"], sum(redis.commands().values())
    _pass(through, time)
    return {
        "us": {"median": statistics.median(times), "interval": interval(times)},
        "trips": proxy.counts()["round_trips"] - trips,
        "commands": sum(redis.commands().values()) - commands,
    }


def _each(busy: dict[str, Any], idle: dict[str, Any], count: int) -> dict[str, Any]:
    """Return what one of so many has added to a pass."""
    before = idle["us"]["median"]
    return {
        "us": {
            "median": (busy["us"]["median"] - before) / count,
            "interval": [(us - before) / count for us in busy["us"]["interval"]],
        },
        "trips": (busy["trips"] - idle["trips"]) / count,
        "commands": (busy["commands"] - idle["commands"]) / count,
    }


def rows(found: dict[str, Any]) -> list[str]:
    """Return their part of the page, line by line."""
    lines = [HEAD, COLUMNS.lstrip("\n")]
    for name, told in found.items():
        us, sign = told["us"], "+" if name == TICK else ""
        low, high = us["interval"]
        times = f"{us['median']:{sign}.0f} ({low:.0f} to {high:.0f})"
        lines.append(f"| {name} | {times} | {told['trips']:{sign}.2f} | {told['commands']:{sign}.2f} |")
    return lines
