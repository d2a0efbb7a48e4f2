"""Jobs as parts of the trace in which they were enqueued, for apps that trace.

Where the app has set OpenTelemetry up, a job runs in the context that its payload carries: the spans that it
starts belong to the trace of whoever enqueued it. With SIDELAMB_TRACER=xray each job is a subsegment of its
invocation, by powertools' Tracer, with the job's id, class, queue and that trace as annotations to search by. An
invocation may run jobs of many traces, so it cannot itself be a part of theirs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sidelamb.errors import ConfigError
from sidelamb.tracing import to_xray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidelamb.current import CurrentJob

    Layer = Callable[[CurrentJob, Callable[[], Any]], Any]

__all__ = ["in_its_trace", "telemetry_is_set_up", "xray_layers"]

NAME_MOST = 200
"""Characters of a subsegment's name (X-Ray's limit)."""
_NAME_SIGNS = frozenset(" _.:/%&#=+\\-@")
"""What X-Ray allows in a name beside letters and digits."""


def xray_layers(environ: Mapping[str, str]) -> tuple[Layer, ...]:
    """Return the layer that makes each job a subsegment, if it is asked for.

    Raises:
        ConfigError: SIDELAMB_TRACER names something else than xray, or its library is not installed.
    """
    tracer = environ.get("SIDELAMB_TRACER", "")
    if tracer not in {"", "xray"}:
        raise ConfigError(f"SIDELAMB_TRACER is {tracer!r}; the one that is known is xray")
    return (_xray_layer(),) if tracer else ()


def telemetry_is_set_up() -> bool:
    """Say whether the app has given OpenTelemetry a provider; that it is loaded may be redis-py's doing."""
    trace = sys.modules.get("opentelemetry.trace")
    return trace is not None and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def in_its_trace(job: CurrentJob, call: Callable[[], Any]) -> Any:
    """Run a job in the OpenTelemetry context that its payload carries."""
    trace = job.traceparent
    if not trace:
        return call()
    from opentelemetry import context  # noqa: PLC0415 - the app has loaded it
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    token = context.attach(TraceContextTextMapPropagator().extract({"traceparent": trace}))
    try:
        return call()
    finally:
        context.detach(token)


def _xray_layer() -> Layer:
    try:
        from aws_lambda_powertools import Tracer  # noqa: PLC0415 - only if asked for
        from aws_xray_sdk.core import patch  # noqa: F401, PLC0415 - powertools needs it, and says so late
    except ImportError:
        raise ConfigError(
            "SIDELAMB_TRACER is xray, and aws-xray-sdk is not installed; add it to requirements.txt"
        ) from None
    provider: Any = Tracer(service="sidelamb", auto_patch=False).provider

    def traced(job: CurrentJob, call: Callable[[], Any]) -> Any:
        with provider.in_subsegment(name=_name(job.name)) as segment:
            said = {"jid": job.jid, "class": job.name, "queue": job.queue, "attempt": job.attempt}
            if job.traceparent:
                said["enqueued_in"] = to_xray(job.traceparent)
            for name, value in said.items():
                segment.put_annotation(key=name, value=value)
            return call()  # what it raises is noted at the segment's end

    return traced


def _name(text: str) -> str:
    return "".join(sign for sign in text if sign.isalnum() or sign in _NAME_SIGNS)[:NAME_MOST] or "job"
