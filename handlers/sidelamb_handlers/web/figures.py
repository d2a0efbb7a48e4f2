"""Counts and times by class, read from the keys of Sidekiq's Metrics page that the pollers write.

Minutes are kept for 8 hours, tens of minutes for 3 days; histograms the same, but those of tens of minutes are our
own, and what other Sidekiq processes run is not in them. Deploy marks, which `Sidekiq::Deploy.mark!` and we write
into a hash of the day, are kept for 90 days.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sidelamb.api.steps import Steps, View, awaiting, blocking
from sidelamb_handlers.metrics import BUCKETS_MS, hash_keys, histogram_key, histogram_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ClassFigures", "Figures", "Mark", "Minute"]

MINUTE_S, TEN_S = 60, 600
FINEST_H = 8
"""Hours of which single minutes are kept."""
PART = 120


@dataclass(slots=True)
class Minute:
    """One minute, or ten."""

    at: dt.datetime
    processed: int = 0
    failed: int = 0
    ms: int = 0
    """Of those that did not fail."""

    @property
    def label(self) -> str:
        """Its time, UTC."""
        return f"{self.at:%H:%M}"


@dataclass(slots=True)
class ClassFigures:
    """One class in all the time that was asked for."""

    name: str
    processed: int = 0
    failed: int = 0
    ms: int = 0
    times: dict[int, Minute] = field(default_factory=dict)
    """By number of the slice of time."""

    @property
    def mean_s(self) -> float:
        """Seconds that an attempt took that did not fail."""
        done = self.processed - self.failed
        return self.ms / done / 1000 if done > 0 else 0.0

    @property
    def failing(self) -> float:
        """The share that failed."""
        return self.failed / self.processed if self.processed else 0.0


class Mark(NamedTuple):
    """A deploy."""

    at: dt.datetime
    label: str


class Figures(View):
    """The figures.

    Args:
        client: whose Redis and namespace; default the process's own client.
    """

    def _minutes(self, most: int = 60) -> Steps[list[Minute]]:
        """Return so many minutes of all classes together, the newest last."""
        slices = self._slices(most, MINUTE_S)
        out = []
        for at, fields in (yield from self._read(slices)):
            minute = Minute(at)
            for _, sign, amount in fields:
                _add(minute, sign, amount)
            out.append(minute)
        return out

    def _classes(self, hours: int) -> Steps[tuple[list[dt.datetime], dict[str, ClassFigures]]]:
        """Return the slices of time of so many hours, and each class's figures."""
        step = MINUTE_S if hours <= FINEST_H else TEN_S
        slices = self._slices(hours * 3600 // step, step)
        found: dict[str, ClassFigures] = {}
        for n, (at, fields) in enumerate((yield from self._read(slices))):
            for name, sign, amount in fields:
                figures = found.get(name) or found.setdefault(name, ClassFigures(name))
                _add(figures, sign, amount)
                _add(figures.times.setdefault(n, Minute(at)), sign, amount)
        return [at for at, _ in slices], found

    def _histogram(self, name: str, hours: int) -> Steps[list[int]]:
        """Return how many attempts of a class took how long, by bucket; beyond 8 hours of our workers alone."""
        totals = [0] * (len(BUCKETS_MS) + 1)
        step, size = (MINUTE_S, 2) if hours <= FINEST_H else (TEN_S, 4)
        stamps = [at.timestamp() for at, _ in self._slices(hours * 3600 // step, step)]
        names = [histogram_keys(name, t)[0] if step == MINUTE_S else histogram_key(name, t) for t in stamps]
        for first in range(0, len(names), PART):
            reply = yield self._calls.read(*((self._keys(key), "GET") for key in names[first : first + PART]))
            for raw in reply:
                for n in range(min(len(totals), len(raw or b"") // size)):
                    totals[n] += int.from_bytes(raw[size * n : size * (n + 1)])
        return totals

    def _marks(self, hours: int) -> Steps[list[Mark]]:
        """Return the deploys of so many hours."""
        now = dt.datetime.fromtimestamp(self._now(), dt.UTC)
        since = now - dt.timedelta(hours=hours)
        days = {(since + dt.timedelta(days=n)).date() for n in range((now.date() - since.date()).days + 1)}
        reply = yield self._calls.read(*((self._keys(f"{day:%Y%m%d}-marks"), "HGETALL") for day in sorted(days)))
        return sorted(mark for flat in reply for mark in _marks_of(flat) if since <= mark.at <= now)

    minutes, aminutes = blocking(_minutes), awaiting(_minutes)
    classes, aclasses = blocking(_classes), awaiting(_classes)
    histogram, ahistogram = blocking(_histogram), awaiting(_histogram)
    marks, amarks = blocking(_marks), awaiting(_marks)

    def _slices(self, most: int, step: int) -> list[tuple[dt.datetime, bytes]]:
        """Return times and their hashes, the newest last."""
        last = int(self._now()) // step * step
        stamps = [last - step * n for n in range(most)][::-1]
        place = 0 if step == MINUTE_S else 1
        return [(dt.datetime.fromtimestamp(t, dt.UTC), self._keys(list(hash_keys(t))[place])) for t in stamps]

    def _read(
        self, slices: list[tuple[dt.datetime, bytes]]
    ) -> Steps[list[tuple[dt.datetime, list[tuple[str, str, int]]]]]:
        out = []
        for first in range(0, len(slices), PART):
            part = slices[first : first + PART]
            reply = yield self._calls.read(*((key, "HGETALL") for _, key in part))
            out += [(at, list(_fields(flat))) for (at, _), flat in zip(part, reply, strict=True)]
        return out


def _fields(flat: list[bytes]) -> Iterator[tuple[str, str, int]]:
    for name, amount in zip(flat[::2], flat[1::2], strict=True):
        cls, _, sign = name.decode(errors="replace").rpartition("|")
        if cls and amount.lstrip(b"-").isdigit():
            yield cls, sign, int(amount)


def _add(to: Minute | ClassFigures, sign: str, amount: int) -> None:
    if sign == "p":
        to.processed += amount
    elif sign == "f":
        to.failed += amount
    elif sign == "ms":
        to.ms += amount


def _marks_of(flat: list[bytes]) -> Iterator[Mark]:
    for at, label in zip(flat[::2], flat[1::2], strict=True):
        try:
            when = dt.datetime.fromisoformat(at.decode())
        except ValueError:
            continue
        yield Mark(when if when.tzinfo else when.replace(tzinfo=dt.UTC), label.decode(errors="replace"))
