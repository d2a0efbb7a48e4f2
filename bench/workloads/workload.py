"""What a workload is to the one who runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.peers import PEERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.sample import Figures
    from bench.session import Session
    from bench.sizes import Sizes

    Measure = Callable[[str, Sizes], Iterator[tuple[str, Figures]]]
    Step = Callable[[Session, Sizes], Iterator[tuple[str, Figures]]]

__all__ = ["EVERYBODY", "LIMIT", "Column", "Workload"]

LIMIT = "limit"
"""Stands among the peers for the least program that could do it."""
EVERYBODY = tuple(PEERS)


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a table.

    Attributes:
        figure: its name in the samples; `.p99` after it takes that percentile.
        title: what stands above it.
        form: how it is written, as `format` takes it.
        better: "high" or "low": with it, how many times better Sidelamb is stands beside each.
    """

    figure: str
    title: str
    form: str = ",.0f"
    better: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """One of W1 to W11.

    Attributes:
        name: W1 to W11.
        title: what is measured, in a few words.
        columns: of its table.
        measure: measures one peer once; gives (case, figures). For those that need no session.
        step: the same within a session of one peer that others use too.
        limit: the least program that could do it; gives (case, figures).
        peers: who is measured, unless others are asked for.
        most_runs: rounds, where fewer than usual must do.
        more_runs: rounds beside the usual ones: an interval of 95 % needs six.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    measure: Measure | None = None
    step: Step | None = None
    limit: Callable[[Sizes], Iterator[tuple[str, Figures]]] | None = None
    peers: tuple[str, ...] = EVERYBODY
    most_runs: int = 100
    more_runs: int = 0
