"""The load of a fire: a mix of jobs, and what is known of each when all are enqueued."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from sidelamb import Batch, Client, chain
from sidelamb.errors import RedisError, RedisUncertain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["KEYS", "MIX", "STEPS", "Load"]

MIX = {
    "quick": 73,
    "slow": 4,
    "later": 6,
    "failing": 4,
    "crashing": 0.3,
    "walk": 2,
    "scheduled": 3.7,
    "batch": 2,
    "chain": 1,
    "unique": 2,
    "limited": 1,
    "windowed": 0.5,
}
"""Shares of the kinds of jobs, in percent."""
MEMBERS = {"quick": 60, "later": 20, "failing": 15, "dying": 5}
"""Of the jobs of a batch."""
IN_A_BATCH = 4
STEPS = 3
"""Of a chain."""
KEYS = 20
"""So many different unique jobs there are."""


class Load(threading.Thread):
    """Enqueues a mix of jobs, through what the nemesis breaks, and knows what was accepted.

    Attributes:
        accepted: ids that Redis acknowledged, without those of chains.
        uncertain: ids whose answer got lost.
        batches: by id, the jobs that were enqueued in it, acknowledged or not.
        chains: by id, the job whose result is the chain's.
        doubtful: ids of batches and chains whose answer got lost.
        unique: by key, ids of the jobs that were stored.
        limited: ids of jobs under the limit.
        over: when all were enqueued, by the monotonic clock.
    """

    def __init__(
        self,
        url: str,
        proxied: str,
        marks: Path,
        seed: int,
        jobs: int,
        lasts_s: float,
        *,
        mix: Mapping[str, float],
        resend: bool,
    ) -> None:
        super().__init__(daemon=True)
        self._client = Client(proxied)
        if resend:
            enqueue = self._client.store.enqueue
            self._client.store.enqueue = lambda pairs: replace(enqueue(pairs), repeatable=True)  # type: ignore[method-assign]
        self._marks, self._draw = marks, random.Random(seed)
        self._kinds = self._draw.choices(list(mix), list(mix.values()), k=jobs)
        self._every_s = lasts_s / jobs
        self.accepted: list[str] = []
        self.uncertain: list[str] = []
        self.batches: dict[str, tuple[str, ...]] = {}
        self.chains: dict[str, str] = {}
        self.doubtful: set[str] = set()
        self.unique: dict[int, set[str]] = defaultdict(set)
        self.limited: list[str] = []
        self.refused = 0
        self.over = 0.0

    def run(self) -> None:
        """Enqueue everything; what Redis certainly did not store is enqueued again."""
        began = time.monotonic()
        for n, kind in enumerate(self._kinds):
            time.sleep(max(0.0, began + n * self._every_s - time.monotonic()))
            while not self._is_through(kind, n):
                self.refused += 1
                time.sleep(0.05)
        self.over = time.monotonic()

    def _is_through(self, kind: str, n: int) -> bool:
        """Enqueue one; say whether it may be there."""
        try:
            match kind:
                case "batch":
                    self._batch()
                case "chain":
                    self._chain()
                case "unique":
                    self._unique(n % KEYS)
                case "limited":
                    self._limited(n)
                case _:
                    self.accepted.append(self._enqueue(kind, n))
        except RedisUncertain as error:
            self.uncertain += error.jids
        except RedisError:
            return False
        return True

    def _enqueue(self, kind: str, n: int) -> str:
        if kind == "scheduled":
            return self._client.enqueue_in(self._draw.uniform(0, 8), "quick", n)
        return self._client.enqueue(kind, n, *([str(self._marks)] if kind == "crashing" else []))

    def _batch(self) -> None:
        told = self._client.job("told")
        batch = Batch(on_complete=told, on_success=told, on_death=told, client=self._client)
        kinds = self._draw.choices(list(MEMBERS), list(MEMBERS.values()), k=IN_A_BATCH)
        jids: list[str] = []
        try:
            with batch:
                jids += [str(self._client.enqueue(kind, n)) for n, kind in enumerate(kinds)]
        except RedisUncertain:
            self.batches[batch.bid] = tuple(jids)
            self.doubtful.add(batch.bid)
            self.uncertain += jids
        else:
            self.batches[batch.bid] = tuple(jids)
            self.accepted += jids

    def _chain(self) -> None:
        step = self._client.job("step")
        run = None
        try:
            run = chain(step.s([]), *(step.s() for _ in range(STEPS - 1))).enqueue(self._client)
        except RedisUncertain:
            return  # nothing says under which id it would be
        self.chains[run.bid] = str(run.result_of[1])

    def _unique(self, key: int) -> None:
        try:
            jid = str(self._client.job("single", unique_for=600).enqueue(key))
        except RedisUncertain as error:
            self.unique[key].update(error.jids)
            raise
        if jid not in self.unique[key]:  # otherwise it is the one that was there
            self.unique[key].add(jid)
            self.accepted.append(jid)

    def _limited(self, n: int) -> None:
        try:
            jid = str(self._client.enqueue("limited", n))
        except RedisUncertain as error:
            self.limited += error.jids
            raise
        self.limited.append(jid)
        self.accepted.append(jid)
