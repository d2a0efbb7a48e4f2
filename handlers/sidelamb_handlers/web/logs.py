"""Where CloudWatch shows the lines of a job or of an invocation.

The environment names the stack and the region, as the template sets them; without them there are no addresses.
"""

from __future__ import annotations

import os
from urllib.parse import quote

__all__ = ["lines_of"]

BEFORE_S, AFTER_S = 10, 60
"""Around an attempt: clocks differ, and the platform's own lines come a little later."""


def lines_of(text: str, since: float | None = None, until: float | None = None) -> str:
    """Return the address of the lines of the worker's log that hold a text; empty where there is no stack.

    Args:
        text: a job's id, or Lambda's id of a request.
        since: epoch s of the first line, about; None: the console shows what it likes to.
        until: epoch s of the last one, about.
    """
    stack, region = os.environ.get("SIDELAMB_STACK", ""), os.environ.get("AWS_REGION", "")
    if not stack or not region or not text:
        return ""
    group = quote(quote(f"/sidelamb/{stack}/worker", safe=""), safe="").replace("%", "$")
    said = text.replace("\\", "\\\\").replace('"', '\\"')
    query = "?filterPattern=" + quote(f'"{said}"', safe="", errors="replace")
    if since is not None:
        query += f"&start={int((since - BEFORE_S) * 1000)}"
    if until is not None:
        query += f"&end={int((until + AFTER_S) * 1000)}"
    home = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    return f"{home}#logsV2:log-groups/log-group/{group}/log-events{quote(query, safe='').replace('%', '$')}"
