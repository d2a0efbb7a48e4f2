"""One run: every workload, every peer, by turns (A B C A B C …): the machine's weather hits all alike."""

from __future__ import annotations

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
from bench.workloads.w8 import W8
from bench.workloads.w9 import W9
from bench.workloads.w10 import W10
from bench.workloads.workload import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bench.sample import Figures
    from bench.sizes import Sizes
    from bench.workloads.workload import Workload

__all__ = ["WORKLOADS", "Run"]

TOGETHER = (W4, W1, W2)
"""They share a session."""
ALONE = (W3, W3_LONG, W5, W6, W6_LATE, W8, W9, W10)
WORKLOADS = {w.name: w for w in sorted((*TOGETHER, *ALONE), key=lambda w: int(w.name[1:]))}


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

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        """Return what is to be done, in order: a label and a function for each."""
        return [*self._together(), *self._alone()]

    def _wanted(self, peers: Iterable[str]) -> list[str]:
        """Return those of a workload's peers that were asked for."""
        return [peer for peer in peers if self._peers is None or peer in self._peers]

    def _together(self) -> Iterator[tuple[str, Callable[[], None]]]:
        wanted = [w for w in TOGETHER if w.name in self._only]
        if not wanted and "W9" not in self._only:
            return
        for n in range(self._runs):
            for peer in self._wanted((*PEERS, LIMIT)):
                if peer == LIMIT:
                    yield from self._limits(wanted, n)
                else:
                    yield f"W1, W2, W4: {peer}", lambda peer=peer, n=n: self._session(peer, n)
            if "W2" in self._only:
                for peer in self._wanted(w2.ONE):
                    yield (
                        f"W2: {peer}, one process",
                        lambda peer=peer, n=n: self._note(W2, peer, n, w2.one_process(peer, self._sizes)),
                    )

    def _session(self, peer: str, n: int) -> None:
        with Session(PEERS[peer]) as session:
            if "W4" in self._only:
                self._note(W4, peer, n, w4.step(session, self._sizes))
            self._filled(session, peer, n, w1.step, w2.step)
            self._filled(session, peer, n, w1.many, w2.many)

    def _filled(self, session: Session, peer: str, n: int, fill: Callable, drain: Callable) -> None:  # type: ignore[type-arg]
        """Fill a queue, drain it, and note that for W1, W2 and W9."""
        filled = list(fill(session, self._sizes))
        drained = list(drain(session, self._sizes))
        self._note(W1, peer, n, filled)
        self._note(W2, peer, n, drained)
        for (_, before), (case, figures) in zip(filled, drained, strict=False):
            self._note(W9, peer, n, [(f"logging off, {case}", {**figures, "client_us": before["client_us"]})])

    def _limits(self, workloads: Iterable[Workload], n: int) -> Iterator[tuple[str, Callable[[], None]]]:
        for w in workloads:
            if w.limit is not None:
                yield f"{w.name}: limit", lambda w=w, n=n: self._note(w, LIMIT, n, w.limit(self._sizes))

    def _alone(self) -> Iterator[tuple[str, Callable[[], None]]]:
        for w in ALONE:
            if w.name not in self._only:
                continue
            for n in range(min(self._runs, w.most_runs)):
                for peer in self._wanted(w.peers):
                    yield (
                        f"{w.name}: {peer}",
                        lambda w=w, peer=peer, n=n: self._note(w, peer, n, w.measure(peer, self._sizes)),
                    )
                if self._wanted([LIMIT]):
                    yield from self._limits([w], n)

    def _note(self, w: Workload, peer: str, n: int, measured: Iterable[tuple[str, Figures]]) -> None:
        for case, figures in measured:
            if w.name in self._only:
                self.results.add(Sample(w.name, case, peer, n, figures))
