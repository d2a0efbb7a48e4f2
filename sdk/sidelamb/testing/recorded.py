"""The jobs that a test has enqueued, and what can be asserted about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidelamb.delay import job_of
from sidelamb.payload import decode, encode
from sidelamb.registry import registry
from sidelamb.times import epoch_seconds
from sidelamb.wording import did_you_mean

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence

    from sidelamb.job import Job

__all__ = ["Jobs", "Recorded"]

NEAR_S = 1.0
"""A time that is asserted may differ by so much: the test did not read the clock when the app did."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One job that was enqueued."""

    name: str
    """Its wire name."""
    jid: str
    queue: str
    at: float | None
    """Epoch s that it is scheduled for; None to run now."""
    payload: dict[str, Any]
    """All of it, as it would be read from Redis."""

    @property
    def args(self) -> list[Any]:
        """Its positional arguments, as JSON has them; those that are encrypted are opened."""
        return self._arguments()[0]

    @property
    def kwargs(self) -> dict[str, Any]:
        """Its keyword arguments."""
        return self._arguments()[1]

    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        if "sealed" not in self.payload:
            return self.payload["args"], self.payload.get("kwargs", {})
        from sidelamb.seal import opened  # noqa: PLC0415 - only for jobs that encrypt their arguments

        return opened(self.payload)

    def __str__(self) -> str:
        late = "" if self.at is None else f" at={self.at:.3f}"
        return f"{_call(self.name, self.args, self.kwargs)} queue={self.queue!r}{late}"


class Jobs:
    """Recorded jobs, in the order in which they were enqueued."""

    def __init__(self) -> None:
        self._jobs: list[Recorded] = []

    def add(self, job: Recorded) -> None:
        """Record a job."""
        self._jobs.append(job)

    def clear(self) -> None:
        """Forget them all."""
        self._jobs.clear()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Recorded]:
        return iter(list(self._jobs))

    def __getitem__(self, index: int) -> Recorded:
        return self._jobs[index]

    def of(self, job: Job[..., Any] | str) -> list[Recorded]:
        """Return those of one job, by itself or by its wire name."""
        name = _name(job)
        return [each for each in self._jobs if each.name == name]

    def assert_enqueued(
        self,
        job: Job[..., Any] | str,
        /,
        *args: Any,
        queue: str | None = None,
        at: float | dt.datetime | None = None,
        times: int | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Recorded:
        """Assert that a call was enqueued; return the first such job.

        Args:
            job: the job, or its wire name.
            *args: its positional arguments; `...` in place of one matches any. Without any arguments, all calls
                of the job match.
            queue: where it was enqueued.
            at: when it is to run (aware datetime or epoch seconds), within a second.
            times: how often; default at least once.
            kwargs: its keyword arguments.

        Raises:
            AssertionError: there is none, or not so many; says what was enqueued.
        """
        wanted = _Wanted(job, args, kwargs, queue, at)
        found = [each for each in self._jobs if wanted.matches(each)]
        if not found if times is None else len(found) != times:
            often = "" if times is None else f" {times} times but {len(found)}"
            raise AssertionError(f"{wanted} was not enqueued{often}{self._shown(wanted.name)}")
        return found[0] if found else Recorded(wanted.name, "", "", None, {"args": []})

    def assert_not_enqueued(
        self, job: Job[..., Any] | str, /, *args: Any, queue: str | None = None, kwargs: Any = None
    ) -> None:
        """Assert that no such call was enqueued; args as `assert_enqueued`."""
        wanted = _Wanted(job, args, kwargs, queue, None)
        found = [each for each in self._jobs if wanted.matches(each)]
        if found:
            raise AssertionError(f"{wanted} was enqueued{self._shown(wanted.name)}")

    def assert_nothing_enqueued(self) -> None:
        """Assert that no job was enqueued."""
        if self._jobs:
            raise AssertionError(f"jobs were enqueued{self._shown('')}")

    def _shown(self, name: str) -> str:
        if not self._jobs:
            return "; nothing was enqueued at all"
        names = {each.name for each in self._jobs}
        near = did_you_mean(name, names) if name and name not in names else ""
        lines = "".join(f"\n  {each}" for each in self._jobs)
        return f".{near} Enqueued were:{lines}"


class _Wanted:
    """What an assertion asks for."""

    def __init__(
        self,
        job: Job[..., Any] | str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        queue: str | None,
        at: float | dt.datetime | None,
    ) -> None:
        self.name = _name(job)
        self._any = not args and kwargs is None
        self._args, self._kwargs = _carried(self.name, args, kwargs or {})
        self._queue = queue
        self._at = None if at is None else epoch_seconds(at, "assert_enqueued")

    def matches(self, job: Recorded) -> bool:
        return (
            job.name == self.name
            and (self._any or (_same(self._args, job.args) and self._kwargs == job.kwargs))
            and self._queue in {None, job.queue}
            and (self._at is None or (job.at is not None and abs(job.at - self._at) <= NEAR_S))
        )

    def __str__(self) -> str:
        shown = f"{self.name}(…)" if self._any else _call(self.name, self._args, self._kwargs)
        queue = "" if self._queue is None else f" queue={self._queue!r}"
        return f"{shown}{queue}" + ("" if self._at is None else f" at={self._at:.3f}")


def _carried(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments as they come out of a payload; `...` stays as it is."""
    job = registry.find(name)
    codec = job.template.shape.codec if job is not None else None
    open_places = [n for n, value in enumerate(args) if value is ...]
    plain: Any = [None if value is ... else value for value in args]
    if codec is not None:
        plain, kwargs = codec.encode(plain, kwargs)
    carried = decode(encode({"args": list(plain), "kwargs": dict(kwargs)}))
    for place in open_places:
        carried["args"][place] = ...
    return carried["args"], carried["kwargs"]


def _same(wanted: Sequence[Any], given: Sequence[Any]) -> bool:
    return len(wanted) == len(given) and all(a is ... or a == b for a, b in zip(wanted, given, strict=True))


def _name(job: Job[..., Any] | str) -> str:
    return job if isinstance(job, str) else job_of(job).name


def _call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    given = [
        *("..." if value is ... else repr(value) for value in args),
        *(f"{k}={v!r}" for k, v in kwargs.items()),
    ]
    return f"{name}({', '.join(given)})"
