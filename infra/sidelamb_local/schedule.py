"""The timers of functions with a `rate(…)` schedule.

Each is invoked every `schedule_s` seconds, for the first time after one period, as EventBridge Scheduler
would. A period that begins while the last invocation still runs is skipped here, where AWS would run both. A
failure is the function's to log.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from sidelamb_local.errors import ServiceStopped

if TYPE_CHECKING:
    from sidelamb_local.service import LambdaService

EVENT = b'{"source":"aws.scheduler"}'
# How soon a schedule that came with a changed template is noticed.
LOOK_S = 1.0


async def run_schedules(service: LambdaService) -> None:
    """Invoke what is due, for ever; cancel it to stop. What it has started goes on until the service stops."""
    loop = asyncio.get_running_loop()
    due: dict[str, float] = {}
    running: dict[str, asyncio.Task[None]] = {}
    while True:
        now = loop.time()
        periods = {name: spec.schedule_s for name, spec in service.functions.items() if spec.schedule_s}
        due = {name: due.get(name, now + period) for name, period in periods.items()}
        for name in [name for name, when in due.items() if when <= now]:
            due[name] += periods[name]
            if name not in running or running[name].done():
                running[name] = asyncio.create_task(_invoke(service, name))
        next_due = min(due.values(), default=now + LOOK_S)
        await asyncio.sleep(min(LOOK_S, max(0.0, next_due - loop.time())))


async def _invoke(service: LambdaService, name: str) -> None:
    with suppress(ServiceStopped, KeyError):
        await service.invoke(name, EVENT)
