"""`sidelamb dev`: the whole system in one terminal, until Ctrl-C.

Starts a supervised stack, shows what it does, and looks at Redis once a second. Ctrl-C, SIGTERM and a closed
terminal end everything in good order; a second Ctrl-C at once.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING

from rich.markup import escape

from sidelamb.client import Client
from sidelamb.errors import RedisError
from sidelamb.target import target_of
from sidelamb_handlers.poller.flight import MARGIN_S, START_WINDOW_S
from sidelamb_local.errors import LocalStackError
from sidelamb_local.log_file import LogFile
from sidelamb_local.overview import Overview, look
from sidelamb_local.project import DATA_DIR
from sidelamb_local.stack import Stack
from sidelamb_local.view import View, panel_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

SHOW_EVERY_S = 0.1
LOOK_EVERY_S = 1.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_dev(
    app_dir: Path,
    console: Console,
    *,
    template: Path | None,
    jobs: Sequence[str],
    redis_url: str | None,
    concurrency: int,
    port: int,
) -> None:
    """Run until told to stop. Arguments as `Stack` has them.

    Raises:
        LocalStackError: It could not start, or the Lambda service died.
        ConfigError: A setting is wrong.
    """
    view = View(console)
    log = LogFile(app_dir / DATA_DIR)

    def heard(source: str, line: str) -> None:
        view.heard(source, line)
        log.write(source, line)

    stack = Stack(
        app_dir,
        template=template,
        jobs=jobs,
        redis_url=redis_url,
        concurrency=concurrency,
        port=port,
        on_line=heard,
        supervise=True,
    )
    with _ending_signals():
        try:
            with console.status("starting Redis, Lambda and the poller …") if console.is_terminal else _nothing():
                stack.start()
            namespace = stack.namespace
            client = Client(stack.redis_url, namespace=namespace)
            with contextlib.closing(client.link), _page(client) as page:
                _greet(console, stack, page)
                since, seen = _watch(view, stack, client)
                began = time.monotonic()
                if seen.in_flight:
                    console.print(_stopping(seen, stack.project.config.stop_timeout), highlight=False)
                stack.stop_jobs()
                seen = _look(client, stack) or seen
        except KeyboardInterrupt:
            return
        finally:
            stack.stop()
            log.close()
            view.show()
        longest_s = max(capsule.timeout for capsule in stack.project.config.capsules)
        console.print(
            f"[bold]stopped[/]{f' ({namespace})' if namespace else ''} in {time.monotonic() - began:.1f} s: "
            f"{_closing(since, seen, back_in_s=START_WINDOW_S + longest_s + MARGIN_S)}",
            highlight=False,
            soft_wrap=not console.is_terminal,
        )


def _watch(view: View, stack: Stack, client: Client) -> tuple[Overview, Overview]:
    """Show what happens, until a signal; return what was where at the start and at the end."""
    since = seen = _look(client, stack) or Overview()
    looked = 0.0
    with view, contextlib.suppress(KeyboardInterrupt):
        while True:
            view.show()
            if time.monotonic() - looked >= LOOK_EVERY_S:
                looked = time.monotonic()
                seen = _look(client, stack) or seen
            title = f"sidelamb dev · {stack.app_dir.name}"
            view.draw(
                panel_of(
                    title,
                    shown_address(stack.redis_url),
                    seen=seen,
                    since=since,
                    stats=stack.stats,
                    width=view.width,
                )
            )
            if stack.service_pid is None:
                view.show()
                raise LocalStackError("the local Lambda service has ended; start `sidelamb dev` again")
            time.sleep(SHOW_EVERY_S)
    return since, _look(client, stack) or seen


def _look(client: Client, stack: Stack) -> Overview | None:
    try:
        return look(client, stack.project.config.queues)
    except RedisError:
        return None  # the poller says so, once


@contextlib.contextmanager
def _page(client: Client) -> Iterator[str]:
    """Serve the web page meanwhile, if its extra is installed; give its address, or nothing."""
    try:
        from sidelamb_local.web_command import Background  # noqa: PLC0415 - it needs uvicorn

        page = Background(client)
    except ImportError:
        yield ""
        return
    try:
        yield page.url
    finally:
        page.close()


def _greet(console: Console, stack: Stack, page: str) -> None:
    jobs = stack.project.jobs.names
    where = f"{', '.join(one.name for one in stack.project.workers)} in {stack.project.template.name}"
    if stack.project.is_built_in:
        where = f"{', '.join(stack.project.modules)} with a built-in template"
    there_are = f"{_count(len(jobs), 'job')} of {where}: {_some(jobs)}"
    if not jobs:
        there_are = f"no jobs yet in {where}: write a function under @job"
    address = escape(shown_address(stack.redis_url))
    lines = [
        f"[bold]sidelamb dev[/]  {escape(there_are)}",
        f"  enqueue from your app with  [cyan]export SIDELAMB_REDIS_URL={address}[/]",
        f"  or from here with           [cyan]sidelamb enqueue {escape(jobs[0]) if jobs else 'NAME'} ARGS…[/]",
        *([f"  see and steer it at         [cyan]{page}[/]"] if page else []),
        "  code reloads when it changes; Ctrl-C stops everything",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap="export" in line or not console.is_terminal)


def shown_address(url: str) -> str:
    """Return an address for a terminal: where it holds a name, a password or options, without them."""
    if "@" not in url and "?" not in url:
        return url
    scheme = url.partition("://")[0]
    return f"{scheme}://{'***@' if '@' in url else ''}{target_of(url)}{'?…' if '?' in url else ''}"


def _some(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _stopping(seen: Overview, patience_s: float) -> str:
    run = _count(seen.in_flight, "invocation is", "invocations are")
    return f"stopping: {run} running, {patience_s:g} s to end; Ctrl-C again ends all at once"


def _closing(since: Overview, seen: Overview, *, back_in_s: float) -> str:
    failed = seen.failed - since.failed
    done = seen.processed - since.processed - failed
    left = seen.waiting + seen.retries + seen.scheduled
    said = f"{_count(done, 'job')} done, {failed:,} failed"
    if left:
        said += f"; {_count(left, 'job waits', 'jobs wait')} in Redis for the next start"
    if seen.in_flight:
        cut_off = _count(seen.in_flight, "invocation was cut off, its", "invocations were cut off, their")
        said += f"; {cut_off} jobs come back by themselves within {back_in_s:g} s"
    return said


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


@contextlib.contextmanager
def _ending_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end what Ctrl-C ends."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield
