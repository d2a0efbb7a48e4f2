"""What a run has measured, and what is made of it."""

from __future__ import annotations

import re
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.stats import percentile

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Figures", "Results", "Sample"]

Figures = dict[str, Any]
"""By name, a number; or a list of numbers, which are pooled over the rounds."""
_PERCENTILE = re.compile(r"(.*)\.p(\d+)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement.

    Attributes:
        workload: W1 to W11.
        case: which part of the workload.
        peer: who; "limit" is the least program that could do it.
        round: of the alternation.
        figures: what was measured.
    """

    workload: str
    case: str
    peer: str
    round: int
    figures: Figures


@dataclass
class Results:
    """All samples, and what they were taken on."""

    about: dict[str, Any] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Note one."""
        self.samples.append(sample)

    @property
    def workloads(self) -> list[str]:
        """Those that were measured, in order."""
        return sorted({s.workload for s in self.samples}, key=lambda name: int(name[1:]))

    def cases(self, workload: str) -> list[str]:
        """Those of a workload, in the order in which they were measured."""
        return list(dict.fromkeys(s.case for s in self.samples if s.workload == workload))

    def peers(self, workload: str, case: str) -> list[str]:
        """Those that were measured."""
        found = (s.peer for s in self.samples if (s.workload, s.case) == (workload, case))
        return list(dict.fromkeys(found))

    def rounds(self, workload: str, case: str, peer: str, figure: str) -> list[float]:
        """Return a figure's values, one a round."""
        return [
            s.figures[figure]
            for s in self.samples
            if (s.workload, s.case, s.peer) == (workload, case, peer) and figure in s.figures
        ]

    def pooled(self, workload: str, case: str, peer: str, figure: str) -> list[float]:
        """Return the values of a figure that is a list, of all rounds."""
        return [value for each in self.rounds(workload, case, peer, figure) for value in each]  # type: ignore[attr-defined]

    def median(self, workload: str, case: str, peer: str, figure: str) -> float | None:
        """Return a figure's median over the rounds; `name.p99` is the percentile of a pooled one."""
        if asked := _PERCENTILE.fullmatch(figure):
            values = self.pooled(workload, case, peer, asked[1])
            return percentile(values, int(asked[2]) / 100) if values else None
        values = self.rounds(workload, case, peer, figure)
        return statistics.median(values) if values else None

    def to_json(self) -> dict[str, Any]:
        """Return what a file holds."""
        return {"about": self.about, "samples": [asdict(sample) for sample in self.samples]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Results:
        """Return what a file holds."""
        samples: Iterable[dict[str, Any]] = data["samples"]
        return cls(data["about"], [Sample(**sample) for sample in samples])
