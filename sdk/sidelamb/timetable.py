"""`@periodic`: has a job enqueued by the clock, as cron does.

    @periodic("0 3 * * *", tz="Europe/Paris")
    @job
    def clean() -> None: ...

It only takes note. The scheduler imports the app's modules, writes what they declare into Redis, and enqueues from
there; what is wrong with a declaration is said here, by the module that has it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args

from sidelamb import settings
from sidelamb.errors import BadOption, JobError, NameTaken
from sidelamb.job import Job
from sidelamb.late import late_import
from sidelamb.names import job_name
from sidelamb.packing import Packer
from sidelamb.payload import encode
from sidelamb.registry import registry
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Unpack

    from sidelamb.options import CallOptions

__all__ = ["Entry", "Missed", "Records", "checked", "declared", "periodic", "records_of"]

J = TypeVar("J", bound=Job[..., Any])

Missed = Literal["once", "skip", "all"]
"""What becomes of ticks that nobody was there for."""

_FIELDS = 5
_LONGEST_CRON = 200

declared: dict[str, Entry] = {}
"""What this process has declared, by name."""


class Records(NamedTuple):
    """What a source declares, as it stands in Redis."""

    source: str
    digest: str
    records: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Entry:
    """One periodic job, as it was declared."""

    name: str
    job: Job[..., Any]
    cron: str
    tz: str = "UTC"
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    missed: Missed = "once"
    options: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> bytes:
        """Return it as it stands in Redis; the same each time.

        Raises:
            BadOption: its job does not take these arguments, or cannot be periodic.
        """
        _check_clock(self)
        try:
            return encode(self._record())
        except JobError as error:
            raise BadOption(f"periodic {self.name}: {error}") from error

    def _record(self) -> dict[str, Any]:
        if self.job.options.encrypt:
            raise BadOption(
                f"{self.job.name} encrypts its arguments, each time for one job, and those of a periodic one "
                "stand in Redis for good; let a periodic job of its own enqueue it"
            )
        template, args, kwargs = self.job.with_options(dict(self.options)), self.args, self.kwargs
        template.shape.check(args, kwargs)
        if template.shape.codec is not None:
            args, kwargs = template.shape.codec.encode(args, kwargs)
        made = template.payload(args, kwargs, "0" * 24, 1.0)
        packer = Packer(None, settings.max_payload(), settings.known_queues)
        packer.pack(dict(made), 1.0)  # says what is wrong now
        payload = {name: value for name, value in made.items() if name not in {"jid", "created_at", "expiry"}}
        record: dict[str, Any] = {"cron": self.cron, "tz": self.tz, "missed": self.missed, "payload": payload}
        if template.expires_in_s is not None:
            record["expires_in"] = template.expires_in_s
        return record


def periodic(
    cron: str,
    *,
    tz: str = "UTC",
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    missed: Missed = "once",
    name: str = "",
    **options: Unpack[CallOptions],
) -> Callable[[J], J]:
    """Have a job enqueued by the clock; stands above `@job`, or is called with a job.

    Args:
        cron: minute, hour, day of month, month, day of week.
        tz: time zone by name.
        args: positional arguments of each call.
        kwargs: keyword arguments of each call.
        missed: ticks that nobody was there for: "once" enqueues one job for all of them, "skip" none, "all" one
            for each, the last 100.
        name: the periodic job's; default the job's. Of several for one job each needs its own.
        **options: of each call, as `Job.using` takes them.

    Raises:
        UnknownOption, BadOption: one of these cannot be.
        JobError: it does not stand above a job.
        NameTaken: another one has that name.
    """

    def note(job: J) -> J:
        if not isinstance(job, Job):
            raise JobError(f"@periodic({cron!r}) stands above @job, not above {shown(job)}")
        made = checked(Entry(name or job.name, job, cron, tz, args, kwargs or {}, missed, options))
        old = declared.get(made.name)
        if old is not None and old != made and registry.find(old.job.name) is old.job:
            raise NameTaken(
                f"periodic {made.name} is declared already, with {old.cron!r} for {old.job.name}; give one of "
                "them a name of its own with @periodic(…, name='…')"
            )
        declared[made.name] = made
        return job

    return note


def checked(entry: Entry) -> Entry:
    """Return an entry that can be; cron and time zone are read where that costs no cold start.

    Raises:
        UnknownOption, BadOption: it cannot.
    """
    where = f"periodic {entry.name}"
    job_name(entry.name, where)
    cron = entry.cron
    if type(cron) is not str or len(cron) > _LONGEST_CRON or len(cron.split()) != _FIELDS:
        raise BadOption(
            f"{where}: cron is {shown(cron)}; expected five fields (minute, hour, day of month, month, day of "
            "week), like '0 3 * * *'"
        )
    if type(entry.tz) is not str or not entry.tz:
        raise BadOption(f"{where}: tz is {shown(entry.tz)}; expected a time zone's name, like 'Europe/Paris'")
    if not isinstance(entry.args, list | tuple):
        raise BadOption(f"{where}: args is {shown(entry.args)}; expected a list, like [12]")
    if not isinstance(entry.kwargs, dict):
        raise BadOption(f"{where}: kwargs is {shown(entry.kwargs)}; expected a dict, like {{'day': 12}}")
    if entry.missed not in get_args(Missed):
        raise BadOption(f"{where}: missed is {shown(entry.missed)}; expected 'once', 'skip' or 'all'")
    entry.job.options.for_call(where, dict(entry.options))
    if (
        "AWS_LAMBDA_RUNTIME_API" not in os.environ
    ):  # a worker's cold start does not wait for that; `record` says it
        _check_clock(entry)
    return entry


def _check_clock(entry: Entry) -> None:
    """Raise BadOption if its cron or time zone is none, where `cronsim` is installed."""
    try:
        with late_import:
            from sidelamb.cron import check  # noqa: PLC0415 - only for those who have periodic jobs
    except ModuleNotFoundError as error:
        if error.name != "cronsim":
            raise
    else:
        check(entry.name, entry.cron, entry.tz)


def records_of(source: str, entries: Iterable[Entry]) -> Records:
    """Return what a source declares, as it stands in Redis.

    Args:
        source: who declares it.
        entries: all of it.

    Raises:
        NameTaken: two have one name.
        BadOption: as `Entry.record`.
    """
    records: dict[str, bytes] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        if entry.name in records:
            raise NameTaken(f"periodic {entry.name} is declared twice, in the code and in the file; name one anew")
        records[entry.name] = entry.record()
    digest = hashlib.sha256(encode([[name, raw.decode()] for name, raw in records.items()])).hexdigest()[:24]
    return Records(source, digest, records)
