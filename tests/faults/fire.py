"""The system under fire: a load, a nemesis, and a verdict.

python -m tests.faults                          ten seeds, 10,000 jobs each
python -m tests.faults --mutant "reap early"    the same with a fault in the code, which must be found

One at a time on a machine: the nemesis finds sandboxes by their function's name, those of another fire too.
"""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import redis

from sidelamb_local.redis_server import RedisServer
from sidelamb_local.stack import Stack
from tests.faults import aftermath
from tests.faults.features import EVENTS, Features, callback_of, features_verdict
from tests.faults.load import MIX, STEPS, Load
from tests.faults.nemesis import KINDS, Nemesis, plan
from tests.faults.verdict import runs_of, verdict
from tests.handlers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["CARELESS", "MUTANTS", "Result", "fire"]

RESEND = "resend enqueue"
MUTANTS = {
    "settle without check": ("repeat commands",),
    "reap early": ("kill sandboxes",),
    "release twice": ("throttle",),
    RESEND: ("drop replies",),
    "no claim": ("repeat invocations",),
}
"""Faults that can be put into the code, and in which troubles each does harm."""
CARELESS = "careless"
"""Faults in the features: they do harm without any trouble."""

APP = Path(__file__).parent / "app"
HURRY = Path(__file__).parent / "hurry"
SANDBOXES = 4
LIMIT = 2
WINDOW = (4, 3.0)
"""The app's: so many jobs under its limit at once, so many under its window in so many seconds."""
TICK_S = 5.0
"""The hurried system's minute."""
FAULT_S = 4.5
"""A fault and the pause after it last about so long: the load is spread over all of them."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a fire came to."""

    seed: int
    jobs: int
    finished: int
    elsewhere: int
    """Accepted and not finished: they are in one place in Redis."""
    ran_twice: int
    uncertain: int
    refused: int
    faults: Counter[str]
    flows_s: float
    """The longest that it took, after the end of a fault amid the load, until a job was finished again."""
    slowest: str
    """That fault."""
    rest_s: float
    """From the end of the last fault and of the load until all was at rest."""
    batches: int
    chains: int
    unique: int
    """Unique jobs that were stored."""
    limited: int
    """Runs under a limit."""
    ticks: int
    """For which a job was enqueued."""
    wrong: list[str]


