"""What `enqueue` returns: the job's id, and, for a job with `result_ttl`, the way to its status and its result.

    handle = add.enqueue(1, 2)
    handle.status().state       # "queued", "running", …
    handle.result(timeout=10)   # 3

A handle is a text, the id: it can be stored, compared, sent as an argument. `Handle(jid)` makes one of an id.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from sidelamb.errors import SidelambError
from sidelamb.late import late_import
from sidelamb.results import OVER, bell_key, status_key

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping, Sequence

    from sidelamb.client import Client

__all__ = [
    "Handle",
    "JobFailed",
    "NoResult",
    "NotFinished",
    "Progress",
    "Status",
    "bare",
    "fields_of",
    "status_of",
]

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

LISTEN_S = 2.0
"""Seconds that one blocking command waits for the bell; shorter than the connection's own limit."""


class JobFailed(SidelambError):
    """The job has failed for good.

    Attributes:
        error_class: the name of its error's class.
        error_message: what its error said.
    """

    def __init__(self, jid: str, status: Status) -> None:
        self.jid, self.error_class, self.error_message = jid, status.error_class, status.error_message
        why = (
            f"{status.error_class}: {status.error_message}" if status.error_class else "it was not run to its end"
        )
        super().__init__(f"{status.name or 'the job'} (jid {jid}) is {status.state}: {why}")


class NotFinished(SidelambError):
    """The job did not end in the time that was given; ask again later."""


class NoResult(SidelambError):
    """Nothing is kept of the job: it has no `result_ttl`, that time is over, or there is no such job."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a job. Times are epoch seconds, None for what has not been yet."""

    state: str
    """queued, scheduled, running, retrying, succeeded, dead, discarded, deleted; or `unknown`."""
    name: str = ""
    attempt: int = 0
    """The number of the last run, from 1; 0 before the first."""
    enqueued_at: float | None = None
    due_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    error_class: str = ""
    """Of its last failure; so is the message."""
    error_message: str = ""
    progress: Progress | None = None

    @property
    def is_over(self) -> bool:
        """Whether it will not run any more."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running job says it is."""

    done: float
    total: float | None = None
    note: str = ""


class Handle(str, Generic[R_co]):
    """The id of a job, and the way to what is known of it.

    Args:
        jid: its id.
        client: the client to look through; None for the process's.
    """

    __slots__ = ("_client",)
    _client: Client | None

    def __new__(cls, jid: str, client: Client | None = None) -> Handle[R_co]:  # noqa: D102 - see the class
        made = super().__new__(cls, jid)
        made._client = client
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return (str, (str(self),))

    def status(self) -> Status:
        """Return what is known of the job now; its state is `unknown` if nothing is.

        Raises:
            RedisError: Redis is away.
        """
        return status_of(fields_of(self._through.link.command("HGETALL", self._key(status_key(self)))))

    async def astatus(self) -> Status:
        """`status` for async code."""
        link = await self._through.loop_link()
        return status_of(fields_of(await link.command("HGETALL", self._key(status_key(self)))))

    @overload
    def result(self: Handle[Coroutine[Any, Any, T]], timeout: float | None = None) -> T: ...
    @overload
    def result(self: Handle[T], timeout: float | None = None) -> T: ...
    def result(self, timeout: float | None = None) -> Any:
        """Return what the job returned, once it is over; as JSON has it: a tuple comes back as a list.

        Args:
            timeout: seconds to wait for its end; None to wait as long as it takes, 0 not to wait.

        Raises:
            JobFailed: it is dead, was dropped, cancelled or deleted.
            NotFinished: the time is over.
            NoResult: nothing is kept of it, or what it returned could not be kept.
            RedisError: Redis is away.
        """
        link = self._through.link
        look = ("HGETALL", self._key(status_key(self)))
        for wait_s in _waits(self, timeout):
            found = fields_of(link.command(*look))
            if _is_over(self, found):
                return _value(self, found)
            if wait_s > 0:
                link.command(*self._bell(wait_s))
        return None  # pragma: no cover - _waits ends by raising

    @overload
    async def aresult(self: Handle[Coroutine[Any, Any, T]], timeout: float | None = None) -> T: ...
    @overload
    async def aresult(self: Handle[T], timeout: float | None = None) -> T: ...
    async def aresult(self, timeout: float | None = None) -> Any:
        """`result` for async code."""
        link = await self._through.loop_link()
        look = ("HGETALL", self._key(status_key(self)))
        for wait_s in _waits(self, timeout):
            found = fields_of(await link.command(*look))
            if _is_over(self, found):
                return _value(self, found)
            if wait_s > 0:
                await link.command(*self._bell(wait_s))
        return None  # pragma: no cover - _waits ends by raising

    @property
    def _through(self) -> Client:
        if self._client is not None:
            return self._client
        with late_import:
            from sidelamb.settings import default_client  # noqa: PLC0415 - settings import the client

        return default_client()

    def _key(self, name: str) -> bytes:
        return self._through.store.keys(name)

    def _bell(self, wait_s: float) -> tuple[bytes | str | float, ...]:
        """Return a blocking look: the element is moved onto its own place, so that all who wait see it."""
        key = self._key(bell_key(self))
        return ("BLMOVE", key, key, "RIGHT", "RIGHT", round(wait_s, 3))


