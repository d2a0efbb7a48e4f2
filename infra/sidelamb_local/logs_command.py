"""`sidelamb logs`: what the jobs did, from CloudWatch or from this machine, in one form.

Job lines, the app's own lines and what the poller says; not the platform's. What is wanted is asked of CloudWatch
as a filter pattern, so that little is read, and looked at here again: one rule for both places.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from rich.text import Text

from sidelamb_local import log_file
from sidelamb_local.errors import LocalStackError
from sidelamb_local.jobline import read_line
from sidelamb_local.log_file import FILE
from sidelamb_local.log_groups import LogGroups
from sidelamb_local.plain import harmless, iso
from sidelamb_local.project import DATA_DIR
from sidelamb_local.stack import POLLER, STACK
from sidelamb_local.view import line_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rich.console import Console

    from sidelamb_local.log_file import Said

__all__ = ["Wanted", "as_json", "lines_of", "seconds", "show"]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+)([smhd])\Z")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines; all that is set must hold, and with nothing set every line is wanted."""

    jid: str = ""
    queue: str = ""
    name: str = ""
    """Of a class of job."""
    failed: bool = False

    @property
    def pattern(self) -> str:
        """The same as CloudWatch's filter pattern, or empty."""
        tests = [
            f"$.{field} = {orjson.dumps(value).decode()}"
            for field, value in (("jid", self.jid), ("queue", self.queue), ("class", self.name))
            if value
        ]
        if self.failed:
            tests.append('($.outcome = "retry" || $.outcome = "dead" || $.error_class = "*")')
        return f"{{ {' && '.join(tests)} }}" if tests else ""

    def holds(self, line: str) -> bool:
        """Say whether a line is wanted."""
        if not self.pattern:
            return True
        said = _object(line)
        return (
            self.jid in {"", said.get("jid")}
            and self.queue in {"", said.get("queue")}
            and self.name in {"", said.get("class")}
            and (not self.failed or said.get("outcome") in {"retry", "dead"} or "error_class" in said)
        )


def lines_of(here: Path, stack: str, wanted: Wanted, *, since: float, follow: bool) -> Iterable[Said]:
    """Return the lines of a stack on AWS, or if none is named those that were kept in this folder.

    Raises:
        LocalStackError: There is no such stack, or nothing was kept here; says what to do.
    """
    if stack:
        import boto3  # noqa: PLC0415 - slow to import
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        try:
            # boto3 knows AWS_DEFAULT_REGION alone, every other tool of AWS this one.
            groups = LogGroups(boto3.client("logs", os.environ.get("AWS_REGION")), stack, wanted.pattern)
        except BotoCoreError as error:
            said = str(error).rstrip(".")
            raise LocalStackError(f"CloudWatch Logs cannot be reached: {said}; set AWS_REGION") from None
        return groups.follow(since) if follow else groups.kept(since)
    data_dir = here / DATA_DIR
    if not (data_dir / FILE).exists():
        raise LocalStackError("nothing was logged here; start `sidelamb dev`, or name a stack on AWS with --stack")
    return log_file.follow(data_dir, since) if follow else log_file.kept(data_dir, since)


def show(lines: Iterable[Said], wanted: Wanted, console: Console) -> int:
    """Print the wanted lines as they come; return how many there were."""
    shown = 0
    for at, source, line in lines:
        if not wanted.holds(line):
            continue
        is_json = line.startswith("{")
        said = line if source == STACK or (source == POLLER and not is_json) else read_line(line)
        text = line_text(source, said, time.strftime("%m-%d %H:%M:%S", time.localtime(at)), at)
        if text is None:
            continue
        shown += 1
        console.print(text, soft_wrap=True, highlight=False)
        if wanted.jid and is_json:
            _show_more(_object(line), console)
    return shown


def as_json(lines: Iterable[Said], wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Yield the wanted lines for a program: what is JSON as what it says, all other as text."""
    for at, source, line in lines:
        if wanted.holds(line):
            yield {
                "at": iso(dt.datetime.fromtimestamp(at, dt.UTC)),
                "source": source,
                "said": _object(line) or line,
            }


def seconds(text: str) -> float:
    """Return the seconds of `90s`, `15m`, `2h` or `7d`.

    Raises:
        LocalStackError: it is none of these.
    """
    found = _DURATION.match(text)
    if found is None:
        raise LocalStackError(f"--since {text!r} is no time; write 90s, 15m, 2h or 7d")
    return int(found[1]) * _UNITS[found[2]]


def _show_more(said: dict[str, Any], console: Console) -> None:
    """Show what a line about one job has besides: where it ran, and where it failed."""
    if "outcome" in said:
        where = f"lease {said.get('lease')}, request {said.get('function_request_id')}, queue {said.get('queue')}"
        cold = ", cold start" if said.get("cold_start") else ""
        console.print(Text(harmless(f"    {where}{cold}"), "dim"), soft_wrap=True, highlight=False)
    for line in str(said.get("traceback", "")).splitlines():
        console.print(Text(harmless(f"    {line}"), "dim"), soft_wrap=True, highlight=False)


def _object(line: str) -> dict[str, Any]:
    try:
        said = orjson.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