def fire(
    folder: Path,
    seed: int,
    *,
    jobs: int,
    faults: int,
    kinds: Sequence[str] = KINDS,
    mix: Mapping[str, float] = MIX,
    mutant: str = "",
    rest_s: float = 120.0,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _done, _whole: None,
) -> Result:
    """Run `jobs` jobs through a system that a nemesis does `faults` faults to.

    Args:
        folder: an empty one.
        seed: tells the faults and the jobs.
        jobs: how many are enqueued.
        faults: how many faults there are.
        kinds: of these.
        mix: shares of the kinds of jobs.
        mutant: a fault that is put into the code: of `MUTANTS`, or `CARELESS`.
        rest_s: wait so long for everything to come to rest afterwards, seconds.
        say: told of each fault.
        progress: told how many jobs of all were finished.
    """
    ledger, marks = folder / "ledger.sqlite", folder / "marks"
    marks.mkdir(parents=True)
    rows = sqlite3.connect(ledger, isolation_level=None, check_same_thread=False)
    rows.execute("PRAGMA journal_mode=WAL")
    rows.execute("CREATE TABLE runs (jid TEXT, mark TEXT, at REAL, pid INTEGER, place TEXT)")
    rows.execute("CREATE TABLE passes (at REAL)")
    app = shutil.copytree(APP, folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    env = {"LEDGER": str(ledger), "FAULTS_HURRY": "1", "FAULTS_MUTANT": mutant}
    was = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HURRY), was]))
    try:
        with _Server(folder / "redis") as server:
            proxy = Proxy(server.url)
            stack = _Stack(app, redis_url=proxy.url, concurrency=SANDBOXES, env=env, data_dir=folder / "data")
            with stack, _Deaths(rows) as deaths:
                nemesis = Nemesis(stack, server, proxy, app / "template.yaml", ledger, say)
                load = Load(
                    server.url,
                    proxy.url,
                    marks,
                    seed,
                    jobs,
                    faults * FAULT_S,
                    mix=mix,
                    resend=mutant == RESEND,
                )
                steps = plan(seed, faults, kinds)
                load.start()
                with ThreadPoolExecutor(1) as pool:
                    harm = pool.submit(nemesis.run, steps, seed)
                    while not harm.done():
                        wait([harm], 0.5)
                        progress(_finished(rows), jobs)
                    harm.result()
                load.join()
                over = time.monotonic()
                next_tick = aftermath.stop_ticks(server.url, rest_s)
                aftermath.rest(server.url, lambda: progress(_finished(rows), jobs), rest_s)
                until = time.monotonic()
            proxy.close()
            runs = runs_of(rows.execute("SELECT * FROM runs").fetchall(), deaths.at, until)
            ends = [at for (at,) in rows.execute("SELECT at FROM runs WHERE mark = 'E' ORDER BY at")]
            passes = [at for (at,) in rows.execute("SELECT at FROM passes")]
            places = aftermath.places_in(server.url)
            ticks = aftermath.ticks_in(server.url)
            features = Features(
                batches=aftermath.batches_in(server.url, load.batches, load.doubtful),
                chains=aftermath.chains_in(server.url, load.chains),
                steps=STEPS,
                unique={key: sorted(jids) for key, jids in load.unique.items()},
                locks=aftermath.locks_in(server.url),
                limited=load.limited,
                most=LIMIT,
                passes=passes,
                window=WINDOW,
                ticks=[at for at, _ in ticks],
                next_tick=next_tick,
                tick_s=TICK_S,
            )
    finally:
        os.environ["PYTHONPATH"] = was
        rows.close()
    accepted = load.accepted + [jid for jid in load.uncertain if jid in runs or jid in places]
    accepted += _made_by_the_system(features, [jid for _, jid in ticks], runs, places)
    done = {jid for jid in accepted if any(r.end is not None and not r.failed for r in runs.get(jid, ()))}
    return Result(
        seed,
        len(accepted),
        len(done),
        len(accepted) - len(done),
        sum(sum(not run.failed for run in each) > 1 for each in runs.values()),
        len(load.uncertain),
        load.refused,
        Counter(kind for kind, _ in steps),
        *max(_waits([(at, kind) for at, kind in nemesis.over if at < load.over], ends), default=(0.0, "")),
        until - over,
        len(features.batches),
        len(features.chains),
        sum(len([jid for jid in jids if jid in runs]) for jids in features.unique.values()),
        sum(len(runs.get(jid, ())) for jid in features.limited) + len(passes),
        len(ticks),
        verdict(accepted, runs, places, nemesis.unheard) + features_verdict(features, runs, places),
    )


def _made_by_the_system(
    features: Features, ticks: Sequence[str], runs: Mapping[str, object], places: Mapping[str, object]
) -> list[str]:
    """Return ids of the jobs that nobody has enqueued: ticks, callbacks, and steps of chains."""
    calls = [callback_of(bid, event) for bid in features.batches for event in EVENTS]
    steps = dict.fromkeys(jid for one in features.chains.values() for jid in (*one.jobs, *one.pending))
    seen = [jid for jid in (*calls, *steps) if jid in runs or jid in places]
    return [*dict.fromkeys(ticks), *seen]


class _Server(RedisServer):
    """Acknowledges nothing that is not on its disk, after each of its starts."""

    def start(self) -> None:
        super().start()
        with redis.Redis.from_url(self.url) as db:
            db.config_set("appendfsync", "always")


class _Stack(Stack):
    """As on AWS: nobody tells the poller that the function has changed."""

    def _look_again(self) -> None:
        pass


class _Deaths(threading.Thread):
    """Notes when a process that ran jobs is seen gone."""

    def __init__(self, rows: sqlite3.Connection) -> None:
        super().__init__(daemon=True)
        self._rows = rows
        self._over = threading.Event()
        self.at: dict[int, float] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look often at the processes that are in the ledger."""
        known: set[int] = set()
        looked = 0.0
        while not self._over.wait(0.02):
            if time.monotonic() - looked > 0.3:
                known |= {pid for (pid,) in self._rows.execute("SELECT DISTINCT pid FROM runs")}
                looked = time.monotonic()
            for pid in known - set(self.at):
                if not _alive(pid):
                    self.at[pid] = time.monotonic()


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _finished(rows: sqlite3.Connection) -> int:
    return int(rows.execute("SELECT count(DISTINCT jid) FROM runs WHERE mark = 'E'").fetchone()[0])


def _waits(over: Sequence[tuple[float, str]], ends: Sequence[float]) -> Iterator[tuple[float, str]]:
    """Yield how long it took from a fault's end until a job ended, and the fault."""
    for at, kind in over:
        yield next((end for end in ends if end > at), math.inf) - at, kind
