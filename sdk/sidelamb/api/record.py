"""A job as the API shows it: read leniently, whoever wrote it, and its bytes kept as they are."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import zlib
from functools import cached_property
from typing import Any, NamedTuple

from sidelamb.api.pattern import Pattern
from sidelamb.errors import BadArgument, Malformed
from sidelamb.failures import FIELD, rows
from sidelamb.lenient import epoch_s, whole
from sidelamb.payload import decode, queue_of, tidy
from sidelamb.wording import shown

__all__ = ["FailedRun", "JobRecord", "first_and_last", "meant", "moment"]

MOST_A_PAGE = 10_000
_BACKTRACE_MOST = 1_000_000
"""Bytes of a backtrace that is unpacked."""


class FailedRun(NamedTuple):
    """One run of a job that failed."""

    attempt: int
    """1 is the first. A number comes twice if somebody has a job retried by hand."""
    ended_at: dt.datetime | None
    ran_s: float | None
    """Seconds; None if nobody knows, as of a run that ended its sandbox."""
    error_class: str

    @property
    def started_at(self) -> dt.datetime | None:
        """When it began, if that is known."""
        if self.ended_at is None or self.ran_s is None:
            return None
        return moment(self.ended_at.timestamp() - self.ran_s)


class JobRecord:
    """One job's payload.

    Nothing here raises for what a foreign client wrote: what cannot be used reads as None or empty. Bytes that
    are no job at all have `malformed`.

    Args:
        raw: the bytes as they are in Redis; they are the job's identity.
        queue: the queue it was found in, if it was found in one.
    """

    def __init__(self, raw: bytes, queue: str | None = None) -> None:
        self.raw = raw
        self._queue = queue
        self.malformed = ""
        """Why the bytes are no job, or empty."""
        try:
            self.payload: dict[str, Any] = decode(raw)
        except Malformed as error:
            self.malformed, self.payload = str(error), {}

    @property
    def jid(self) -> str:
        """Its id, or empty."""
        return self._text("jid")

    @property
    def name(self) -> str:
        """The job's name (`class` on the wire), or empty."""
        return self._text("class")

    @property
    def queue(self) -> str:
        """The queue it is in, or goes to."""
        return queue_of(self.payload) if self._queue is None else self._queue

    @property
    def args(self) -> list[Any]:
        """Positional arguments; of malformed bytes, the bytes as text; encrypted ones are not shown."""
        if self.malformed:
            return [self.raw.decode(errors="replace")]
        if self.payload.get("sealed") is not None:
            return ["[encrypted]"]
        args = self.payload.get("args")
        return args if isinstance(args, list) else []

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments."""
        kwargs = self.payload.get("kwargs")
        return kwargs if isinstance(kwargs, dict) else {}

    @property
    def is_encrypted(self) -> bool:
        """Whether its arguments are encrypted, by us or by Sidekiq, and so are nobody's to see here."""
        return any(self.payload.get(field) for field in ("sealed", "encrypt", "encrypted"))

    @property
    def tags(self) -> list[str]:
        """Its tags; a text instead of a list is one tag."""
        tags = self.payload.get("tags")
        return [str(tag) for tag in tags] if isinstance(tags, list) else [tags] if isinstance(tags, str) else []

    @property
    def created_at(self) -> dt.datetime | None:
        """When it was made."""
        return self._time("created_at")

    @property
    def enqueued_at(self) -> dt.datetime | None:
        """When it entered its queue; None for a scheduled one."""
        return self._time("enqueued_at")

    @property
    def failed_at(self) -> dt.datetime | None:
        """When it first failed."""
        return self._time("failed_at")

    @property
    def retried_at(self) -> dt.datetime | None:
        """When it last failed as a retry."""
        return self._time("retried_at")

    @property
    def retry_count(self) -> int | None:
        """How many retries there were: 0 after the first failure, None before it."""
        count = whole(self.payload.get("retry_count"))
        return count if count is not None and count >= 0 else None

    @property
    def error_class(self) -> str:
        """Class of the last error, or empty."""
        return self._text("error_class")

    @property
    def error_message(self) -> str:
        """The last error, or empty."""
        return self._text("error_message")

    @property
    def failures(self) -> list[FailedRun]:
        """Its runs that failed here, the oldest first: the last 25."""
        return [
            FailedRun(attempt, moment(epoch_s(ended)), None if ms is None else ms / 1000, name)
            for attempt, ended, ms, name in rows(self.payload.get(FIELD)) or []
        ]

    @cached_property
    def backtrace(self) -> list[str]:
        """Lines of the last error's backtrace, unpacked, or none."""
        packed = self.payload.get("error_backtrace")
        if isinstance(packed, str):
            try:
                text = zlib.decompressobj().decompress(base64.b64decode(packed), _BACKTRACE_MOST)
                packed = json.loads(text)
            except (ValueError, zlib.error):
                return []
        return [str(line) for line in packed] if isinstance(packed, list) else []

    @property
    def canonical(self) -> bytes:
        """The payload as we write it: compact, UTF-8, every number to its last digit.

        Raises:
            Malformed: it is no job.
        """
        if self.malformed:
            raise Malformed(f"not a job ({self.malformed}); its bytes are in .raw")
        return tidy(self.raw)

    def matches(self, text: str) -> bool:
        """Say whether id, name, queue, arguments, tags or error contain `text`, in any case.

        `*` stands for anything: `mail*@example.com`.
        """
        return Pattern(text).matches(self)

    def __repr__(self) -> str:
        what = f"malformed, {len(self.raw)} bytes" if self.malformed else f"{self.name} {self.jid}"
        return f"<{type(self).__name__} {what}>"

    def _text(self, name: str) -> str:
        value = self.payload.get(name)
        return value if isinstance(value, str) else "" if value is None else str(value)

    def _time(self, name: str) -> dt.datetime | None:
        return moment(epoch_s(self.payload.get(name)))


def meant(record: Any, where: str) -> JobRecord:
    """Return what a person wants to do something to, if it is a job as it was read.

    Raises:
        BadArgument: it is something else, like a job's id.
    """
    if not isinstance(record, JobRecord):
        raise BadArgument(f"{where} takes a job as it was read, not {shown(record)}; find(jid) reads one")
    return record


def first_and_last(number: Any, size: Any, where: str) -> tuple[int, int]:
    """Return the ranks where a page begins and ends.

    Raises:
        BadArgument: there can be no such page, or it would be a whole set.
    """
    for value, least, most in ((number, 0, math.inf), (size, 1, MOST_A_PAGE)):
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise BadArgument(
                f"{where}: page {shown(number)} of {shown(size)} cannot be; pages count from 0, "
                f"and hold 1 to {MOST_A_PAGE:,}"
            )
    return number * size, number * size + size - 1


def moment(stamp: float | None) -> dt.datetime | None:
    """Return epoch seconds as an aware datetime, or None for what no datetime can be."""
    try:
        return None if stamp is None else dt.datetime.fromtimestamp(stamp, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return None
