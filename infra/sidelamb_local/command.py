"""The local Lambda service as a process: `python -m sidelamb_local.service --template template.yaml`.

Its first line on stdout is `ready <endpoint_url>`; the functions' logs follow on stderr (or in the file of
--log), as `function<TAB>line`. It reloads code when a `*.py` or the template changes, runs `rate(…)`
schedules, and ends everything it started at SIGINT or SIGTERM. A template that cannot be used is one line on
stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sidelamb_local.errors import LocalStackError, TemplateError
from sidelamb_local.reload import changes
from sidelamb_local.schedule import run_schedules
from sidelamb_local.service import DEFAULT_CONCURRENCY, LambdaService
from sidelamb_local.template import load_template

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service until it is told to stop; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        asyncio.run(_serve(options))
    except LocalStackError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command speaks
        return EXIT_USAGE
    return 0


async def reload_on_change(service: LambdaService, template: Path) -> None:
    """Keep a service on the code and the template as they are on disk, for ever.

    A template that is broken while somebody edits it is reported on stderr, and the last good one stays.
    """
    async for changed in changes(template, lambda: {spec.code_dir for spec in service.functions.values()}):
        if str(template) not in changed:
            service.recycle()
            continue
        try:
            service.update(load_template(template).functions)
        except TemplateError as error:
            print(error, file=sys.stderr)  # noqa: T201


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    functions = load_template(options.template).functions
    with _open_log(options.log) as log:
        service = LambdaService(
            functions,
            port=options.port,
            concurrency=options.concurrency,
            on_log=lambda function, line: _write(log, function, line),
        )
        await _start(service, options.port)
        background = [
            asyncio.create_task(reload_on_change(service, options.template)),
            asyncio.create_task(run_schedules(service)),
        ]
        print(f"ready {service.endpoint_url}", flush=True)  # noqa: T201
        await stop.wait()
        for task in background:
            task.cancel()
        await service.stop()


async def _start(service: LambdaService, port: int) -> None:
    try:
        await service.start()
    except OSError as error:
        raise LocalStackError(
            f"Port {port} cannot be used: {error.strerror}; choose another with --port."
        ) from error


def _open_log(path: Path | None) -> TextIO:
    if path is None:
        return open(sys.stderr.fileno(), "w", buffering=1, closefd=False)
    try:
        return path.open("a", buffering=1)
    except OSError as error:
        raise LocalStackError(
            f"{path} cannot be written: {error.strerror}; name another file with --log."
        ) from error


def _write(log: TextIO, function: str, line: str) -> None:
    with suppress(OSError):  # nobody reads it any more; that is no reason to fail an invocation
        log.write(f"{function}\t{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sidelamb_local.service", description="Lambda on this machine.")
    parser.add_argument("--template", type=Path, required=True, help="the SAM template whose functions to serve")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (default: a free one)")
    parser.add_argument(
        "--concurrency",
        type=int,
        default=DEFAULT_CONCURRENCY,
        help="sandboxes of a function that reserves none",
    )
    parser.add_argument("--log", type=Path, help="append the functions' logs to this file instead of stderr")
    return parser
