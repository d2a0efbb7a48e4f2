"""What a job with `result_ttl` keeps: state, progress and result, also when the job itself is gone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidelamb.api.record import moment
from sidelamb.errors import RedisRefused
from sidelamb.handle import fields_of, status_of
from sidelamb.lenient import number
from sidelamb.results import OVER, status_key
from sidelamb.seal import HIDDEN
from sidelamb_handlers.web.words import count, pretty

if TYPE_CHECKING:
    import datetime as dt

    from sidelamb import Client
    from sidelamb.handle import Progress, Status

__all__ = ["Kept", "kept_of"]

MOST_JID = 200
"""Letters of an id that is looked up; ours have 24."""
SHOWN = 20_000
"""Letters of a result."""
GONE = OVER - {"dead"}
"""The states of a job that stands nowhere in Redis any more."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a job."""

    status: Status
    result: str
    """JSON for people, or its beginning; empty if there is none."""
    size: int
    """Bytes of a result of which the beginning is shown, else 0."""
    unkept: str
    """Why there is no result of a job that has succeeded."""

    @property
    def is_gone(self) -> bool:
        """Whether nothing else is left of the job."""
        return self.status.state in GONE

    @property
    def times(self) -> list[tuple[str, dt.datetime | None]]:
        """What happened when, as far as it did."""
        s = self.status
        named = (
            ("Enqueued", s.enqueued_at),
            ("Due", s.due_at),
            ("Started", s.started_at),
            ("Ended", s.finished_at),
        )
        return [(name, moment(at)) for name, at in named if at is not None]

    @property
    def progress(self) -> str:
        """How far it is, without the note; empty if it does not say."""
        if self.status.progress is None:
            return ""
        done, total = _numbers(self.status.progress)
        return f"{_said(done)} of {_said(total)}" if total else _said(done)

    @property
    def share(self) -> float | None:
        """How far it is, 0 to 100; None if it does not say of how much."""
        if self.status.progress is None:
            return None
        done, total = _numbers(self.status.progress)
        return round(100 * min(1.0, max(0.0, done / total)), 1) if total and total > 0 else None


async def kept_of(client: Client, jid: str, *, is_encrypted: bool = False) -> Kept | None:
    """Return what is kept of a job, or None.

    Args:
        client: whose Redis and namespace.
        jid: the job's id.
        is_encrypted: whether its payload says that its arguments are: then its result is nobody's to see either.
    """
    if not 0 < len(jid) <= MOST_JID:
        return None
    try:
        link = await client.loop_link()
        fields = fields_of(await link.command("HGETALL", client.store.keys(status_key(jid))))
    except UnicodeEncodeError:
        return None  # half a letter: nobody's id
    except RedisRefused as error:
        if error.code != "WRONGTYPE":
            raise
        return None  # another program's
    if "state" not in fields:
        return None
    text, unkept = fields.get("result", ""), fields.get("unkept", "")
    if is_encrypted or "sealed" in fields:
        return Kept(status_of(fields), HIDDEN if text else "", 0, HIDDEN if unkept else "")
    is_long = len(text) > SHOWN
    shown = text[:SHOWN] if is_long else _pretty(text)
    return Kept(status_of(fields), shown, len(text.encode()) if is_long else 0, unkept)


def _pretty(text: str) -> str:
    try:
        return pretty(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _numbers(progress: Progress) -> tuple[float, float | None]:
    return number(progress.done) or 0.0, number(progress.total)


def _said(value: float | None) -> str:
    value = value or 0.0
    return count(value) if value.is_integer() else f"{value:g}"
