"""One JSON log line for each job at its end, by powertools' Logger.

Arguments are never logged. The level follows powertools (`POWERTOOLS_LOG_LEVEL`): successes are INFO, failures
WARNING, deaths ERROR, so that a busy queue can be quiet about what went well.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sidelamb_handlers.decision import Outcome
from sidelamb_handlers.failure import message_of
from sidelamb_handlers.logger import Logger

if TYPE_CHECKING:
    from sidelamb_handlers.attempt import Attempt
    from sidelamb_handlers.decision import Decision

__all__ = ["JobLog"]

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
    """Writes the lines of one sandbox."""

    def __init__(self) -> None:
        self.logger = Logger(service="sidelamb", use_rfc3339=True)
        self._level = self.logger.log_level
        self._write = {
            logging.INFO: self.logger.info,
            logging.WARNING: self.logger.warning,
            logging.ERROR: self.logger.error,
        }
        self._cold = True

    def invoked(self) -> None:
        """Note that an invocation has ended: the next one is warm."""
        self._cold = False

    def ended(self, a: Attempt, decision: Decision) -> None:
        """Log how a job ended."""
        level = _LEVELS[decision.outcome]
        if decision.failed and level < logging.WARNING:
            level = logging.WARNING
        if level < self._level:
            return
        line = _line(a, decision)
        line["cold_start"] = self._cold
        self._write[level](f"{a.name or 'job'} {decision.outcome}", extra=line)


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
    if decision.reason:
        line["reason"] = decision.reason
    if a.error is not None:
        line["error_class"] = type(a.error).__qualname__
        line["error_message"] = message_of(a.error)[:1_000]
    if decision.outcome in {Outcome.RETRY, Outcome.SNOOZED}:
        line["next_at"] = decision.at
    return line
