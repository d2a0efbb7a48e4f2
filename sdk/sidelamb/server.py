"""Server middleware: code around every job that a worker runs.

    @server_middleware
    def timed(attempt, call):
        started = time.perf_counter()
        try:
            return call()
        finally:
            print(attempt.name, time.perf_counter() - started)

Declared in one of the modules that SIDELAMB_JOBS names; the first declared is the outermost. It runs on the
job's thread, for `async def` jobs too. Not calling `call` skips the job, which then counts as done; an
exception counts as the job's own.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from sidelamb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidelamb.current import CurrentJob

    Layer = Callable[[CurrentJob, Callable[[], Any]], Any]

__all__ = ["layers", "server_middleware"]

F = TypeVar("F", bound="Layer")

_layers: list[Layer] = []


def server_middleware(layer: F) -> F:
    """Put `layer` around every job of this worker; returns it, so that it can be a decorator.

    Raises:
        ConfigError: it is an `async def`, which nobody would await.
    """
    if inspect.iscoroutinefunction(layer) or inspect.isgeneratorfunction(layer):
        raise ConfigError(
            f"server middleware {layer.__qualname__} is async or a generator; write a plain def, "
            "it is put around async jobs too"
        )
    if layer not in _layers:
        _layers.append(layer)
    return layer


def layers() -> tuple[Layer, ...]:
    """Return all layers, the outermost first."""
    return tuple(_layers)