def bare(value: Any, depth: int = 4) -> Any:
    """Return a job's arguments with plain texts for handles in them, or in lists and dicts near the top."""
    if type(value) is Handle:
        return str(value)
    if depth == 0:
        return value
    if type(value) is list:
        return [bare(item, depth - 1) for item in value]
    return {key: bare(item, depth - 1) for key, item in value.items()} if type(value) is dict else value


def _waits(handle: Handle[Any], timeout: float | None) -> Iterator[float]:
    """Give the seconds to listen before each look but the first, at last 0; then the time is over."""
    if timeout is None:
        while True:
            yield LISTEN_S
    until = time.monotonic() + timeout
    while (left := until - time.monotonic()) > 0:
        yield max(0.001, min(LISTEN_S, left))
    yield 0.0
    raise NotFinished(f"the job with jid {str(handle)!r} has not ended within {timeout:g} s")


def fields_of(reply: Sequence[bytes]) -> dict[str, str]:
    """Return the fields of a status, as Redis answers HGETALL."""
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, value in pairs}


def status_of(found: Mapping[str, str]) -> Status:
    """Return what the fields of a status say; its state is `unknown` if there are none."""
    times = {n: _number(found.get(n)) for n in ("enqueued_at", "due_at", "started_at", "finished_at")}
    state = found.get("state", "unknown")
    if state == "scheduled" and (times["due_at"] or 0.0) <= time.time():
        state = "queued"
    return Status(
        state,
        found.get("name", ""),
        int(_number(found.get("attempt")) or 0),
        error_class=found.get("error_class", ""),
        error_message=found.get("error_message", ""),
        progress=_progress(found.get("progress")),
        **times,
    )


def _progress(text: str | None) -> Progress | None:
    try:
        done, total, note = json.loads(text or "null")
    except (ValueError, TypeError, RecursionError):
        return None  # none yet, or not written by us
    return Progress(done, total, note)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _is_over(handle: str, found: Mapping[str, str]) -> bool:
    if not found:
        raise NoResult(
            f"nothing is kept of a job with jid {str(handle)!r}: its job has no @job(result_ttl=…), that time is "
            "over, or there never was one"
        )
    return found.get("state") in OVER


def _value(handle: Handle[Any], found: Mapping[str, str]) -> Any:
    if found["state"] != "succeeded":
        raise JobFailed(str(handle), status_of(found))
    if "unkept" in found:
        raise NoResult(f"{found.get('name', 'the job')} (jid {handle!s}) has succeeded, but {found['unkept']}")
    return json.loads(found["result"])
