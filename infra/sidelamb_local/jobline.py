"""What the lines of a function's log say: a job that ended, an invocation's REPORT, a message, a print.

Pure. It reads what the worker's `joblog` and the platform write; the same lines are in CloudWatch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

REPORT = re.compile(
    r"REPORT RequestId: (?P<request_id>\S+)\tDuration: (?P<duration>[\d.]+) ms"
    r"\tBilled Duration: (?P<billed>\d+) ms\tMemory Size: (?P<memory>\d+) MB\tMax Memory Used: (?P<used>\d+) MB"
    r"(?:\tInit Duration: (?P<init>[\d.]+) ms)?"
)
PLATFORM = re.compile(
    r"(START|END|REPORT|INIT_REPORT) |RequestId: \S+ Error: |\[WARNING\]\t\S+\t\tLAMBDA_WARNING: "
)
LOGGING = re.compile(r"\[(?P<level>[A-Z]+)\]\t\S+Z\t\S*\t(?P<text>.*)")
"""A line of Python's own logging, as Lambda's runtime formats it."""


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job's attempt has ended, as its worker says."""

    jid: str
    name: str
    queue: str
    outcome: str
    """succeeded, retry, dead, discarded, snoozed, interrupted or returned."""
    attempt: int = 1
    queue_ms: float | None = None
    """Between enqueue and start."""
    duration_ms: float | None = None
    error: str = ""
    """Class and message, on one line."""
    reason: str = ""
    next_at: float | None = None
    """When it is tried again, epoch s."""
    request_id: str = ""
    """Of the invocation that ran it."""


@dataclass(frozen=True, slots=True)
class Report:
    """An invocation has ended, and what AWS would bill for it."""

    request_id: str
    duration_ms: float
    billed_ms: int
    memory_mb: int
    used_mb: int
    init_ms: float | None
    """Of a cold start."""

    @property
    def gb_s(self) -> float:
        """Billed gigabyte-seconds."""
        return self.billed_ms / 1000 * self.memory_mb / 1024


@dataclass(frozen=True, slots=True)
class Message:
    """A line of powertools' Logger that is not about a job's end."""

    level: str
    text: str


def read_line(line: str) -> JobLine | Report | Message | str | None:
    """Return what a line says: one of the three, itself if a job printed it, or None for mere platform."""
    if line.startswith("{"):
        return _from_json(line)
    if line.startswith("REPORT "):
        return read_report(line)
    if PLATFORM.match(line) or not line.strip():
        return None
    logged = LOGGING.match(line)
    return Message(logged["level"], logged["text"]) if logged else line


def read_job(line: str) -> JobLine | None:
    """Return the job that a line is about, if it is about one."""
    found = _from_json(line) if line.startswith("{") else None
    return found if isinstance(found, JobLine) else None


def read_report(line: str) -> Report | None:
    """Return the numbers of a REPORT line, None if it is not one."""
    match = REPORT.match(line)
    if match is None:
        return None
    return Report(
        match["request_id"],
        float(match["duration"]),
        int(match["billed"]),
        int(match["memory"]),
        int(match["used"]),
        float(match["init"]) if match["init"] else None,
    )


def _from_json(line: str) -> JobLine | Message | str | None:
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    if not isinstance(said, dict):
        return line
    if "_aws" in said or str(said.get("type", "")).startswith("platform."):
        return None  # metrics, and the platform's own lines as JSON
    return _said(said) or line


def _said(said: dict[str, Any]) -> JobLine | Message | None:
    """Return what one of our lines says, or one of Lambda's runtime about what no job has caught."""
    if "errorType" in said and "log_level" in said:
        text = f"{said['errorType']}: {one_line(str(said.get('errorMessage', '')))}"
        return Message(str(said["log_level"]), text)
    if "message" not in said or "level" not in said:
        return None
    if "outcome" in said and "jid" in said:
        return _job(said)
    if "promoted" in said:
        return _pass(said)
    text = str(said["message"])
    error = str(said.get("exception_name", ""))
    return Message(str(said["level"]), f"{text} ({error})" if error else text)


def _job(said: dict[str, Any]) -> JobLine:
    error = ": ".join(
        filter(None, [str(said.get("error_class", "")), one_line(str(said.get("error_message", "")))])
    )
    return JobLine(
        jid=str(said["jid"]),
        name=str(said.get("class") or "job"),
        queue=str(said.get("queue", "")),
        outcome=str(said["outcome"]),
        attempt=int(said.get("attempt", 1)),
        queue_ms=said.get("queue_ms"),
        duration_ms=said.get("duration_ms"),
        error=error,
        reason=str(said.get("reason", "")),
        next_at=said.get("next_at"),
        request_id=str(said.get("function_request_id", "")),
    )


def _pass(said: dict[str, Any]) -> Message:
    """Return what a pass of the scheduler did."""
    done = [f"{said[key]} {words}" for key, words in _PASS_WORDS.items() if said.get(key)]
    return Message("INFO", f"scheduler: {', '.join(done) or 'nothing was due'}")


_PASS_WORDS = {
    "promoted": "due",
    "ticked": "periodic",
    "planned": "put on the clock",
    "reaped": "back from expired leases",
    "to_dead": "unreadable, now dead",
}


def one_line(text: str) -> str:
    """Return a text without line ends, for a terminal."""
    return " ".join(text.split())
