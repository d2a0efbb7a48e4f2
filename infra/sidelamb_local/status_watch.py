"""`sidelamb status --watch`: the same, looked at once a second, until Ctrl-C.

While Redis is away it says so, and goes on looking.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sidelamb.errors import RedisError
from sidelamb_handlers.gauges import seen
from sidelamb_local.errors import LocalStackError
from sidelamb_local.plain import plain, without_secrets
from sidelamb_local.status_command import as_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sidelamb import Client

__all__ = ["watch_status"]

EVERY_S = 1.0


def watch_status(client: Client) -> None:
    """Show it until somebody presses Ctrl-C, or closes the terminal.

    Raises:
        LocalStackError: there is no terminal to show it on.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        raise LocalStackError("--watch needs a terminal; without one: sidelamb status, or --json")
    try:
        with Live(_look(client), console=console, screen=True, auto_refresh=False) as live:
            while console.is_terminal:  # which one that was closed is no more
                time.sleep(EVERY_S)
                live.update(_look(client), refresh=True)
    except KeyboardInterrupt:
        return


def _look(client: Client) -> RenderableType:
    when = Text(f"{dt.datetime.now().astimezone():%H:%M:%S}  Ctrl-C ends", "dim")
    try:
        return Group(when, Text(), as_text(seen(client)))
    except RedisError as error:
        return Group(when, Text(), Text(f"! {plain(without_secrets(str(error)), 500)}", "red"))
