r"""A job of a set as a line of JSON, with its exact bytes, and back. Pure.

    {"in": "dead", "jid": "b4a5…", "score": 1700000000.5, "raw": "{\\"class\\":\\"work\\",…}"}

`raw` is the payload as it is in Redis; of bytes that are no UTF-8 `base64` stands in its place. `score` is that
of the set; a job of a queue has none.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any, NamedTuple

from sidelamb.api import Entry, JobRecord
from sidelamb_local.plain import json_text

__all__ = ["BadLine", "Line", "line_of", "read_line"]


class BadLine(ValueError):
    """A line that cannot be used; says why."""


class Line(NamedTuple):
    """What a line says."""

    where: str
    score: float | None
    raw: bytes
    jid: str
    is_job: bool


def line_of(where: str, record: JobRecord) -> bytes:
    """Return the line of a job."""
    fields: dict[str, Any] = {"in": where, "jid": record.jid}
    if isinstance(record, Entry):
        fields["score"] = record.score if math.isfinite(record.score) else str(record.score)
    try:
        fields["raw"] = record.raw.decode()
    except UnicodeDecodeError:
        fields["base64"] = base64.b64encode(record.raw).decode()
    return f"{json_text(fields)}\n".encode()


def read_line(text: bytes) -> Line:
    """Return what a line says.

    Raises:
        BadLine: it is not one that `line_of` wrote.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"it is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise BadLine("it is no JSON object")
    raw = _bytes_of(fields)
    record, where = JobRecord(raw), fields.get("in", "")
    if not isinstance(where, str):
        raise BadLine("its in is no text")
    return Line(where, _score_of(fields.get("score")), raw, record.jid, not record.malformed)


def _bytes_of(fields: dict[str, Any]) -> bytes:
    raw, packed = fields.get("raw"), fields.get("base64")
    try:
        if isinstance(raw, str):
            return raw.encode()
        if isinstance(packed, str):
            return base64.b64decode(packed, validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise BadLine("its bytes cannot be read") from None
    raise BadLine("it has neither raw nor base64, as a text")


def _score_of(score: Any) -> float | None:
    if score is None:
        return None
    if isinstance(score, bool) or not isinstance(score, int | float | str):
        raise BadLine("its score is no number")
    try:
        number = float(score)
    except (ValueError, OverflowError):
        raise BadLine("its score is no number") from None
    if math.isnan(number):
        raise BadLine("its score is no number")
    return number
