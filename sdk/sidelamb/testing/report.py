"""What `drain` has done: every run, in order, and how each ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Drained", "Ran"]


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of one job."""

    name: str
    """Its wire name."""
    jid: str
    queue: str
    attempt: int
    """1 for the first run, 2 for the first retry."""
    outcome: str
    """`succeeded`, `retry`, `dead`, `discarded`, `snoozed`, `interrupted` or `returned`."""
    failed: bool = False
    """Whether a worker counts it as failed."""
    error: BaseException | None = None
    """What it raised; for a job that could not be run at all, what became of it."""
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        given = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        why = f": {type(self.error).__name__}: {self.error}" if self.error is not None else ""
        return f"{self.name}({', '.join(given)}) attempt {self.attempt} {self.outcome}{why}"


@dataclass(frozen=True, slots=True)
class Drained:
    """All runs of one `drain`. As a text it has a line for each."""

    runs: tuple[Ran, ...] = ()

    def __iter__(self) -> Iterator[Ran]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __str__(self) -> str:
        return "\n".join(map(str, self.runs)) or "nothing was queued"

    @property
    def ran(self) -> int:
        """Runs, whatever came of them."""
        return len(self.runs)

    @property
    def succeeded(self) -> int:
        """Runs that succeeded."""
        return self._count("succeeded")

    @property
    def failed(self) -> int:
        """Runs that failed: those that will be retried, and those after which the job was dead or dropped."""
        return sum(run.failed for run in self.runs)

    @property
    def retried(self) -> int:
        """Runs after which the job waits for a retry."""
        return self._count("retry")

    @property
    def dead(self) -> int:
        """Jobs that went to the dead set."""
        return self._count("dead")

    @property
    def discarded(self) -> int:
        """Jobs that were dropped: by their own word, cancelled, or expired."""
        return self._count("discarded")

    @property
    def snoozed(self) -> int:
        """Runs that put their job off."""
        return self._count("snoozed")

    def _count(self, outcome: str) -> int:
        return sum(run.outcome == outcome for run in self.runs)
