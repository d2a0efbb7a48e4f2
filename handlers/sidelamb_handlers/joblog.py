"""One JSON log line for each job at its end, by powertools' Logger, and the job's name on the app's own lines.

The level follows powertools (`POWERTOOLS_LOG_LEVEL`): successes are INFO, failures WARNING, deaths ERROR, so that
a busy queue can be quiet about what went well, or say some of it: of a job that is chosen, every line is there.

Settings, from the environment:
    SIDELAMB_LOG_SUCCESSES  share of the jobs whose success is logged, 0 to 1 (1).
    SIDELAMB_LOG_ARGS       `true`: arguments too, cut to 1,000 characters. They never are otherwise.
"""

from __future__ import annotations

import logging
import os
import traceback
import zlib
from typing import TYPE_CHECKING, Any

import orjson

from sidelamb.current import running
from sidelamb.errors import ConfigError
from sidelamb_handlers.decision import Outcome
from sidelamb_handlers.failure import message_of
from sidelamb_handlers.logger import new_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sidelamb_handlers.attempt import Attempt
    from sidelamb_handlers.decision import Decision
    from sidelamb_handlers.quicklines import Line

__all__ = ["JobLog", "name_jobs", "named"]

MESSAGE_MOST = 1_000
"""Characters of an error's message, and of arguments."""
TRACEBACK_MOST = 2_000
"""Characters of a traceback; its end is kept."""

_LEVELS = {
    Outcome.SUCCEEDED: logging.INFO,
    Outcome.SNOOZED: logging.INFO,
    Outcome.INTERRUPTED: logging.INFO,
    Outcome.RETURNED: logging.INFO,
    Outcome.DISCARDED: logging.WARNING,
    Outcome.RETRY: logging.WARNING,
    Outcome.DEAD: logging.ERROR,
}


class JobLog:
    """Writes the lines of one sandbox.

    Args:
        environ: where the settings are.

    Raises:
        ConfigError: one of them is wrong.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.logger = new_logger()
        self._level = self.logger.log_level
        self._write = {
            logging.INFO: self.logger.info,
            logging.WARNING: self.logger.warning,
            logging.ERROR: self.logger.error,
        }
        self._logged = _share(environ, "SIDELAMB_LOG_SUCCESSES") * 2**32
        self._with_args = environ.get("SIDELAMB_LOG_ARGS", "").lower() == "true"
        self._cold = True

    def invoked(self) -> None:
        """Note that an invocation has ended: the next one is warm."""
        self._cold = False

    def ended(self, ended: Iterable[tuple[Attempt, Decision]]) -> None:
        """Log how jobs ended."""
        good: list[Line] = []
        for a, decision in ended:
            level = _LEVELS[decision.outcome]
            if decision.failed and level < logging.WARNING:
                level = logging.WARNING
            if level < self._level or (decision.outcome is Outcome.SUCCEEDED and not self._is_chosen(a.jid)):
                continue
            line = (f"{a.name or 'job'} {decision.outcome}", self._said(a, decision))
            if level == logging.INFO:
                good.append(line)
                continue
            self._write_all(good)
            good = []
            self._write[level](line[0], extra=line[1])
        self._write_all(good)

    def refused(self, lease: str, request_id: str, reason: str) -> None:
        """Log that an invocation ran nothing."""
        said = {"lease": lease, "function_request_id": request_id}
        self.logger.warning("nothing was run: %s", reason, extra=said)

    def _said(self, a: Attempt, decision: Decision) -> dict[str, Any]:
        said = _line(a, decision)
        said["cold_start"] = self._cold
        if self._with_args:
            said["arguments"] = _arguments(a.payload)
        return said

    def _write_all(self, lines: list[Line]) -> None:
        """Write lines of the level INFO: powertools the first, and the others if they cannot be like it."""
        for message, said in lines[:1]:
            self.logger.info(message, extra=said)
        if len(lines) > 1:
            from sidelamb_handlers.quicklines import are_written  # noqa: PLC0415 - a lease of one job needs it not

            if not are_written(logging.getLogger(self.logger.name), lines[0], lines[1:]):
                for message, said in lines[1:]:
                    self.logger.info(message, extra=said)

    def _is_chosen(self, jid: str) -> bool:
        """Say whether a job's successes are logged; the same for all its attempts."""
        return self._logged >= 2**32 or zlib.crc32(jid.encode()) < self._logged


def name_jobs() -> None:
    """Have every line that an app logs inside a job say which job it is: `jid`, `class`, `queue` and `attempt`.

    By a filter on the handlers there are: the runtime's own, and those of the app's modules. What a line says by
    itself stays.
    """
    loggers = [logging.getLogger(), *logging.getLogger().manager.loggerDict.values()]
    for handler in {h for logger in loggers if isinstance(logger, logging.Logger) for h in logger.handlers}:
        if named not in handler.filters:
            handler.addFilter(named)


def named(record: logging.LogRecord) -> bool:
    """A filter that says it; outside of a job it changes nothing."""
    job = running.get(None)
    if job is not None:
        said = record.__dict__
        for name, value in (("jid", job.jid), ("class", job.name), ("queue", job.queue), ("attempt", job.attempt)):
            said.setdefault(name, value)
        if job.traceparent:
            said.setdefault("trace_id", job.traceparent[3:35])
        for name, value in job.carried.items():
            said.setdefault(name, value)
    return True


def _line(a: Attempt, decision: Decision) -> dict[str, Any]:
    line: dict[str, Any] = {
        "jid": a.jid,
        "class": a.name,
        "queue": a.queue,
        "outcome": decision.outcome.value,
        "lease": a.lease,
        "function_request_id": a.request_id,
    }
    if a.started_at:
        line["attempt"] = a.attempt
        line["duration_ms"] = round(((a.ended_at or a.started_at) - a.started_at) * 1000, 3)
        if a.enqueued_at is not None:
            line["queue_ms"] = round((a.started_at - a.enqueued_at) * 1000, 3)
    if a.traceparent:
        line["trace_id"] = a.traceparent[3:35]
    if decision.reason:
        line["reason"] = decision.reason
    if a.error is not None and decision.failed:
        line |= _error(a.error)
    if decision.outcome in {Outcome.RETRY, Outcome.SNOOZED}:
        line["next_at"] = decision.at
    for name, value in a.carried.items():
        if name not in _OF_A_RECORD:
            line.setdefault(name, value)
    return line


_OF_A_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime"}
"""What no `extra` of a log line may be named."""


def _error(error: BaseException) -> dict[str, Any]:
    said: dict[str, Any] = {
        "error_class": type(error).__qualname__,
        "error_message": message_of(error)[:MESSAGE_MOST],
    }
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        last = frames[-1]
        said["error_at"] = f"{last.filename}:{last.lineno} in {last.name}"
        said["traceback"] = "".join(traceback.format_list(frames))[-TRACEBACK_MOST:]
    return said


def _arguments(payload: Any) -> str:
    if type(payload) is dict and payload.get("sealed") is not None:
        return "[encrypted]"
    said = {name: payload[name] for name in ("args", "kwargs") if name in payload} if type(payload) is dict else {}
    return orjson.dumps(said, default=str).decode()[:MESSAGE_MOST]


def _share(environ: Mapping[str, str], name: str) -> float:
    try:
        value = float(environ.get(name) or 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {environ[name]!r}; expected a share from 0 to 1, like {name}=0.05")
    return value
