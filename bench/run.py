"""One run: every workload, every peer, by turns (A B C A B C …): the machine's weather hits all alike."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench.peers import PEERS
from bench.sample import Results, Sample
from bench.session import Session
from bench.workloads import w1, w2, w4
from bench.workloads.w1 import W1
from bench.workloads.w2 import W2
from bench.workloads.w3 import W3, W3_LONG
from bench.workloads.w4 import W4
from bench.workloads.w5 import W5
from bench.workloads.w6 import W6, W6_LATE
from bench.workloads.w7 import W7, W7_FLIGHT
from bench.workloads.w8 import W8
from bench.workloads.w9 import W9
from bench.workloads.w10 import W10
from bench.workloads.w11 import W11, W11_API, W11_POLLERS
from bench.workloads.workload import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes
    from bench.workloads.workload import Measure, Step, Workload

    Todo = tuple[str, Callable[[], None]]

__all__ = ["WORKLOADS", "Run"]

TOGETHER = (W4, W1, W2)
"""They share a session."""
ALONE = (W3, W3_LONG, W5, W6, W6_LATE, W7, W7_FLIGHT, W8, W9, W10, W11, W11_POLLERS, W11_API)
WORKLOADS = {w.name: w for w in sorted((*TOGETHER, *ALONE), key=lambda w: int(w.name[1:]))}
"""By name; where one has several parts, the last stands for all: they share title and columns."""


class Run:
    """A run of what was asked for.

    Args:
        only: names of workloads.
        peers: whom to measure, "limit" among them; None for each workload's own choice.
        sizes: how much.
        runs: rounds.
    """

    def __init__(self, only: Iterable[str], peers: tuple[str, ...] | None, sizes: Sizes, runs: int) -> None:
        self._only, self._peers, self._sizes, self._runs = set(only), peers, sizes, runs
        self.results = Results()

    def steps(self) -> list[Todo]:
        """Return what is to be done, in order: a label and a function for each."""
        return [*self._together(), *self._alone()]

    def _wanted(self, peers: Iterable[str]) -> list[str]:
        """Return those of a workload's peers that were asked for; one that stands only there comes with it."""
        known = {*PEERS, LIMIT}
        return [peer for peer in peers if self._peers is None or peer in self._peers or peer not in known]

    def _together(self) -> Iterator[Todo]:
        wanted = [w for w in TOGETHER if w.name in self._only]
        if not wanted and W9.name not in self._only:
            return
        for n in range(self._runs):
            for peer in self._wanted(PEERS):
                yield f"W1, W2, W4: {peer}", partial(self._session, peer, n)
            if W2.name in self._only:
                for peer in self._wanted(w2.ONE):
                    yield f"W2: {peer}, one process", partial(self._measure, W2, w2.one_process, peer, n)
            yield from self._limits(wanted, n)

    def _alone(self) -> Iterator[Todo]:
        for w in ALONE:
            if w.name not in self._only:
                continue
            for n in range(min(self._runs, w.most_runs) + w.more_runs):
                for peer in self._wanted(w.peers):
                    if w.measure is not None:
                        yield f"{w.name}: {peer}", partial(self._measure, w, w.measure, peer, n)
                yield from self._limits([w], n)

    def _limits(self, workloads: Iterable[Workload], n: int) -> Iterator[Todo]:
        if self._wanted([LIMIT]):
            for w in workloads:
                if w.limit is not None:
                    yield f"{w.name}: limit", partial(self._limit, w, n)

    def _session(self, peer: str, n: int) -> None:
        with Session(PEERS[peer]) as session:
            if W4.name in self._only:
                self._note(W4, peer, n, w4.step(session, self._sizes))
            if self._only & {W1.name, W2.name, W9.name}:
                self._filled(session, n, w1.step, w2.step)
                self._filled(session, n, w1.many, w2.many)

    def _filled(self, session: Session, n: int, fill: Step, drain: Step) -> None:
        """Fill a queue, drain it, and note that for W1, W2 and W9."""
        peer = session.peer.name
        filled = list(fill(session, self._sizes))
        drained = list(drain(session, self._sizes))
        self._note(W1, peer, n, filled)
        self._note(W2, peer, n, drained)
        for (_, before), (case, figures) in zip(filled, drained, strict=False):
            self._note(W9, peer, n, [(f"logging off, {case}", {**figures, "client_us": before["client_us"]})])

    def _measure(self, w: Workload, measure: Measure, peer: str, n: int) -> None:
        self._note(w, peer, n, measure(peer, self._sizes))

    def _limit(self, w: Workload, n: int) -> None:
        if w.limit is not None:
            self._note(w, LIMIT, n, w.limit(self._sizes))

    def _note(self, w: Workload, peer: str, n: int, measured: Iterable[tuple[str, Figures]]) -> None:
        for case, figures in measured:
            if w.name in self._only:
                self.results.add(Sample(w.name, case, peer, n, figures))
