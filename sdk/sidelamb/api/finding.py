"""What an audit finds, and how it is put right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidelamb.api.steps import Step, Steps, View, arun, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb.client import Client

__all__ = ["STEP", "Finder", "Finding", "parts", "text"]

STEP = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    what: str
    """A sentence."""
    where: str
    """The key."""
    remedy: str
    """What `mend` does, or what a person has to do where it can do nothing."""
    _client: Client = field(repr=False)
    _call: Step | None = field(default=None, repr=False)

    @property
    def can_be_mended(self) -> bool:
        """Whether `mend` can do something."""
        return self._call is not None

    def mend(self) -> bool:
        """Put it right in one script; say whether anything had to be changed still.

        Raises:
            RedisUnreachable, RedisRefused, RedisUncertain: as `Job.enqueue`; it is safe to try again.
        """
        return bool(self._call is not None and run(self._client, _one(self._call)))

    async def amend(self) -> bool:
        """`mend` for async code."""
        return bool(self._call is not None and await arun(self._client, _one(self._call)))

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class Finder(View):
    """What looks for findings.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _finding(self, what: str, where: str, remedy: str, call: Step | None = None) -> Finding:
        return Finding(what, where, remedy, self._client, call)


def text(value: Any) -> str:
    """Return what Redis answered as text; nothing as empty."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def parts(names: list[str], most: int = STEP) -> Iterator[list[str]]:
    """Yield `names`, so many at a time."""
    for i in range(0, len(names), most):
        yield names[i : i + most]


def _one(step: Step) -> Steps[Any]:
    return (yield step)
