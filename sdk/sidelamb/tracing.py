"""The trace that a job belongs to: taken along from where it is enqueued to where it runs.

It travels in the payload field `traceparent`, in W3C's form, which OpenTelemetry reads and X-Ray's ids fit into.
It is taken, in this order, from OpenTelemetry if the app has loaded it, from the job that is running here, and in
a Lambda function from X-Ray if the request is sampled there. Nothing is imported for it.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from sidelamb.current import running

__all__ = ["checked", "from_xray", "to_xray", "traceparent"]

_FORM = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
_XRAY = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24});Parent=([0-9a-f]{16});Sampled=1")
_in_lambda = "AWS_LAMBDA_RUNTIME_API" in os.environ


def traceparent() -> str:
    """Return the trace of what runs here, or the empty text."""
    telemetry = sys.modules.get("opentelemetry.trace")
    if telemetry is not None:
        found = _of_span(telemetry)
        if found:
            return found
    job = running.get(None)
    if job is not None:
        found = job.traceparent
        if found:
            return found
    return from_xray(os.environ.get("_X_AMZN_TRACE_ID", "")) if _in_lambda else ""


def checked(value: Any) -> str:
    """Return a payload's `traceparent` if it is one, else the empty text."""
    return value if isinstance(value, str) and _FORM.match(value) else ""


def from_xray(header: str) -> str:
    """Return X-Ray's trace header as a `traceparent`; empty if it is not sampled."""
    found = _XRAY.match(header)
    return "00-{}{}-{}-01".format(*found.groups()) if found else ""


def to_xray(trace: str) -> str:
    """Return the trace id of a `traceparent` as X-Ray writes it."""
    trace_id = trace[3:35]
    return f"1-{trace_id[:8]}-{trace_id[8:]}"


def _of_span(telemetry: Any) -> str:
    current = getattr(telemetry, "get_current_span", None)  # none while the module is being imported
    span = current().get_span_context() if current is not None else None
    if span is None or not span.is_valid:
        return ""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
