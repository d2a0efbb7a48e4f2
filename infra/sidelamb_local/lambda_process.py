"""The local Lambda service as a child of the stack: `python -m sidelamb_local.lambda_process`.

It is the service of `service`, with code reload and schedules, that tells its parent on stdout what happens, one
JSON array a line:

    ["ready", endpoint_url]         it takes invocations
    ["log", function, line]         a line of a sandbox, or of the platform about it
    ["stats", {function: {…}}]      counters have changed (`FunctionStats`; at most twice a second)
    ["reloaded"]                    code or template has changed; new invocations run the new code

What to serve is a JSON object in the environment (`ps` shows arguments to everybody, and there may be passwords in
it): template, port, concurrency, env. A line that is no array is trouble, for a person.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidelamb_local.command import reload_on_change
from sidelamb_local.errors import LocalStackError
from sidelamb_local.schedule import run_schedules
from sidelamb_local.service import LambdaService
from sidelamb_local.template import load_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidelamb_local.template import FunctionSpec

OPTIONS_VARIABLE = "SIDELAMB_LOCAL_LAMBDA"
STATS_EVERY_S = 0.5
EXIT_USAGE = 2


def tell(*event: Any) -> None:
    """Write one event for the parent."""
    sys.stdout.write(f"{json.dumps(event)}\n")
    sys.stdout.flush()


class TellingService(LambdaService):
    """A service that tells of its reloads."""

    ready = False

    def recycle(self) -> None:
        """As the service's; told."""
        super().recycle()
        tell("reloaded")

    def update(self, functions: Mapping[str, FunctionSpec]) -> None:
        """As the service's; told, but for the first time."""
        super().update(functions)
        if self.ready:
            tell("reloaded")


async def serve(template: Path, *, port: int, concurrency: int, env: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        LocalStackError: The template cannot be used, or the port is taken.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = TellingService(
        load_template(template).functions,
        port=port,
        concurrency=concurrency,
        extra_env=env,
        on_log=lambda function, line: tell("log", function, line),
    )
    try:
        await service.start()
    except OSError as error:
        raise LocalStackError(
            f"port {port} cannot be used: {error.strerror}; choose another with --port"
        ) from error
    service.ready = True
    tell("ready", service.endpoint_url)
    background = [reload_on_change(service, template), run_schedules(service), _tell_stats(service)]
    tasks = [asyncio.create_task(coroutine) for coroutine in background]
    await stop.wait()
    for task in tasks:
        task.cancel()
    await service.stop()


async def _tell_stats(service: LambdaService) -> None:
    told: dict[str, Any] = {}
    while True:
        stats = {name: dataclasses.asdict(one) for name, one in service.stats().items()}
        if stats != told:
            tell("stats", stats)
            told = stats
        await asyncio.sleep(STATS_EVERY_S)


def main() -> int:
    """Run until told to stop; returns the exit status."""
    options = json.loads(os.environ.pop(OPTIONS_VARIABLE))
    try:
        asyncio.run(serve(Path(options.pop("template")), **options))
    except LocalStackError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the parent passes it on
        return EXIT_USAGE
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
