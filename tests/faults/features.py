"""What must hold of batches, chains, unique jobs, limits and periodic jobs, said as sentences about what did not.

Pure.

- No batch waits for a job that is nowhere; each of its events that has come was told by one callback, none twice,
  none too soon. A job's end was acknowledged: then its callback neither waits nor starts again.
- A step of a chain starts when the one before it has succeeded, with its result.
- Equal unique jobs never live beside each other, and no lock is left of a job that is gone.
- Of jobs under a limit no more run at once, or pass in a time, than it says. A slot ends with its run, and if that
  was cut off, no sooner than its process.
- Each tick is enqueued once, up to the next one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.faults.verdict import SEEN_LATE_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.faults.verdict import Run

    Runs = Mapping[str, Sequence[Run]]
    Places = Mapping[str, Sequence[str]]

__all__ = ["Batched", "Features", "callback_of", "features_verdict"]

EVENTS = ("complete", "success", "death")
CLOCKS_S = 0.25
"""So much shorter a window may be: a worker's time is read before its question reaches Redis."""


@dataclass(frozen=True, slots=True)
class Batched:
    """A batch, at the end."""

    jobs: tuple[str, ...]
    """Those that were enqueued in it; of a chain, those that its result names."""
    pending: frozenset[str] = frozenset()
    """Those that Redis says are not through."""
    dead: frozenset[str] = frozenset()
    """Those that Redis says are dead."""
    is_known: bool = True
    """Whether Redis knows it."""


@dataclass(frozen=True, slots=True)
class Features:
    """What a fire had of each feature, and what Redis says of it at the end."""

    batches: Mapping[str, Batched] = field(default_factory=dict)
    """By id."""
    chains: Mapping[str, Batched] = field(default_factory=dict)
    steps: int = 0
    """Of each chain."""
    unique: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """By what makes them equal, the ids of the jobs that were stored."""
    locks: Mapping[str, str] = field(default_factory=dict)
    """By key, who holds it."""
    limited: Sequence[str] = ()
    most: int = 1
    """So many of these at once."""
    passes: Sequence[float] = ()
    """When each run under a window passed, epoch s."""
    window: tuple[int, float] = (1, 1.0)
    """So many in so many seconds."""
    ticks: Sequence[float] = ()
    """Those for which a job was enqueued, epoch s."""
    next_tick: float = 0.0
    """The first that has not come."""
    tick_s: float = 0.0
    """From one to the next; 0 if there is nothing periodic."""


def callback_of(bid: str, event: str) -> str:
    """Return the id of a callback's job."""
    return f"{bid}-{event}"


def features_verdict(f: Features, runs: Runs, places: Places) -> list[str]:
    """Return what did not hold."""
    wrong = [*_batches(f, runs, places), *_chains(f, runs, places)]
    wrong += [*_equals(f, runs), *_locks(f, places)]
    wrong += [*_at_once(f, runs), *_in_a_time(f)]
    return wrong + list(_ticks(f))


def _batches(f: Features, runs: Runs, places: Places) -> Iterable[str]:
    for bid, batch in f.batches.items():
        calls = {event: callback_of(bid, event) for event in EVENTS}
        if not batch.is_known:
            yield f"batch {bid} is lost: Redis does not know it"
            continue
        if _moves(batch.jobs, places) or _moves(calls.values(), places):
            continue
        dead = {jid for jid in batch.jobs if "dead" in places.get(jid, ())}
        if left := batch.pending - dead:
            yield f"batch {bid} is stuck: it waits for {', '.join(sorted(left))}, which will not run"
        if dead != batch.dead:
            yield f"batch {bid} says that {sorted(batch.dead)} are dead; in the dead set are {sorted(dead)}"
        told = {event for event, jid in calls.items() if runs.get(jid) or places.get(jid)}
        due = {"complete", "death" if dead else "success"}
        yield from (f"batch {bid} has never told of its {event}" for event in sorted(due - told))
        yield from (f"batch {bid} has told of a {event} that it did not have" for event in sorted(told - due))
        for event, jid in calls.items():
            yield from _again(f"callback {jid}", runs.get(jid, ()), places.get(jid, ()))
            yield from _too_soon(event, jid, batch, runs)


