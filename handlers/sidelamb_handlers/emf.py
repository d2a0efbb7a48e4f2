"""Metrics as CloudWatch takes them out of log lines (Embedded Metric Format), and the table of ours.

A line is made by hand: powertools' Metrics would cost more than what it reports on (docs/decisions/0013). All are
in one CloudWatch namespace and carry the stack's name, so that stacks of one account never meet. A metric is
billed for each combination of dimensions, in each hour in which it is sent: what is zero is mostly not sent.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BY_CLASS", "BY_QUEUE", "BY_STACK", "MOST_VALUES", "NAMESPACE", "UNITS", "emf_line"]

NAMESPACE = "Sidelamb"

MOST_VALUES = 100
"""Values of one metric in one line (CloudWatch's limit)."""

BY_STACK = ("Stack",)
BY_QUEUE = ("Stack", "Queue")
BY_CLASS = ("Stack", "Class")

UNITS = {
    # by the worker, once an invocation
    "Processed": "Count",
    "Failed": "Count",
    "Retried": "Count",
    "Dead": "Count",
    "Expired": "Count",
    "QueueLatency": "Milliseconds",
    "Duration": "Milliseconds",
    "JobsPerInvocation": "Count",
    # by the scheduler, once a minute
    "QueueDepth": "Count",
    "OldestJobAge": "Seconds",
    "ScheduleSize": "Count",
    "RetrySize": "Count",
    "DeadSize": "Count",
    "Pollers": "Count",
    "LostLeases": "Count",
    "StuckLeases": "Count",
    # by the poller, once a minute
    "InFlight": "Count",
    "Throttles": "Count",
    "CircuitOpen": "Count",
}
"""Every metric's unit. What it means, and by which dimensions, is in docs/observe.md."""

Value = float | list[float]
Dimensions = tuple[str, ...]


def emf_line(now: float, values: Mapping[str, str], metrics: Mapping[Dimensions, Mapping[str, Value]]) -> str:
    """Return one line, with its end.

    Args:
        now: epoch s.
        values: of each dimension that is used.
        metrics: values by name, for each set of dimensions. A name that stands in two of them has one value.
    """
    sets = [(dimensions, of_set) for dimensions, of_set in metrics.items() if of_set]
    directives = [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [dimensions],
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in of_set],
        }
        for dimensions, of_set in sets
    ]
    line: dict[str, Any] = {"_aws": {"Timestamp": round(now * 1000), "CloudWatchMetrics": directives}, **values}
    for _, of_set in sets:
        line |= of_set
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode()