def _too_soon(event: str, jid: str, batch: Batched, runs: Runs) -> Iterable[str]:
    first = next(iter(runs.get(jid, ())), None)
    if first is None or event == "death":
        return
    for member in batch.jobs:
        ends = [_over(run) for run in runs.get(member, ()) if event == "complete" or _is_good(run)]
        if not ends or min(ends) > first.start:
            had = "run" if event == "complete" else "succeeded"
            yield f"callback {jid} was started before job {member} had {had}"


def _chains(f: Features, runs: Runs, places: Places) -> Iterable[str]:
    for bid, chain in f.chains.items():
        if not chain.is_known:
            yield f"chain {bid} is lost: Redis does not know it"
        elif not chain.jobs:
            if not chain.dead and not _moves(chain.pending, places):
                yield f"chain {bid} is stuck: it waits for {', '.join(sorted(chain.pending))}, which will not run"
        elif len(set(chain.jobs)) != f.steps or len(chain.jobs) != f.steps:
            yield f"chain {bid} was handed on by {', '.join(chain.jobs)}; it has {f.steps} steps"
        elif chain.pending:
            yield f"chain {bid} has its result, and waits for {', '.join(sorted(chain.pending))}"
        for before, after in pairwise(chain.jobs):
            ends = [_over(run) for run in runs.get(before, ()) if _is_good(run)]
            if not ends or any(run.start < min(ends) for run in runs.get(after, ())):
                yield f"chain {bid}: step {after} was started before {before} had succeeded"
        for jid in chain.jobs:
            yield from _again(f"step {jid}", runs.get(jid, ()), places.get(jid, ()))


def _again(what: str, runs: Sequence[Run], places: Sequence[str]) -> Iterable[str]:
    """Say whether it was pushed a second time, after Redis had acknowledged that it was done."""
    for n, run in enumerate(runs):
        if run.acknowledged and _is_good(run) and (places or n + 1 < len(runs)):
            where = (
                f"is in {', '.join(places)}"
                if places
                else f"was started again {runs[n + 1].start - run.gone:.2f} s later"
            )
            yield f"{what} was done, Redis had acknowledged it, and it {where}"
            return


def _equals(f: Features, runs: Runs) -> Iterable[str]:
    for key, jids in f.unique.items():
        lives = sorted((each[0].start, max(map(_over, each)), jid) for jid in jids if (each := runs.get(jid)))
        for (_, over, first), (start, _, second) in pairwise(lives):
            if start < over:
                yield (
                    f"unique job {second} was started {over - start:.2f} s before the last run of its equal "
                    f"{first} was over (key {key})"
                )


def _locks(f: Features, places: Places) -> Iterable[str]:
    for key, jid in f.locks.items():
        if set(places.get(jid, ())) <= {"dead"}:
            yield f"lock {key} is held by job {jid}, which is gone"


def _at_once(f: Features, runs: Runs) -> Iterable[str]:
    each = [(run.start, _over(run), jid) for jid in f.limited for run in runs.get(jid, ())]
    moves = sorted([(start, 1, jid) for start, _, jid in each] + [(over, -1, jid) for _, over, jid in each])
    at_once = 0
    for _, step, jid in moves:
        at_once += step
        if step > 0 and at_once > f.most:
            yield f"{at_once} jobs ran at once when job {jid} was started; the limit is {f.most}"


def _in_a_time(f: Features) -> Iterable[str]:
    most, per_s = f.window
    passes = sorted(f.passes)
    for first, last in zip(passes, passes[most:], strict=False):
        if last - first < per_s - CLOCKS_S:
            yield f"{most + 1} jobs passed a window in {last - first:.2f} s; the limit is {most} in {per_s:g} s"


def _ticks(f: Features) -> Iterable[str]:
    if not f.tick_s:
        return
    if not f.ticks:
        yield "no tick has come"
    yield from (f"tick {tick:.0f} was enqueued {n} times" for tick, n in Counter(f.ticks).items() if n > 1)
    for before, after in pairwise(sorted({*f.ticks, f.next_tick})):
        for n in range(1, round((after - before) / f.tick_s)):
            yield f"tick {before + n * f.tick_s:.0f} is missing"


def _moves(jids: Iterable[str], places: Places) -> bool:
    """Whether one of these is still going to run by itself."""
    return any(set(places.get(jid, ())) - {"dead"} for jid in jids)


def _is_good(run: Run) -> bool:
    return run.end is not None and not run.failed


def _over(run: Run) -> float:
    """Return when a run was over at the latest; the death of one that was cut off may be noted late."""
    return run.gone if run.end is not None else max(run.start, run.gone - SEEN_LATE_S)
